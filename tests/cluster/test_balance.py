"""Leadership goes back to preferred replicas by itself (auto.leader.rebalance.enable), as soon as a broker misses more
than a tenth of what it should lead, and never to a replica that is not in sync.

What is not moved is shown by what is: in the same look, or a later one, another broker gets back all that it misses."""
import time

import pytest

from tests.cluster.test_failures import assert_nothing_lost
from tests.kit import batch, ops, settings
from tests.kit.cluster import wait_until
from tests.kit.rawload import RawLoad

EVERY = {"leader.imbalance.check.interval.seconds": 1}
HALF_MIB = 1 << 19


@pytest.fixture(scope="module")
def cluster(new_cluster):
    made = new_cluster("balance", settings=EVERY)
    yield made
    made.close()


@pytest.fixture
def topic(topic, whole):
    """What each test counts is all there is."""
    made = []

    def make(**options):
        made.append(topic(**options))
        return made[-1]
    yield make
    for name in made:
        ops.ask_controller(whole, lambda c, name=name: c.delete_topic(name))


def leaders(cluster, topic):
    return {i: p.leader for i, p in ops.partitions_of(cluster, topic).items()}


def wait_led_by(cluster, topic, broker, what):
    wait_until(lambda: set(leaders(cluster, topic).values()) == {broker}, 60, what)


def move(cluster, topic, partition, replicas):
    moves = {(topic, partition): replicas}
    assert ops.ask_controller(cluster, lambda c: c.alter_reassignments(moves))[topic, partition][0] == 0

    def is_there():
        p = ops.partitions_of(cluster, topic)[partition]
        return p.replicas == replicas and sorted(p.isr) == sorted(replicas)
    wait_until(is_there, 60, f"{topic}-{partition} is on {replicas}")


def lead_elsewhere(cluster, topic, partition):
    """The first replica goes and comes back, in sync again, as a follower."""
    replicas = ops.partitions_of(cluster, topic)[partition].replicas
    move(cluster, topic, partition, replicas[1:])
    move(cluster, topic, partition, replicas)


def wait_for_looks(cluster, witness):
    """Leadership has been looked at since: all of the witness, which is preferred elsewhere, was moved back."""
    first = ops.partitions_of(cluster, witness)[0].replicas[0]
    move(cluster, witness, 0, ops.partitions_of(cluster, witness)[0].replicas[1:])
    move(cluster, witness, 0, [first, *ops.partitions_of(cluster, witness)[0].replicas])
    wait_led_by(cluster, witness, first, "leadership was looked at")


def test_leadership_goes_back_to_who_comes_back(whole, topic):
    name = topic(assignments=[[1, 2, 3], [2, 3, 1], [3, 1, 2]] * 2)
    load = RawLoad(whole.addresses, name, range(6), rate=600, idempotent=True).start()
    wait_until(lambda: all(load.acked[p] for p in load.partitions), 30, "load is running")
    whole.kill("1")
    load.wait_acked_past(time.monotonic(), 60)
    assert 1 not in leaders(whole, name).values()
    whole.start("1")
    wait_until(lambda: leaders(whole, name) == dict(enumerate([1, 2, 3] * 2)), 90, "all are led by their first replica")
    load.wait_acked_past(time.monotonic(), 60)
    load.stop()
    assert_nothing_lost(whole, load)


def test_a_tenth_may_be_led_elsewhere_and_no_more(whole, topic):
    name = topic(assignments=[*[[1, 2, 3]] * 20, [2, 3, 1]])
    witness = topic(assignments=[[3, 2]])
    for partition in (4, 7):
        lead_elsewhere(whole, name, partition)
    for _ in range(2):
        wait_for_looks(whole, witness)
    assert leaders(whole, name) == {i: 2 if i in (4, 7, 20) else 1 for i in range(21)}      # two of twenty
    move(whole, name, 20, [1, 2, 3])                                                        # three of 21
    wait_led_by(whole, name, 1, "all three are led by their first replica")


def test_who_is_not_in_sync_does_not_lead(whole, topic):
    name = topic(assignments=[[1, 2]], configs={"follower.replication.throttled.replicas": "0:1"})
    witness = topic(assignments=[[3, 2]])
    settings.alter_broker(whole, "1", {"follower.replication.throttled.rate": str(64 << 10)})
    whole.stop("1")
    for _ in range(16):
        done = ops.ask_leader(whole, name, 0, lambda c: c.produce(name, {0: batch.build([b"x" * HALF_MIB])}))
        assert done[0].error == 0
    whole.start("1")
    whole.wait_serving()
    for _ in range(2):
        wait_for_looks(whole, witness)
    part = ops.partitions_of(whole, name)[0]
    assert (part.leader, part.isr) == (2, [2])
    settings.alter_broker(whole, "1", {"follower.replication.throttled.rate": None})
    wait_led_by(whole, name, 1, "its first replica leads it when it is in sync")


def test_nothing_goes_back_when_it_is_switched_off(new_cluster):
    """Written to for as long as several looks and the first, five seconds after the controller's start, would take."""
    with new_cluster("unbalanced", settings={**EVERY, "auto.leader.rebalance.enable": "false"}) as cluster:
        ops.create_topic(cluster, "t", assignments=[[1, 2, 3]] * 3)
        cluster.stop("1")
        cluster.start("1")
        cluster.wait_serving()
        ops.wait_full_isr(cluster)
        since = leaders(cluster, "t")
        assert 1 not in since.values()
        with RawLoad(cluster.addresses, "t", range(3), rate=300) as load:
            load.wait_acked_past(time.monotonic() + 8, 30)
        assert leaders(cluster, "t") == since
