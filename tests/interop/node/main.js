// The common round of tests/interop for kafkajs: BOOTSTRAP PREFIX CODECS COUNT BASE_TIME.
// See test_clients.py for what is expected on standard output. kafkajs consumes in groups only; what
// lies below its consumer, its own broker connections, reads partitions without one.
'use strict'
const { Kafka, CompressionTypes, CompressionCodecs, logLevel } = require('kafkajs')
const SnappyCodec = require('kafkajs-snappy')
const lz4 = require('lz4-napi')
const { init, compress, decompress } = require('@bokuweb/zstd-wasm')
const Cluster = require('kafkajs/src/cluster')
const defaultSocketFactory = require('kafkajs/src/network/socketFactory')
const { createLogger } = require('kafkajs/src/loggers')
const LoggerConsole = require('kafkajs/src/loggers/console')

const PARTITIONS = 3
const TYPES = {
  none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4, zstd: CompressionTypes.ZSTD,
}
CompressionCodecs[CompressionTypes.Snappy] = SnappyCodec
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async encoder => lz4.compressFrame(encoder.buffer),
  decompress: async buffer => lz4.decompressFrame(buffer),
})
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async encoder => Buffer.from(compress(encoder.buffer, 3)),
  decompress: async buffer => Buffer.from(decompress(buffer)),
})

const say = what => console.log(JSON.stringify(what))

async function readAll(brokers, topic, count) {
  const cluster = new Cluster({
    logger: createLogger({ level: logLevel.ERROR, logCreator: LoggerConsole }), brokers, clientId: 'interop',
    socketFactory: defaultSocketFactory(), retry: {}, metadataMaxAge: 300000, connectionTimeout: 5000,
    requestTimeout: 30000, enforceRequestTimeout: true, offsets: new Map(),
  })
  await cluster.connect()
  await cluster.addTargetTopic(topic)
  const metadata = cluster.findTopicPartitionMetadata(topic)
  for (const { partitionId, leader } of metadata) {
    const broker = await cluster.findBroker({ nodeId: String(leader) })
    for (let offset = 0; offset < count / PARTITIONS;) {
      const { responses } = await broker.fetch({
        maxWaitTime: 1000, minBytes: 1, maxBytes: 10485760, isolationLevel: 1,
        topics: [{ topic, partitions: [{ partition: partitionId, fetchOffset: offset, maxBytes: 1048576 }] }],
      })
      const { errorCode, messages } = responses[0].partitions[0]
      if (errorCode) throw new Error(`fetch: ${errorCode}`)
      for (const m of messages.filter(m => Number(m.offset) >= offset)) {
        say({ topic, p: partitionId, o: Number(m.offset), t: Number(m.timestamp), k: m.key.toString(),
              v: m.value.toString(), h: m.headers.h.toString() })
        offset = Number(m.offset) + 1
      }
    }
  }
  await cluster.disconnect()
}

async function round(brokers, topic, codec, count, base) {
  const kafka = new Kafka({ clientId: 'interop', brokers, logLevel: logLevel.ERROR })
  const admin = kafka.admin()
  await admin.connect()
  say({ brokers: (await admin.describeCluster()).brokers.length })
  await admin.createTopics({ waitForLeaders: true,
                             topics: [{ topic, numPartitions: PARTITIONS, replicationFactor: 3 }] })
  const producer = kafka.producer()
  await producer.connect()
  const messages = [...Array(count).keys()].map(i => ({
    partition: i % PARTITIONS, key: `k${i}`, value: `value-${i}-${'x'.repeat(80)}`,
    timestamp: String(base + i * 10), headers: { h: String(i) },
  }))
  for (let i = 0; i < count; i += 60)
    await producer.send({ topic, compression: TYPES[codec], acks: -1, messages: messages.slice(i, i + 60) })
  await producer.disconnect()
  await readAll(brokers, topic, count)
  const at = await admin.fetchTopicOffsetsByTimestamp(topic, base + 305)
  const ends = await admin.fetchTopicOffsets(topic)
  for (const { partition, high, low } of ends)
    say({ topic, p: partition, at: Number(at.find(x => x.partition === partition).offset), begin: Number(low),
          end: Number(high) })
  await admin.disconnect()
}

async function main() {
  const [brokers, prefix, codecs, count, base] = process.argv.slice(2)
  await init()
  for (const codec of codecs.split(','))
    await round(brokers.split(','), `${prefix}-${codec}`, codec, Number(count), Number(base))
}

main().then(() => process.exit(0), e => { console.error(e); process.exit(1) })
