"""Compacted topics in a cluster: every replica compacts by itself, readers and followers go over the gaps, and the
newest value of every key survives whatever happens meanwhile."""
import random
import re
import shutil
from pathlib import Path

import pytest

from tests.kit import batch, ops, raw, settings
from tests.kit.cluster import wait_until

KEYS = 60
CONFIG = {"cleanup.policy": "compact", "segment.bytes": "20000", "min.cleanable.dirty.ratio": "0.1"}
INVALID_RECORD = 87
INVALID_REQUEST = 42


@pytest.fixture(scope="module")
def cluster(new_cluster):
    made = new_cluster("compaction", settings={"log.cleaner.backoff.ms": 200, "log.cleaner.threads": 2})
    yield made
    made.close()


class Writer:
    """Writes values of random keys and knows the newest of each."""

    def __init__(self, cluster, name):
        self.cluster, self.name, self.newest = cluster, name, {}
        self.random, self.written = random.Random(name), 0

    def write(self, batches):
        for _ in range(batches):
            keys = [b"key-%d" % self.random.randrange(KEYS) for _ in range(20)]
            values = [None if self.random.random() < 0.1 else b"%d %s" % (self.written + i, b"." * 40)
                      for i in range(20)]

            def send(c, data=batch.build(values, keys)):
                answer = c.produce(self.name, {0: data})[0]
                if answer.error:
                    raise raw.KafkaError(answer.error, "produce")
                return True
            ops.ask_leader(self.cluster, self.name, 0, send)
            self.newest.update(zip(keys, values))
            self.written += 20


def newest_of(records):
    found = {}
    for r in records:
        found[r.key] = r.value
    return found


def replica_records(cluster, broker, name):
    return [r for b in batch.partition_batches(ops.replica_dir(cluster, broker, name, 0)) for r in b.records()]


def wait_compacted(cluster, writer):
    """Every replica holds far fewer records than were written."""
    def small(broker):
        return len(replica_records(cluster, broker, writer.name)) < writer.written // 2
    for broker in cluster.brokers:
        wait_until(lambda b=broker: small(b), 60, f"broker {broker} compacts {writer.name}", every=0.2)


def check(cluster, writer):
    assert newest_of(ops.read_partition(cluster, writer.name, 0)) == writer.newest
    end = ops.end_offset(cluster, writer.name, 0)
    for broker in cluster.brokers:
        def caught_up(b=broker):
            last = list(batch.partition_batches(ops.replica_dir(cluster, b, writer.name, 0)))[-1].last_offset
            return last + 1 >= end and newest_of(replica_records(cluster, b, writer.name)) == writer.newest
        wait_until(caught_up, 60, f"the newest of every key at broker {broker}", every=0.2)


def test_records_without_a_key_are_refused(whole, topic):
    name = topic(partitions=1, configs=CONFIG)
    with raw.Connection(whole.host, whole.port(str(ops.partitions_of(whole, name)[0].leader))) as c:
        assert c.produce(name, {0: batch.build([b"no key"])})[0].error == INVALID_RECORD
        assert c.produce(name, {0: batch.build([b"mixed", b"x"], [b"k", None])})[0].error == INVALID_RECORD
        assert c.produce(name, {0: batch.build([b"with"], [b"k"])})[0].error == 0


def test_every_replica_keeps_the_newest_of_every_key(whole, topic):
    writer = Writer(whole, topic(partitions=1, configs=CONFIG))
    for _ in range(3):
        writer.write(80)
        wait_compacted(whole, writer)
        check(whole, writer)


def test_a_leader_dies_and_an_empty_replica_is_filled_over_the_gaps(whole, topic):
    writer = Writer(whole, topic(partitions=1, configs=CONFIG))
    writer.write(100)
    wait_compacted(whole, writer)
    leader = str(ops.partitions_of(whole, writer.name)[0].leader)
    whole.kill(leader)
    writer.write(60)
    home = ops.replica_dir(whole, leader, writer.name, 0)
    shutil.rmtree(home)
    whole.start(leader)
    ops.wait_full_isr(whole)
    check(whole, writer)
    # And once more the other way: who was filled over the gaps leads.
    for other in [b for b in whole.brokers if b != leader]:
        whole.kill(other)
        wait_until(lambda: ops.partitions_of(whole, writer.name)[0].leader not in (-1, int(other)), 30,
                   f"another leads than {other}")
        writer.write(20)
        whole.start(other)
        ops.wait_full_isr(whole)
    wait_compacted(whole, writer)
    check(whole, writer)


