"""Partitions move to other brokers: what the topic's znode says on the way, records, files, and who dies meanwhile."""
import json

import pytest

from tests.kit import batch, ops
from tests.kit.cluster import wait_until


@pytest.fixture(scope="module")
def cluster(new_cluster):
    made = new_cluster("reassign", brokers=4)
    yield made
    made.close()


def fill(cluster, name, count, first=0):
    def ask(c):
        for i in range(first, first + count, 50):
            values = [b"%d" % v for v in range(i, min(i + 50, first + count))]
            assert c.produce(name, {0: batch.build(values)})[0].error == 0
    ops.ask_leader(cluster, name, 0, ask)


def assigned(zk, name):
    node = json.loads(zk.get(f"/brokers/topics/{name}")[0])
    return node["partitions"]["0"], node["adding_replicas"].get("0"), node["removing_replicas"].get("0")


def move(cluster, name, replicas):
    return ops.ask_controller(cluster, lambda c: c.alter_reassignments({(name, 0): replicas}))[name, 0][0]


def wait_moved(cluster, name, replicas):
    def moved():
        p = ops.partitions_of(cluster, name)[0]
        return p.replicas == replicas and sorted(p.isr) == sorted(replicas) and p.leader in replicas
    wait_until(moved, 60, f"{name} is on {replicas}")
    wait_until(lambda: ops.ask_controller(cluster, lambda c: c.list_reassignments()) == {}, 30, "nothing moves")


def wait_files_gone(cluster, name, *brokers):
    def gone():
        return not [d for b in brokers for d in cluster.data(str(b)).parent.glob(f"*/{name}-0")]
    wait_until(gone, 30, f"{name}-0 is deleted at {brokers}")


def assert_all_there(cluster, name, count):
    assert [r.value for r in ops.read_partition(cluster, name, 0)] == [b"%d" % i for i in range(count)]


def test_to_other_brokers_and_back(whole, topic, zk):
    name = topic(assignments=[[1, 2]])
    fill(whole, name, 500)
    assert move(whole, name, [4, 3]) == 0
    wait_moved(whole, name, [4, 3])
    fill(whole, name, 500, 500)
    assert_all_there(whole, name, 1000)
    wait_files_gone(whole, name, 1, 2)
    assert assigned(zk, name) == ([4, 3], None, None)
    assert json.loads(zk.get(f"/brokers/topics/{name}/partitions/0/state")[0])["leader"] in (3, 4)
    assert move(whole, name, [1, 2, 3]) == 0
    wait_moved(whole, name, [1, 2, 3])
    assert_all_there(whole, name, 1000)
    ops.assert_replicas_identical(whole, name)
    wait_files_gone(whole, name, 4)


def test_under_way_replaced_and_cancelled(whole, topic, zk):
    """Broker 4 dies as soon as it is wanted, so that the move cannot end."""
    name = topic(assignments=[[1, 2]])
    fill(whole, name, 100)
    whole.pause("4")                    # hangs, and is not fenced yet
    try:
        assert move(whole, name, [4, 2]) == 0
        assert assigned(zk, name) == ([4, 2, 1], [4], [1])
        got = ops.ask_controller(whole, lambda c: c.list_reassignments())
        assert got == {(name, 0): ([4, 2, 1], [4], [1])}
        assert move(whole, name, [3, 2]) == 0
        wait_moved(whole, name, [3, 2])
        assert move(whole, name, None) == 85, "NO_REASSIGNMENT_IN_PROGRESS"
    finally:
        whole.resume("4")
    ops.wait_full_isr(whole)
    assert_all_there(whole, name, 100)
    wait_files_gone(whole, name, 1, 4)


def test_refusals(whole, topic):
    name = topic(assignments=[[1, 2]])
    for replicas in ([], [1, 1], [-1], [1, 99]):
        assert move(whole, name, replicas) == 39, replicas
    assert move(whole, "nobody", [1]) == 3
    assert move(whole, name, None) == 85
    assert move(whole, name, [2, 1]) == 0
    wait_moved(whole, name, [2, 1])


@pytest.mark.moldau_only
def test_controllers_die_on_the_way(whole, topic):
    name = topic(assignments=[[1, 2]])
    fill(whole, name, 2000)
    for target in ([3, 4], [1, 2], [4, 1]):
        assert move(whole, name, target) == 0
        active = wait_until(whole.active_controller, 30, "an active controller")
        whole.kill(active)
        wait_moved(whole, name, target)
        whole.start(active)
        wait_until(lambda: whole.active_controller() is not None, 30, "a controller is active")
    assert_all_there(whole, name, 2000)
    wait_files_gone(whole, name, 2, 3)


@pytest.mark.moldau_only
def test_a_broker_that_was_away_deletes_when_it_comes_back(whole, topic):
    name = topic(assignments=[[1, 2]])
    fill(whole, name, 100)
    whole.kill("2")
    assert move(whole, name, [1, 3]) == 0
    wait_moved(whole, name, [1, 3])
    assert list(whole.data("2").parent.glob(f"*/{name}-0"))
    whole.start("2")
    wait_files_gone(whole, name, 2)
    assert_all_there(whole, name, 100)


def test_what_old_tools_write_into_znodes(whole, topic, zk):
    name = topic(assignments=[[1, 2]])
    fill(whole, name, 100)
    wish = {"version": 1, "partitions": [{"topic": name, "partition": 0, "replicas": [3, 4]}]}
    zk.create("/admin/reassign_partitions", json.dumps(wish))
    wait_moved(whole, name, [3, 4])
    wait_until(lambda: zk.get("/admin/reassign_partitions") is None, 30, "the znode is gone")
    assert_all_there(whole, name, 100)
    assert move(whole, name, [4, 3]) == 0       # 3 goes on leading
    wait_moved(whole, name, [4, 3])
    assert ops.partitions_of(whole, name)[0].leader == 3
    wish = {"version": 1, "partitions": [{"topic": name, "partition": 0}]}
    zk.create("/admin/preferred_replica_election", json.dumps(wish))
    wait_until(lambda: ops.partitions_of(whole, name)[0].leader == 4, 30, "the preferred replica leads")
    wait_until(lambda: zk.get("/admin/preferred_replica_election") is None, 30, "the znode is gone")
    zk.create("/isr_change_notification/isr_change_0000000042", json.dumps(wish))
    wait_until(lambda: not zk.children("/isr_change_notification"), 30, "the note is gone")
    zk.create("/log_dir_event_notification/log_dir_event_0000000042", '{"version":1,"broker":1,"event":1}')
    wait_until(lambda: not zk.children("/log_dir_event_notification"), 30, "the note is gone")


def test_a_topic_that_an_old_tool_grows(whole, topic, zk):
    """kafka-topics --zookeeper of before 3.0 writes the topic's znode, and tells nobody."""
    name = topic(assignments=[[1, 2]])
    fill(whole, name, 10)
    node = json.loads(zk.get(f"/brokers/topics/{name}")[0])
    node["partitions"]["1"] = [2, 3]
    zk.put(f"/brokers/topics/{name}", json.dumps(node))
    wait_until(lambda: ops.partitions_of(whole, name)[1].leader in (2, 3), 60, "the new partition is led")
    ops.ask_leader(whole, name, 1, lambda c: c.produce(name, {1: batch.build([b"one"])}))
    assert_all_there(whole, name, 10)
