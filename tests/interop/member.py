"""A member of a consumer group, for Python's clients: CLIENT BOOTSTRAP GROUP TOPIC ASSIGNOR [INSTANCE].

CLIENT is confluent, kafka-python or aiokafka. Prints JSON lines: {"owns":[partitions]} whenever that changes and
{"p","o","v"} for each record, which it then commits; SIGTERM makes it leave. See test_members.py.
"""
import asyncio
import json
import signal
import sys

SESSION_MS = 6000


def say(**what):
    print(json.dumps(what), flush=True)


def seen(p, o, v):
    say(p=p, o=o, v=v.decode())


class Stop:
    asked = False


def confluent(bootstrap, group, topic, assignor, instance):
    from confluent_kafka import Consumer, KafkaError, KafkaException
    conf = {"bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False,
            "auto.offset.reset": "earliest", "partition.assignment.strategy": assignor,
            "session.timeout.ms": SESSION_MS, "heartbeat.interval.ms": 500}
    if instance:
        conf["group.instance.id"] = instance
    consumer, owned = Consumer(conf), set()

    def assigned(c, parts):
        owned.update(p.partition for p in parts)
        if assignor == "cooperative-sticky":
            c.incremental_assign(parts)
        else:
            c.assign(parts)
        say(owns=sorted(owned))

    def revoked(c, parts):
        owned.difference_update(p.partition for p in parts)
        if assignor == "cooperative-sticky":
            c.incremental_unassign(parts)
        else:
            c.unassign()
        say(owns=sorted(owned))
    consumer.subscribe([topic], on_assign=assigned, on_revoke=revoked, on_lost=revoked)
    uncommitted = False
    while not Stop.asked:
        batch = [m for m in consumer.consume(100, 0.2) if not m.error()]
        for m in batch:
            seen(m.partition(), m.offset(), m.value())
        uncommitted = uncommitted or bool(batch)
        if uncommitted:
            try:
                consumer.commit(asynchronous=False)
                uncommitted = False
            except KafkaException as e:
                # The group has moved on. What was taken away somebody else reads again; what is kept, as cooperative
                # members do, is committed at the next try, also when no record comes any more.
                uncommitted = e.args[0].code() != KafkaError._NO_OFFSET     # noqa: SLF001
    consumer.close()


def kafka_python(bootstrap, group, topic, assignor, instance):
    import kafka
    from kafka.coordinator.assignors import range as by_range, roundrobin
    from kafka.errors import KafkaError
    kinds = {"range": by_range.RangePartitionAssignor, "roundrobin": roundrobin.RoundRobinPartitionAssignor}
    more = {"group_instance_id": instance} if instance else {}
    consumer = kafka.KafkaConsumer(
        bootstrap_servers=bootstrap.split(","), group_id=group, enable_auto_commit=False,
        auto_offset_reset="earliest", partition_assignment_strategy=[kinds[assignor]],
        session_timeout_ms=SESSION_MS, heartbeat_interval_ms=500, **more)

    class Listener(kafka.ConsumerRebalanceListener):
        def on_partitions_revoked(self, revoked):
            say(owns=[])

        def on_partitions_assigned(self, assigned):
            say(owns=sorted(p.partition for p in assigned))
    consumer.subscribe([topic], listener=Listener())
    while not Stop.asked:
        # Not shorter: 3.0.12 may spin for ever, its heartbeats starved, when this ends in the middle of a join.
        batch = consumer.poll(2000)
        for records in batch.values():
            for r in records:
                seen(r.partition, r.offset, r.value)
        if batch:
            try:
                consumer.commit()
            except KafkaError:
                pass
    consumer.close()


async def with_aiokafka(bootstrap, group, topic, assignor, instance):
    import aiokafka
    from aiokafka.coordinator.assignors.range import RangePartitionAssignor
    from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
    kinds = {"range": RangePartitionAssignor, "roundrobin": RoundRobinPartitionAssignor}

    class Listener(aiokafka.ConsumerRebalanceListener):
        async def on_partitions_revoked(self, revoked):
            say(owns=[])

        async def on_partitions_assigned(self, assigned):
            say(owns=sorted(p.partition for p in assigned))
    more = {"group_instance_id": instance} if instance else {}
    consumer = aiokafka.AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False, auto_offset_reset="earliest",
        partition_assignment_strategy=[kinds[assignor]], session_timeout_ms=SESSION_MS,
        heartbeat_interval_ms=500, **more)
    consumer.subscribe([topic], listener=Listener())
    await consumer.start()
    try:
        while not Stop.asked:
            batch = await consumer.getmany(timeout_ms=200)
            for records in batch.values():
                for r in records:
                    seen(r.partition, r.offset, r.value)
            if any(batch.values()):
                try:
                    await consumer.commit()
                except aiokafka.errors.KafkaError:
                    pass
    finally:
        await consumer.stop()


def main():
    client, bootstrap, group, topic, assignor = sys.argv[1:6]
    instance = sys.argv[6] if len(sys.argv) > 6 else None
    for sig in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sig, lambda *_: setattr(Stop, "asked", True))
    args = (bootstrap, group, topic, assignor, instance)
    if client == "aiokafka":
        asyncio.run(with_aiokafka(*args))
    else:
        {"confluent": confluent, "kafka-python": kafka_python}[client](*args)


if __name__ == "__main__":
    main()
