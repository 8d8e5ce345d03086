"""ListOffsets 0, which answers with the offsets at which segments begin. TARGET=kafka asks Kafka the same."""
import time

import pytest

from tests.kit import batch, ops, raw
from tests.kit.cluster import wait_until

RECORDS = 9


@pytest.fixture
def segments(whole, topic):
    """A topic of one partition, two records to a segment but for the last one."""
    name = topic(partitions=1, configs={"segment.bytes": "170"})
    leader = ops.partitions_of(whole, name)[0].leader
    with raw.Connection(whole.host, whole.port(str(leader))) as c:
        for i in range(RECORDS):
            answer = c.ask(raw.PRODUCE, 10, raw.produce_body(name, {0: batch.build([b"%d" % i])}))
            assert raw.produce_answer(answer)[0][0].error == 0
    wait_until(lambda: ops.end_offset(whole, name, 0) == RECORDS, 30, "everything is committed")
    return name


def ask_old(cluster, broker, topic, timestamp, count, replica=-1, partition=0):
    body = raw.Writer().put("ii", replica, 1).string(topic).put("i", 1).put("iqi", partition, timestamp, count).out
    with raw.Connection(cluster.host, cluster.port(str(broker))) as c:
        r = c.ask(raw.LIST_OFFSETS, 0, body)
    assert r.get("i") == 1 and r.string() == topic and r.get("i") == 1
    index, error, n = r.get("ihi")
    assert index == partition
    return error, [r.get("q") for _ in range(n)]


def test_segments_are_listed_newest_first(whole, segments):
    part = ops.partitions_of(whole, segments)[0]
    old = lambda *a, **k: ask_old(whole, part.leader, segments, *a, **k)     # noqa: E731
    assert old(raw.LATEST, 100) == (0, [9, 8, 6, 4, 2, 0])
    assert old(raw.LATEST, 2) == (0, [9, 8])
    assert old(raw.LATEST, 0) == (0, [])
    assert old(raw.EARLIEST, 100) == (0, [0])
    assert old(0, 100) == (0, [])
    assert old(-3, 100) == (35, []), "a special timestamp of later versions"
    assert old(int(time.time() * 1000) + 3600000, 3) == (0, [9, 8, 6])
    assert old(int(time.time() * 1000) - 3600000, 100) == (0, [])


def test_who_may_not_ask_is_told(whole, segments):
    part = ops.partitions_of(whole, segments)[0]
    follower = next(b for b in part.replicas if b != part.leader)
    assert ask_old(whole, part.leader, segments, raw.LATEST, -1) == (-1, [])
    assert ask_old(whole, follower, segments, raw.LATEST, 100) == (6, [])
    assert ask_old(whole, follower, segments, raw.LATEST, 100, replica=-2)[0] == 0, "a debugger asks any replica"
    assert ask_old(whole, part.leader, segments, raw.LATEST, 100, partition=7) == (3, [])
    assert ask_old(whole, part.leader, "nowhere", raw.LATEST, 100) == (3, [])


def test_it_is_advertised(whole):
    with raw.Connection(whole.host, whole.port(whole.brokers[0])) as c:
        assert c.api_versions()[raw.LIST_OFFSETS] == (0, 9)
