"""Replication quotas: a reassignment under a throttle takes about as long as its bytes take at the rate, whoever of
the two sides holds it back, and nobody else notices; without the throttle it ends."""
import os
import time

import pytest

from tests.kit import batch, ops, settings
from tests.kit.cluster import wait_until
from tests.kit.rawload import RawLoad

MIB = 1 << 20
SIDES = ("leader", "follower")


@pytest.fixture(scope="module")
def cluster(new_cluster):
    made = new_cluster("throttle", brokers=3)
    yield made
    made.close()


def set_rate(cluster, sides, rate):
    for b in cluster.brokers:
        settings.alter_broker(cluster, b, {f"{side}.replication.throttled.rate": rate and str(rate) for side in sides})


def set_replicas(cluster, topic, lists):
    settings.alter_topic(cluster, topic, {f"{side}.replication.throttled.replicas": v for side, v in lists.items()})


def fill(cluster, topic, mib):
    def ask(c):
        for _ in range(mib * 16):
            assert c.produce(topic, {0: batch.build([os.urandom(MIB // 16)])})[0].error == 0
    ops.ask_leader(cluster, topic, 0, ask)


def move(cluster, topic, replicas):
    assert ops.ask_controller(cluster, lambda c: c.alter_reassignments({(topic, 0): replicas}))[topic, 0][0] == 0


def is_moved(cluster, topic, replicas):
    p = ops.partitions_of(cluster, topic)[0]
    return p.replicas == replicas and sorted(p.isr) == sorted(replicas)


def copied(cluster, broker, topic):
    return sum(f.stat().st_size for f in cluster.data(broker).parent.glob(f"*/{topic}-0/*.log"))


@pytest.fixture
def unthrottled(whole):
    yield whole
    set_rate(whole, SIDES, None)


@pytest.mark.parametrize("lists", [{"leader": "0:1,0:2"}, {"follower": "0:3"}, {"leader": "*", "follower": "*"}],
                         ids=["leader", "follower", "both"])
def test_a_move_takes_its_bytes_by_the_rate_and_nobody_else_notices(unthrottled, topic, lists):
    cluster, mib, rate = unthrottled, 12, 2 * MIB
    name, other = topic(assignments=[[1, 2]]), topic(assignments=[[1, 2, 3], [2, 3, 1], [3, 1, 2]])
    fill(cluster, name, mib)
    set_replicas(cluster, name, lists)
    set_rate(cluster, SIDES, rate)
    with RawLoad(cluster.addresses, other, range(3), rate=300) as load:
        load.wait_acked_past(time.monotonic() + 0.2, 30)       # brokers look at the rate ten times a second
        began = time.monotonic()
        move(cluster, name, [1, 3])
        wait_until(lambda: is_moved(cluster, name, [1, 3]), 60, "the partition has moved")
        ended = time.monotonic()
        load.wait_acked_past(ended, 30)
    took, slack = ended - began, load.slack(began, ended)
    assert took > 0.6 * mib * MIB / rate, f"{took:.1f} s is faster than the rate allows"
    assert took < 1.6 * mib * MIB / rate + 1.5 + slack, f"{took:.1f} s"
    for p in range(3):
        assert load.longest_gap(p, began, ended) < 0.5 + slack
    ops.assert_replicas_identical(cluster, name)


def test_writing_on_in_sync_replicas_is_never_throttled(unthrottled, topic):
    cluster = unthrottled
    name = topic(assignments=[[1, 2, 3]])
    set_replicas(cluster, name, {side: "*" for side in SIDES})
    set_rate(cluster, SIDES, 1024)
    with RawLoad(cluster.addresses, name, [0], rate=200, size=1000) as load:
        load.wait_acked_past(time.monotonic(), 30)
        began = time.monotonic()
        wait_until(lambda: load.total_acked() > 800, 60, "some time has passed")
        ended = time.monotonic()
    assert load.longest_gap(0, began, ended) < 0.5 + load.slack(began, ended)


def test_a_throttle_that_is_taken_away_lets_the_move_run(unthrottled, topic):
    cluster = unthrottled
    name, mib = topic(assignments=[[1, 2]]), 16
    set_replicas(cluster, name, {"leader": "0:1,0:2", "follower": "0:3"})
    set_rate(cluster, SIDES, 64 << 10)
    fill(cluster, name, mib)        # meanwhile brokers look at the rate
    move(cluster, name, [1, 3])
    wait_until(lambda: copied(cluster, "3", name) > 0, 30, "something was copied")
    wait_until(lambda: ops.ask_controller(cluster, lambda c: c.list_reassignments()), 30, "it is under way")
    assert copied(cluster, "3", name) < 8 * MIB
    set_replicas(cluster, name, dict.fromkeys(SIDES))
    began = time.monotonic()
    wait_until(lambda: is_moved(cluster, name, [1, 3]), 60, "the partition has moved")
    assert time.monotonic() - began < 15
    ops.assert_replicas_identical(cluster, name)
