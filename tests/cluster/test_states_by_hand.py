"""States of partitions that another hand has set back or removed: what stands in ZooKeeper is written over in a later
leader epoch, nobody keeps trying, and records are taken as before."""
import json

import pytest

from tests.kit import batch, ops
from tests.kit.cluster import wait_until

pytestmark = pytest.mark.moldau_only


@pytest.fixture(scope="module")
def cluster(new_cluster):
    made = new_cluster("by-hand", brokers=3)
    yield made
    made.close()


def path_of(name):
    return f"/brokers/topics/{name}/partitions/0/state"


def state(zk, name):
    found = zk.get(path_of(name))
    return json.loads(found[0]) if found is not None else None


def fill(cluster, name, first):
    def ask(c):
        values = [b"%d" % v for v in range(first, first + 100)]
        assert c.produce(name, {0: batch.build(values)})[0].error == 0
    ops.ask_leader(cluster, name, 0, ask)


def bounce(cluster, node):
    cluster.kill(node)
    cluster.start(node)
    ops.wait_full_isr(cluster)


def assert_it_goes_on(cluster, zk, name):
    fill(cluster, name, 100)
    assert [r.value for r in ops.read_partition(cluster, name, 0)] == [b"%d" % i for i in range(200)]
    ops.assert_replicas_identical(cluster, name)
    settled = zk.get(path_of(name))[2]
    bounce(cluster, "1")
    assert zk.get(path_of(name))[2] - settled < 20   # a few changes for the broker that was killed


def test_a_state_that_is_set_back(whole, topic, zk):
    name = topic(assignments=[[1, 2, 3]])
    fill(whole, name, 0)
    bounce(whole, "1")
    before = state(zk, name)
    assert before["leader_epoch"] > 0
    zk.put(path_of(name), json.dumps({**before, "leader": 3, "leader_epoch": 0}))
    whole.kill("2")
    wait_until(lambda: state(zk, name)["leader_epoch"] > before["leader_epoch"], 30, "it is written over")
    assert state(zk, name)["leader"] == 3
    whole.start("2")
    ops.wait_full_isr(whole)
    assert_it_goes_on(whole, zk, name)


def test_a_state_that_is_removed(whole, topic, zk):
    name = topic(assignments=[[1, 2, 3]])
    fill(whole, name, 0)
    before = state(zk, name)
    zk.delete(path_of(name))
    whole.kill("2")
    wait_until(lambda: state(zk, name) is not None, 30, "it is made again")
    assert state(zk, name)["leader_epoch"] > before["leader_epoch"]
    whole.start("2")
    ops.wait_full_isr(whole)
    assert_it_goes_on(whole, zk, name)
