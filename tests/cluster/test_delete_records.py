"""DeleteRecords: gone at the leader at once, at all live replicas when it is answered, and for good."""
import time

import pytest

from tests.kit import batch, ops, raw
from tests.kit.cluster import wait_until


def fill(cluster, name, count=10, partition=0):
    def ask(c):
        for i in range(count):
            assert c.produce(name, {partition: batch.build([b"%d" % i])})[partition].error == 0
    ops.ask_leader(cluster, name, partition, ask)


def begin(c, name, partition=0):
    error, _, offset = c.list_offsets(name, {partition: raw.EARLIEST})[partition]
    assert error == 0
    return offset


def test_records_go_at_every_replica(whole, topic):
    name = topic(partitions=1)
    fill(whole, name)

    def ask(c):
        assert c.delete_records(name, {0: 4}) == {0: (0, 4)}
        assert begin(c, name) == 4
        assert c.fetch(name, {0: 3})[0].error == 1, "a consumer below is told so"
        got = c.fetch(name, {0: 4})[0]
        assert (got.error, got.log_start) == (0, 4)
        assert c.delete_records(name, {0: 2}) == {0: (0, 4)}, "what is gone already is no error"
    ops.ask_leader(whole, name, 0, ask)
    for b in whole.brokers:                     # each replica says its own start to a consumer that may read there
        with raw.Connection(whole.host, whole.port(b)) as c:
            assert c.fetch(name, {0: 4}, max_wait_ms=0)[0].log_start == 4, b
    assert [r.value for r in ops.read_partition(whole, name, 0, start=4)] == [b"%d" % i for i in range(4, 10)]


@pytest.mark.moldau_only
def test_followers_hear_of_it_at_once(whole, topic):
    """Not when the wait of their fetch (half a second) ends."""
    name = topic(partitions=1)
    fill(whole, name, 30)

    def ask(c):
        took = []
        for offset in range(1, 11):
            began = time.monotonic()
            assert c.delete_records(name, {0: offset}) == {0: (0, offset)}
            took.append(time.monotonic() - began)
        return sorted(took)[5]
    assert ops.ask_leader(whole, name, 0, ask) < 0.2


def test_up_to_the_high_watermark_and_errors(whole, topic):
    name = topic(partitions=2)
    fill(whole, name)

    def ask(c):
        assert c.delete_records(name, {0: 11}) == {0: (1, -1)}
        assert c.delete_records(name, {0: -2}) == {0: (1, -1)}
        assert c.delete_records(name, {7: 0}) == {7: (3, -1)}
        assert c.delete_records("nobody", {0: 0}) == {0: (3, -1)}
        assert c.delete_records(name, {0: -1}) == {0: (0, 10)}
        assert c.fetch(name, {0: 10}, max_wait_ms=0)[0].data == b""
    ops.ask_leader(whole, name, 0, ask)
    fill(whole, name, 1)
    assert [r.offset for r in ops.read_partition(whole, name, 0, start=10)] == [10]
    leader = ops.partitions_of(whole, name)[0].leader
    follower = next(b for b in whole.brokers if int(b) != leader)
    with raw.Connection(whole.host, whole.port(follower)) as c:
        assert c.delete_records(name, {0: 1}) == {0: (6, -1)}


def test_a_topic_that_is_only_compacted_keeps_its_records(whole, topic):
    name = topic(partitions=1, configs={"cleanup.policy": "compact"})
    both = topic(partitions=1, configs={"cleanup.policy": "compact,delete"})

    def ask(c, of):
        assert c.produce(of, {0: batch.build([b"v"], keys=[b"k"])})[0].error == 0
        return c.delete_records(of, {0: 1})[0]
    assert ops.ask_leader(whole, name, 0, lambda c: ask(c, name)) == (44, -1)
    assert ops.ask_leader(whole, both, 0, lambda c: ask(c, both)) == (0, 1)


def test_a_dead_replica_is_not_waited_for_and_follows_later(whole, topic):
    name = topic(partitions=1)
    fill(whole, name)
    leader = ops.partitions_of(whole, name)[0].leader
    dead = next(b for b in whole.brokers if int(b) != leader)
    whole.kill(dead)

    def is_known():     # ours leaves the ISR when it is known to be dead, and the list when its session has expired
        if whole.target == "moldau":
            return int(dead) not in ops.partitions_of(whole, name)[0].isr
        return int(dead) not in ops.metadata(whole, [name]).brokers
    wait_until(is_known, 60, "the dead one is known to be dead")
    assert ops.ask_leader(whole, name, 0, lambda c: c.delete_records(name, {0: 6})) == {0: (0, 6)}
    whole.start(dead)

    def follows():
        with raw.Connection(whole.host, whole.port(dead)) as c:
            got = c.fetch(name, {0: 6}, max_wait_ms=0)[0]
            return (got.error, got.log_start) == (0, 6)
    wait_until(follows, 60, "the start of the returned replica")


def test_a_replica_that_hangs_makes_it_time_out(whole, topic):
    name = topic(partitions=1)
    fill(whole, name)
    leader = ops.partitions_of(whole, name)[0].leader
    hung = next(b for b in whole.brokers if int(b) != leader)
    with raw.Connection(whole.host, whole.port(str(leader))) as c:
        whole.pause(hung)
        try:
            assert c.delete_records(name, {0: 5}, timeout_ms=300)[0] == (7, 0)
            assert begin(c, name) == 5, "gone all the same"
        finally:
            whole.resume(hung)
        wait_until(lambda: c.delete_records(name, {0: 5})[0] == (0, 5), 30, "the hung replica follows")


def test_the_start_survives_a_stop(whole, topic):
    name = topic(partitions=1, replication=1)
    fill(whole, name)
    leader = str(ops.partitions_of(whole, name)[0].leader)
    assert ops.ask_leader(whole, name, 0, lambda c: c.delete_records(name, {0: 7})) == {0: (0, 7)}
    whole.stop(leader)
    whole.start(leader)
    whole.wait_serving()
    assert [r.offset for r in ops.read_partition(whole, name, 0, start=7)] == [7, 8, 9]
