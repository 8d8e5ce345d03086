"""flush.messages=1: an answer waits for the disks of everybody in sync, and of a coordinator; other topics do not."""
import select
import time

import pytest

from tests.cluster.test_failures import assert_nothing_lost, run_load
from tests.kit import batch, ops, raw, raw_groups, settings
from tests.kit.bad_disk import SYNC, disk, healed   # noqa: F401 - fixtures
from tests.kit.cluster import wait_until

pytestmark = pytest.mark.moldau_only
SLOW_MS = 3000
FLUSHED = {"flush.messages": 1}


@pytest.fixture(scope="module")
def cluster(new_cluster, disk):
    made = new_cluster("flush", env=disk.env())
    yield made
    made.close()


def on_one_leader(topic, configs):
    return topic(partitions=1, configs=configs, assignments=[[1, 2, 3]])


def is_answered(c):
    return bool(select.select([c.sock], [], [], 0)[0])


@pytest.mark.parametrize("whose", ["follower", "leader"])
def test_an_acknowledged_record_is_on_every_disk(whole, topic, disk, whose):
    name, plain = on_one_leader(topic, FLUSHED), on_one_leader(topic, None)
    value = batch.build([b"x"])
    with raw.Connection(whole.host, whole.port("1")) as c, raw.Connection(whole.host, whole.port("1")) as other:
        for t in (name, plain):
            assert c.produce(t, {0: value})[0].error == 0
        disk.slow(ops.replica_dir(whole, "1" if whose == "leader" else "3", name, 0), SYNC, SLOW_MS)
        began = time.monotonic()
        c.send(raw.PRODUCE, 9, raw.produce_body(name, {0: value}))
        for _ in range(5):              # followed by the same loops, by way of the same connections
            assert other.produce(plain, {0: value})[0].error == 0
        assert not is_answered(c), f"answered after {time.monotonic() - began:.3f} s"
        assert other.list_offsets(name, {0: raw.LATEST})[0] == (0, -1, 1), "a consumer is shown it already"
        out, _ = raw.produce_answer(raw.open_answer(raw.PRODUCE, 9, c.receive()))
        assert (out[0].error, out[0].base_offset) == (0, 1)
        assert time.monotonic() - began >= SLOW_MS / 1000
        assert disk.hits() > 0


def test_a_commit_is_answered_when_it_is_on_the_disk(whole, topic, disk):
    name, group = topic(partitions=1), "flushed"
    where = ops.coordinator(whole, group)
    settings.alter_topic(whole, "__consumer_offsets", {"flush.messages": "1"})
    with raw.Connection(whole.host, whole.port(where)) as c:
        def commit(offset):
            return set(raw_groups.commit(c, group, {name: {0: offset}}).values()) == {0}

        wait_until(lambda: commit(1), 30, "a first commit")
        dirs = [p for p in whole.data(where).glob("__consumer_offsets-*") if batch_bytes(p)]
        assert len(dirs) == 1, f"the group is in one of {dirs}"
        disk.slow(dirs[0], SYNC, SLOW_MS)
        wait_until(lambda: takes_long(lambda: commit(2)), 30, "a commit that waits for the disk")


def batch_bytes(folder):
    return sum(p.stat().st_size for p in folder.glob("*.log"))


def takes_long(commit):
    """The setting reaches the coordinator by and by."""
    began = time.monotonic()
    assert commit()
    return time.monotonic() - began >= SLOW_MS / 1000


def test_nothing_is_lost_when_leaders_die(whole, topic):
    name = topic(partitions=6, configs=FLUSHED)
    load = run_load(whole, name, idempotent=True)
    for _ in range(2):
        victim = str(ops.partitions_of(whole, name)[0].leader)
        at = whole.kill_at_once(victim)
        load.wait_acked_past(at, 60)
        whole.wait_gone(victim)
        whole.start(victim)
        ops.wait_full_isr(whole)
    load.stop()
    assert_nothing_lost(whole, load)
    ops.assert_replicas_identical(whole, name)
