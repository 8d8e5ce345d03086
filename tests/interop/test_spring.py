"""Spring Kafka, from its published artifacts: @KafkaListener with DefaultErrorHandler, FixedBackOff and
DeadLetterPublishingRecoverer. Each poisoned record is tried so many times and is then found in the dead-letter topic
with the headers that tell of its origin; all others are processed, in order; also while a broker dies.
"""
import os
import struct
import threading
import time

import pytest
from confluent_kafka import Producer

from tests.interop import programs
from tests.kit import ops
from tests.kit.cluster import wait_until
from tests.kit.member import Member, assert_in_order, skipped, wait_shared

PARTITIONS = 4
TRIES = 3
POISON_EVERY = 10
# spring-kafka with the kafka-clients that it runs with.
PAIRS = {"3.3.10": "3.9.2", "4.1.2": "4.2.2"}


class Letters:
    """Numbered records, every tenth poisoned, at a steady pace until stopped."""

    def __init__(self, cluster, topic, rate=100):
        self.topic, self.rate, self.sent, self.failed = topic, rate, 0, []
        self.producer = Producer({"bootstrap.servers": cluster.bootstrap, "linger.ms": 5, "acks": "all",
                                  "enable.idempotence": True, "message.timeout.ms": 120_000})

    def send(self, count):
        for _ in range(count):
            number = self.sent
            self.producer.produce(self.topic, self.value(number), f"key{number}", number % PARTITIONS,
                                  headers={"number": str(number)},
                                  on_delivery=lambda e, m: self.failed.append(e) if e else None)
            self.sent += 1
            self.producer.poll(0)

    def flush(self):
        assert self.producer.flush(120) == 0 and not self.failed, self.failed

    def __enter__(self):
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.stopped.set()
        self.thread.join()
        if exc == (None, None, None):
            self.flush()

    def _run(self):
        while not self.stopped.wait(1 / self.rate):
            self.send(1)

    @staticmethod
    def value(number):
        return f"{'poison' if number % POISON_EVERY == POISON_EVERY - 1 else 'fine'}-{number}"

    def wanted(self):
        return [self.value(i) for i in range(self.sent)]


def tries(members):
    """{value: how many times the listener was given it}"""
    counts = {}
    for m in members:
        for _, _, value in m.records:
            counts[value] = counts.get(value, 0) + 1
    return counts


def dead_letters(cluster, topic):
    return [(p, r) for p in range(PARTITIONS) for r in ops.read_partition(cluster, f"{topic}-dlt", p)]


def wait_settled(cluster, topic, letters, members, timeout=60):
    """Until everything was given to a listener, and what is poisoned has become a dead letter."""
    wanted = letters.wanted()

    def settled():
        for m in members:
            assert m.is_alive(), f"{m.argv} has ended: {m.errors}"
        missing = set(wanted) - tries(members).keys()
        if missing:
            raise ValueError(f"{len(missing)} of {len(wanted)} not listened to, such as {min(missing)}")
        dead = {r.value.decode() for _, r in dead_letters(cluster, topic)}
        undelivered = {v for v in wanted if v.startswith("poison")} - dead
        if undelivered:
            raise ValueError(f"no dead letters: {sorted(undelivered)[:5]}")
        return True
    wait_until(settled, timeout, "everything listened to", every=0.3)


def check(cluster, topic, group, letters, members, exactly):
    wanted = letters.wanted()
    ends = {p: ops.end_offset(cluster, topic, p) for p in range(PARTITIONS)}
    assert not skipped(members, ends)
    given = tries(members)
    assert given.keys() == set(wanted)
    assert all(given[v] >= TRIES for v in wanted if v.startswith("poison"))
    if exactly:
        assert all(given[v] == (TRIES if v.startswith("poison") else 1) for v in wanted)

    assert_in_order(members)

    letters_found = dead_letters(cluster, topic)
    origins = [(p, struct.unpack(">q", dict(r.headers)["kafka_dlt-original-offset"])[0]) for p, r in letters_found]
    poisoned = {(r.partition, r.offset): r for r in originals(cluster, topic) if r.value.startswith(b"poison")}
    assert set(origins) == poisoned.keys()
    if exactly:
        assert len(origins) == len(poisoned)
    for origin, (p, r) in zip(origins, letters_found):
        headers, was = dict(r.headers), poisoned[origin]
        assert (r.key, r.value) == (was.key, was.value)
        assert headers["number"] == dict(was.headers)["number"]
        assert headers["kafka_dlt-original-topic"].decode() == topic
        assert struct.unpack(">i", headers["kafka_dlt-original-partition"])[0] == p
        assert struct.unpack(">q", headers["kafka_dlt-original-timestamp"])[0] == was.timestamp
        assert headers["kafka_dlt-original-timestamp-type"] == b"CreateTime"
        assert headers["kafka_dlt-original-consumer-group"].decode() == group
        assert headers["kafka_dlt-exception-cause-fqcn"] == b"Spring$Poisoned"
        assert f"cannot stomach {was.value.decode()}" in headers["kafka_dlt-exception-message"].decode()
        assert b"Spring.listen" in headers["kafka_dlt-exception-stacktrace"]
    again = sum(given.values()) - sum(TRIES if v.startswith("poison") else 1 for v in wanted)
    print(f"{len(wanted)} records, {len(poisoned)} poisoned; again: {again} listened to, "
          f"{len(origins) - len(poisoned)} dead letters")


def originals(cluster, topic):
    for p in range(PARTITIONS):
        for r in ops.read_partition(cluster, topic, p):
            r.partition = p
            yield r


@pytest.mark.parametrize("version", ["3.3.10", pytest.param("4.1.2", marks=pytest.mark.long)])
def test_poison_becomes_dead_letters_while_a_broker_dies(whole, version):
    program = programs.spring(version, PAIRS[version])
    topic = f"letters-{os.urandom(3).hex()}"
    group = f"g-{topic}"
    for name in (topic, f"{topic}-dlt"):
        ops.create_topic(whole, name, PARTITIONS, 3)
    letters, members = Letters(whole, topic), []
    try:
        for _ in range(2):
            members.append(Member([*program, whole.bootstrap, group, topic, TRIES]))
        wait_shared(members, PARTITIONS, each=1)
        letters.send(200)
        letters.flush()
        wait_settled(whole, topic, letters, members)
        check(whole, topic, group, letters, members, exactly=True)
        with letters:
            killed = ops.coordinator(whole, group)
            whole.kill(killed)
            at, before = time.monotonic(), letters.sent
            wait_until(lambda: letters.sent >= before + 100, 30, "records while it is away")
            wait_settled(whole, topic, letters, members)
            print(f"settled {time.monotonic() - at:.1f} s after the kill of {killed}")
            whole.start(killed)
            members[0].leave()
            wait_shared(members[1:], PARTITIONS)
        live = members[1:]
        wait_until(lambda: len(tries(members)) == letters.sent, 60, "everything listened to")
        wait_until(lambda: all(m.is_alive() for m in live) and len(
            {r.value for _, r in dead_letters(whole, topic)}) == letters.sent // POISON_EVERY, 60, "all dead letters")
        check(whole, topic, group, letters, members, exactly=False)
    finally:
        for m in members:
            m.kill()
