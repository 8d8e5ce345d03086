"""Many partitions, in small: a warm standby takes over without reading them, a dead broker's are led again at once."""
import os
import signal

import pytest

from tests.kit import ops, scale
from tests.kit.cluster import make_cluster, wait_until

PARTITIONS, TOPICS, BROKERS = 3000, 300, 4


@pytest.fixture(scope="module")
def crowd(request):
    """Two controllers, a ZooKeeper, and brokers that are only words; c1 is active, c2 follows it."""
    if request.config.getoption("--target") == "kafka":
        pytest.skip("our controllers")
    scale.build()
    fakes = None
    with make_cluster("moldau", "scale") as cluster:
        cluster.up(brokers=0, controllers=2)
        zookeeper = f"127.0.0.1:{cluster.port('z1')}"
        for node in ("c1", "c2"):
            cluster.stop(node)
        scale.run("prepare", zookeeper, TOPICS, PARTITIONS, BROKERS, 3)
        cluster.start("c1")
        wait_until(lambda: scale.is_true(cluster, "c1", "active"), 60, "c1 is active")
        cluster.start("c2")
        fakes = scale.Fakes(zookeeper, BROKERS, [f"127.0.0.1:{cluster.port(c)}" for c in ("c1", "c2")])
        fakes.wait_live(set(range(1, BROKERS + 1)), scale.status(cluster, "c1")["epoch"])
        scale.wait_settled(cluster, "c1")
        wait_until(lambda: scale.is_true(cluster, "c2", "warm"), 30, "c2 is warm")
        try:
            yield cluster, fakes
        finally:
            fakes.close()


def test_a_dead_broker_and_then_a_dead_controller(crowd):
    cluster, fakes = crowd
    parts, ms = fakes.kill(4)
    assert parts >= PARTITIONS // BROKERS
    assert ms < 10000, f"{parts} partitions were led again after {ms:.0f} ms only"
    scale.wait_settled(cluster, "c1")

    epoch = scale.status(cluster, "c1")["epoch"]
    before = scale.status(cluster, "c1")
    cluster.kill_at_once("c1")
    fakes.wait_live({1, 2, 3}, epoch + 1)
    read = scale.last_line(cluster, "c2", "read the cluster from ZooKeeper")
    assert scale.number_in(read, "known") == PARTITIONS
    assert scale.number_in(read, "known_topics") == TOPICS
    after = scale.status(cluster, "c2")
    for key in ("topics", "partitions", "leaderless", "under_replicated"):
        assert after[key] == before[key]
    cluster.start("c1")
    wait_until(lambda: scale.is_true(cluster, "c1", "warm"), 30, "c1 is warm")
    for key in ("topics", "partitions", "leaderless", "under_replicated"):
        assert scale.status(cluster, "c1")[key] == before[key]


def test_a_hanging_controller_is_replaced_before_its_session_ends(whole, topic):
    if whole.target != "moldau":
        pytest.skip("our controllers")
    name = topic(partitions=3)
    active = wait_until(whole.active_controller, 30, "an active controller")
    other = "c1" if active == "c2" else "c2"
    wait_until(lambda: scale.is_true(whole, other, "warm"), 30, "the other one follows")
    os.kill(whole.pid(active), signal.SIGSTOP)
    try:
        # the session lasts 18 s
        page = wait_until(lambda: scale.is_true(whole, other, "active"), 12, "the other one has taken over")
        wait_until(lambda: scale.status(whole, other)["streams"] == len(whole.brokers), 30, "all brokers are its own")
    finally:
        os.kill(whole.pid(active), signal.SIGCONT)
    wait_until(lambda: scale.is_true(whole, active, "warm"), 30, "the one that hung follows its successor")
    assert scale.status(whole, active)["holder"] == page["id"]
    assert set(ops.partitions_of(whole, name)) == {0, 1, 2}
