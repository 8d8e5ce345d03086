// A member of a consumer group on kafkajs: BOOTSTRAP GROUP TOPIC ASSIGNOR. See test_members.py.
'use strict'
const { Kafka, logLevel } = require('kafkajs')

const say = what => console.log(JSON.stringify(what))

async function main([bootstrap, groupId, topic]) {
  const kafka = new Kafka({ clientId: 'member', brokers: bootstrap.split(','), logLevel: logLevel.ERROR })
  const consumer = kafka.consumer({ groupId, sessionTimeout: 6000, heartbeatInterval: 500, rebalanceTimeout: 10000 })
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) =>
    say({ owns: (payload.memberAssignment[topic] || []).slice().sort((a, b) => a - b) }))
  consumer.on(consumer.events.REBALANCING, () => say({ owns: [] }))
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  process.on('SIGTERM', () => consumer.disconnect().then(() => process.exit(0)))
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ partition, message }) => {
      say({ p: partition, o: Number(message.offset), v: message.value.toString() })
      await consumer.commitOffsets([{ topic, partition, offset: String(Number(message.offset) + 1) }])
    },
  })
}

main(process.argv.slice(2)).catch(e => { console.error(e); process.exit(1) })
