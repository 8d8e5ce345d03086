"""The common round of tests/interop for Python's clients: CLIENT BOOTSTRAP PREFIX CODECS COUNT BASE_TIME.

CLIENT is confluent, kafka-python or aiokafka. See test_clients.py for what is expected on standard output.
"""
import asyncio
import json
import sys

PARTITIONS = 3


def say(**what):
    print(json.dumps(what))


def record(i):
    return f"k{i}".encode(), f"value-{i}-{'x' * 80}".encode(), [("h", str(i).encode())]


def seen(topic, partition, offset, timestamp, key, value, headers):
    say(topic=topic, p=partition, o=offset, t=timestamp, k=key.decode(), v=value.decode(),
        h=dict(headers)["h"].decode())


def check(i, offset):
    if offset != i // PARTITIONS:
        raise RuntimeError(f"record {i} got offset {offset}")


def confluent(bootstrap, topic, codec, count, base):
    from confluent_kafka import Consumer, Producer, TopicPartition
    from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec
    admin = AdminClient({"bootstrap.servers": bootstrap})
    say(brokers=len(admin.list_topics(timeout=10).brokers))
    admin.create_topics([NewTopic(topic, PARTITIONS, 3)])[topic].result(30)
    producer = Producer({"bootstrap.servers": bootstrap, "compression.type": codec, "linger.ms": 20})

    def delivered(i):
        def callback(error, message):
            if error:
                raise RuntimeError(error)
            check(i, message.offset())
        return callback
    for i in range(count):
        key, value, headers = record(i)
        producer.produce(topic, value, key, i % PARTITIONS, timestamp=base + i * 10, headers=headers,
                         on_delivery=delivered(i))
    assert producer.flush(30) == 0
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "none", "enable.auto.commit": False})
    parts = [TopicPartition(topic, p, 0) for p in range(PARTITIONS)]
    consumer.assign(parts)
    n = 0
    while n < count:
        m = consumer.poll(30)
        if m is None or m.error():
            raise RuntimeError(m and m.error())
        n += 1
        seen(topic, m.partition(), m.offset(), m.timestamp()[1], m.key(), m.value(), m.headers())
    at = consumer.offsets_for_times([TopicPartition(topic, p, base + 305) for p in range(PARTITIONS)], 30)
    by_admin = admin.list_offsets({TopicPartition(topic, p): OffsetSpec.for_timestamp(base + 305)
                                   for p in range(PARTITIONS)})
    for tp, future in by_admin.items():
        assert future.result(30).offset == at[tp.partition].offset
    for p in range(PARTITIONS):
        begin, end = consumer.get_watermark_offsets(TopicPartition(topic, p), 30)
        say(topic=topic, p=p, at=at[p].offset, begin=begin, end=end)
    consumer.close()


def kafka_python(bootstrap, topic, codec, count, base):
    from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
    from kafka.admin import NewTopic
    servers = bootstrap.split(",")
    admin = KafkaAdminClient(bootstrap_servers=servers)
    say(brokers=len(admin.describe_cluster()["brokers"]))
    admin.create_topics([NewTopic(topic, PARTITIONS, 3)])
    admin.close()
    producer = KafkaProducer(bootstrap_servers=servers, acks="all", linger_ms=20,
                             compression_type=None if codec == "none" else codec)
    sent = []
    for i in range(count):
        key, value, headers = record(i)
        sent.append(producer.send(topic, value, key, headers, i % PARTITIONS, base + i * 10))
    producer.flush(30)
    for i, future in enumerate(sent):
        check(i, future.get(30).offset)
    producer.close()
    consumer = KafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False, consumer_timeout_ms=30000)
    parts = [TopicPartition(topic, p) for p in range(PARTITIONS)]
    consumer.assign(parts)
    consumer.seek_to_beginning()
    for n, m in enumerate(consumer, 1):
        seen(topic, m.partition, m.offset, m.timestamp, m.key, m.value, m.headers)
        if n == count:
            break
    at = consumer.offsets_for_times({tp: base + 305 for tp in parts})
    begin, end = consumer.beginning_offsets(parts), consumer.end_offsets(parts)
    for tp in parts:
        say(topic=topic, p=tp.partition, at=at[tp].offset, begin=begin[tp], end=end[tp])
    consumer.close()


def aiokafka(bootstrap, topic, codec, count, base):
    asyncio.run(aiokafka_round(bootstrap, topic, codec, count, base))


async def aiokafka_round(bootstrap, topic, codec, count, base):
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    say(brokers=len((await admin.describe_cluster())["brokers"]))
    await admin.create_topics([NewTopic(topic, PARTITIONS, 3)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=20, enable_idempotence=True,
                                compression_type=None if codec == "none" else codec)
    await producer.start()
    sent = []
    for i in range(count):
        key, value, headers = record(i)
        sent.append(await producer.send(topic, value, key, i % PARTITIONS, base + i * 10, headers))
    await producer.flush()
    for i, future in enumerate(sent):
        check(i, (await future).offset)
    await producer.stop()
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    await consumer.start()
    parts = [TopicPartition(topic, p) for p in range(PARTITIONS)]
    consumer.assign(parts)
    await consumer.seek_to_beginning()
    for _ in range(count):
        m = await asyncio.wait_for(consumer.getone(), 30)
        seen(topic, m.partition, m.offset, m.timestamp, m.key, m.value, m.headers)
    at = await consumer.offsets_for_times({tp: base + 305 for tp in parts})
    begin, end = await consumer.beginning_offsets(parts), await consumer.end_offsets(parts)
    for tp in parts:
        say(topic=topic, p=tp.partition, at=at[tp].offset, begin=begin[tp], end=end[tp])
    await consumer.stop()


def main():
    client, bootstrap, prefix, codecs, count, base = sys.argv[1:]
    one = {"confluent": confluent, "kafka-python": kafka_python, "aiokafka": aiokafka}[client]
    for codec in codecs.split(","):
        one(bootstrap, f"{prefix}-{codec}", codec, int(count), int(base))


if __name__ == "__main__":
    main()