def test_the_start_moves_and_segments_below_it_go(whole, topic):
    writer = Writer(whole, topic(partitions=1, configs={**CONFIG, "cleanup.policy": "compact,delete",
                                                      "file.delete.delay.ms": "0"}))
    writer.write(60)
    wait_compacted(whole, writer)
    end = ops.end_offset(whole, writer.name, 0)
    assert ops.ask_leader(whole, writer.name, 0, lambda c: c.delete_records(writer.name, {0: end})) == {0: (0, end)}
    for broker in whole.brokers:
        wait_until(lambda b=broker: min(int(p.stem) for p in
                                        ops.replica_dir(whole, b, writer.name, 0).glob("*.log")) > 0,
                   60, f"old segments of {writer.name} go at broker {broker}", every=0.2)
    writer.newest.clear()
    writer.write(40)
    got = newest_of(ops.read_partition(whole, writer.name, 0, start=end))
    assert got == writer.newest


def threads_of(cluster, broker):
    names = []
    for task in Path(f"/proc/{cluster.pid(broker)}/task").iterdir():
        try:
            names.append((task / "comm").read_text().strip())
        except FileNotFoundError:
            pass                                                # it has just ended
    return sum(bool(re.fullmatch(r"cleaner-\d+", n)) for n in names)


@pytest.mark.moldau_only
def test_threads_and_rate_change_without_a_restart(whole, topic):
    broker = whole.brokers[0]
    pid = whole.pid(broker)
    assert threads_of(whole, broker) == 2
    settings.alter_broker(whole, broker, {"log.cleaner.threads": "4", "log.cleaner.io.max.bytes.per.second": "1000"})
    try:
        wait_until(lambda: threads_of(whole, broker) == 4, 30, "four threads")
        writer = Writer(whole, topic(partitions=1, configs=CONFIG))
        writer.write(80)
        others = [b for b in whole.brokers if b != broker]
        wait_until(lambda: all(len(replica_records(whole, b, writer.name)) < writer.written // 2 for b in others), 60,
                   "the other brokers compact")
        assert len(replica_records(whole, broker, writer.name)) > writer.written // 2   # at 1,000 bytes a second
        settings.alter_broker(whole, broker, {"log.cleaner.threads": "2", "log.cleaner.io.max.bytes.per.second": None})
        wait_until(lambda: threads_of(whole, broker) == 2, 30, "two threads")
        settings.alter_broker(whole, broker, {"log.cleaner.threads": "1"})
        wait_until(lambda: threads_of(whole, broker) == 1, 30, "one thread")
        wait_compacted(whole, writer)
        check(whole, writer)
        assert whole.pid(broker) == pid
    finally:
        settings.alter_broker(whole, broker, {"log.cleaner.threads": None, "log.cleaner.io.max.bytes.per.second": None})
    wait_until(lambda: threads_of(whole, broker) == 2, 30, "what the file says")


@pytest.mark.parametrize("key,value,why", [
    ("log.cleaner.threads", "0", "Log cleaner threads should be at least 1"),
    ("log.cleaner.threads", "5", "Log cleaner threads cannot be increased to more than double the current value 2"),
    ("num.io.threads", "17", "Dynamic thread count update validation failed for num.io.threads=17, value should not be "
                             "greater than double the current value 8"),
    ("num.io.threads", "3", "Dynamic thread count update validation failed for num.io.threads=3, value should be at "
                            "least half the current value 8"),
    ("num.network.threads", "7", "Dynamic thread count update validation failed for num.network.threads=7, value "
                                 "should not be greater than double the current value 3"),
    ("num.replica.fetchers", "3", "Dynamic thread count update validation failed for num.replica.fetchers=3, value "
                                  "should not be greater than double the current value 1"),
    ("num.recovery.threads.per.data.dir", "3", "Dynamic thread count update validation failed for "
     "num.recovery.threads.per.data.dir=3, value should not be greater than double the current value 1"),
    ("background.threads", "4", "Dynamic thread count update validation failed for background.threads=4, value should "
                                "be at least half the current value 10"),
])
def test_a_number_of_threads_changes_by_half_or_double_at_most(whole, key, value, why):
    for broker in (whole.brokers[0], ""):
        with raw.Connection(*whole.address(str(whole.brokers[0]))) as c, pytest.raises(raw.KafkaError) as e:
            settings.alter_broker_by(c, broker, {key: value})
        assert e.value.code == INVALID_REQUEST
        assert why in str(e.value) or (value == "0" and "by zero" in str(e.value))   # Kafka 3.9.2 divides by it
