"""What stands in ZooKeeper while a partition moves, while a topic is deleted whose replica is down, and around an
unclean election: as Apache Kafka 3.9 left it there (tests/data/zookeeper/moments.jsonl), byte by byte but for ids and
the controller's epoch. How epochs count through a longer story is told to the controller's core, in recorded_test."""
import json
import os
import re

from tests.kit import batch, ops, raw, settings
from tests.kit.cluster import ROOT, wait_until

MOMENTS = ROOT / "tests" / "data" / "zookeeper" / "moments.jsonl"
UNCLEAN = 1


def recorded(moment):
    """{path: (value, version)}"""
    nodes = map(json.loads, MOMENTS.read_text().splitlines())
    return {n["path"]: (n["data"] or "", n["version"]) for n in nodes if n["moment"] == moment}


def standing(zk, path):
    node = zk.get(path)
    if node is None:
        return {}
    found = {path: (node[0].decode(), node[2])}
    for child in zk.children(path):
        found |= standing(zk, f"{path}/{child}")
    return found


def tree_of(zk, name, called):
    """All that stands about a topic, as if it had the name that it was recorded with."""
    roots = ["/admin/delete_topics", f"/brokers/topics/{name}", f"/config/topics/{name}"]
    nodes = {path: node for root in roots for path, node in standing(zk, root).items()}
    return {path.replace(name, called): node for path, node in nodes.items()}


def value(text):
    return re.sub(r'("topic_id":")[^"]*|("controller_epoch":)\d+', r"\1\2…", text)


def is_state(path):
    return path.endswith("/state")


def values(tree):
    """Settings stand in no order, everything else is compared as it is written."""
    return {path: json.loads(text) if path.startswith("/config/") else value(text)
            for path, (text, _) in tree.items()}


def without_epochs(tree):
    """What says who leads and who is in sync, of a tree whose epochs are compared elsewhere."""
    return {path: re.sub(r'("leader_epoch":)\d+', r"\1…", text) if is_state(path) else text
            for path, text in values(tree).items()}


def epochs(tree):
    """(leader epoch, version) of the one partition of a tree"""
    (text, version), = [node for path, node in tree.items() if is_state(path)]
    return json.loads(text)["leader_epoch"], version


def stones(zk, broker, name):
    nodes = standing(zk, "/controllers/tombstones")
    return [path for path, (text, _) in nodes.items() if path.split("/")[-1].startswith(f"{broker}-") and name in text]


def fill(cluster, name, count):
    def ask(c):
        for _ in range(count):
            assert c.produce(name, {0: batch.build([os.urandom(10_000)])})[0].error == 0
    ops.ask_leader(cluster, name, 0, ask)


def set_rate(cluster, rate):
    for b in cluster.brokers:
        settings.alter_broker(cluster, b, {f"{side}.replication.throttled.rate": rate for side in ("leader", "follower")})


def set_throttled(cluster, name, leaders, followers):
    settings.alter_topic(cluster, name, {"leader.replication.throttled.replicas": leaders,
                                         "follower.replication.throttled.replicas": followers})


def elect(c, name):
    body = raw.Writer().put("b", UNCLEAN).carray(1).cstring(name).carray(1).put("i", 0).tags().put("i", 30000).tags().out
    r = c.ask(raw.ELECT_LEADERS, 2, body)
    _, error = r.get("ih")
    assert error == 0, error


def partition(cluster, name):
    return ops.partitions_of(cluster, name)[0]


def test_while_a_partition_moves_and_after(whole, topic, zk):
    name = topic(assignments=[[1, 2]])
    fill(whole, name, 400)      # the first MiB passes any throttle
    set_throttled(whole, name, "0:1,0:2", "0:3")
    set_rate(whole, "2000")
    assert ops.ask_controller(whole, lambda c: c.alter_reassignments({(name, 0): [3, 2]}))[name, 0][0] == 0
    moving = recorded("moving")
    broker = moving.pop("/config/brokers/3")
    assert json.loads(zk.get("/config/brokers/3")[0]) == json.loads(broker[0])
    tree = tree_of(zk, name, "reasg2")
    assert values(tree) == values(moving)
    assert epochs(tree) == epochs(moving)
    set_rate(whole, None)
    set_throttled(whole, name, None, None)
    moved = recorded("moved")
    broker = moved.pop("/config/brokers/3")
    assert json.loads(zk.get("/config/brokers/3")[0]) == json.loads(broker[0])
    wait_until(lambda: without_epochs(tree_of(zk, name, "reasg2")) == without_epochs(moved), 60, "it has moved")


def test_while_a_topic_is_deleted_whose_replica_is_down_and_after(whole, topic, zk):
    name = topic(assignments=[[1, 2]])
    whole.stop("1")
    ops.ask_controller(whole, lambda c: c.delete_topic(name))
    if whole.target == "kafka":
        want = values(recorded("deleting, 1 is down"))
        wait_until(lambda: values(tree_of(zk, name, "deleteme")) == want, 30, "it is being deleted")
    else:   # the absent is not waited for: it finds a stone, with the topic's id, when it is back
        nothing = values(recorded("1 is back"))
        wait_until(lambda: values(tree_of(zk, name, "deleteme")) == nothing, 30, "nothing is left of it")
        assert stones(zk, 1, name) and not stones(zk, 2, name)
    whole.start("1")
    want = values(recorded("1 is back"))
    wait_until(lambda: values(tree_of(zk, name, "deleteme")) == want, 60, "nothing is left of it")
    wait_until(lambda: not list(whole.data("1").parent.glob(f"*/{name}-0")), 60, "its log is gone")
    if whole.target == "moldau":
        wait_until(lambda: not stones(zk, 1, name), 30, "its stone is gone")


def test_around_an_unclean_election(whole, topic, zk):
    name = topic(assignments=[[1, 2]])
    whole.kill("2")
    wait_until(lambda: partition(whole, name).isr == [1], 60, "broker 1 is alone in sync")
    whole.kill("1")
    wait_until(lambda: partition(whole, name).leader == -1, 60, "nobody leads")
    before, tree = recorded("nobody leads"), tree_of(zk, name, "unc")
    assert without_epochs(tree) == without_epochs(before)
    start = epochs(tree)
    whole.start("2")
    whole.wait_serving()
    ops.ask_controller(whole, lambda c: elect(c, name))
    wait_until(lambda: partition(whole, name).leader == 2, 60, "broker 2 leads")
    after, tree = recorded("unclean election"), tree_of(zk, name, "unc")
    assert without_epochs(tree) == without_epochs(after)
    steps = [tuple(b - a for a, b in zip(x, y)) for x, y in ((epochs(before), epochs(after)), (start, epochs(tree)))]
    assert steps[0] == steps[1]
