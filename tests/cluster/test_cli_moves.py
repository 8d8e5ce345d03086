"""`moldau partition` and `moldau reassign` against a running cluster; of Apache Kafka as well."""
import json
import os
import subprocess

import pytest

from tests.kit import ops
from tests.kit.cluster import ROOT, wait_until

BINARY = os.environ.get("MOLDAU_CLI", str(ROOT / "build" / "bin" / "moldau"))


@pytest.fixture(scope="module")
def cluster(new_cluster):
    made = new_cluster("cli-moves", brokers=4, settings={"auto.leader.rebalance.enable": "false"})
    yield made
    made.close()


@pytest.fixture
def cli(whole, tmp_path):
    env = {k: v for k, v in os.environ.items() if not k.startswith("MOLDAU_")}
    env["MOLDAU_BOOTSTRAP"] = whole.bootstrap

    def run(*words, code=0, stdin=""):
        done = subprocess.run([BINARY, *map(str, words)], input=stdin, capture_output=True, text=True, timeout=120,
                              cwd=tmp_path, env=env)
        assert done.returncode == code, f"{words} ended with {done.returncode}\n{done.stdout}{done.stderr}"
        return done
    return run


@pytest.fixture
def topic(cli):
    made = []

    def make(*assignments, records=0):
        name = f"moves.{os.urandom(3).hex()}"
        made.append(name)
        cli("topic", "create", name, "--assignment", ":".join(",".join(map(str, a)) for a in assignments))
        if records:
            cli("produce", name, "-p", "0", stdin="".join(f"value {n}\n" for n in range(records)))
        return name
    yield make
    for name in made:
        cli("topic", "delete", name, "--yes", "--if-exists")


def shown(cli, *words):
    return json.loads(cli("partition", "show", *words, "--json").stdout)


def wait_replicas(cluster, name, replicas):
    wait_until(lambda: ops.partitions_of(cluster, name)[0].replicas == replicas, 60, f"{name}-0 is on {replicas}")


def test_a_partition_is_shown_replica_by_replica(cli, topic, whole):
    name = topic([1, 2, 3], [2, 3, 1], records=500)
    all_of = shown(cli, name)
    assert [(p["partition"], p["leader"], p["replicas"]) for p in all_of["partitions"]] == [
        (0, 1, [1, 2, 3]), (1, 2, [2, 3, 1])]

    def settled():
        one = shown(cli, f"{name}-0")
        return one["replicas"][1]["high_watermark"] == 500 and one
    one = wait_until(settled, 30, "followers know the high watermark")
    part = one["partitions"][0]
    assert (part["high_watermark"], part["leader_epoch"], part["partition_epoch"]) == (500, 0, 0)
    assert (part["eligible"], part["adding"], part["removing"], part["min_insync_replicas"]) == ([], [], [], 1)
    assert [(r["broker"], r["role"], r["state"], r["first_offset"], r["log_end_offset"], r["lag"])
            for r in one["replicas"]] == [(1, "leader", "in sync", 0, 500, 0), (2, "follower", "in sync", 0, 500, 0),
                                          (3, "follower", "in sync", 0, 500, 0)]
    for r in one["replicas"]:
        assert r["size_bytes"] > 500 and r["directory"] == str(whole.data(str(r["broker"])))
    assert "leader 1  leader epoch 0  partition epoch 0  high watermark 500" in cli(
        "partition", "show", f"{name}:0").stdout
    assert "has no partition 7" in cli("partition", "show", f"{name}-7", code=3).stderr
    assert "did you mean" in cli("partition", "show", f"{name}x-0", code=3).stderr


def test_a_broker_that_is_down_leaves_its_row(cli, topic, whole):
    name = topic([1, 2, 4])
    whole.kill("4")
    wait_until(lambda: sorted(ops.partitions_of(whole, name)[0].isr) == [1, 2], 30, "broker 4 is out of the ISR")
    cli("produce", name, stdin="x\n")
    rows = shown(cli, f"{name}-0")["replicas"]
    assert [(r["broker"], r["state"]) for r in rows] == [(1, "in sync"), (2, "in sync"), (4, "does not answer")]
    assert rows[2]["log_end_offset"] is None and rows[2]["lag"] is None


def test_leadership_is_transferred(cli, topic, whole):
    name = topic([1, 2, 3])
    done = cli("partition", "transfer", f"{name}-0", "--to", 2).stdout
    assert done == (f"broker 2 leads {name}-0, which broker 1 led\n"
                    "its replicas are 2,1,3 now: broker 2 is the preferred leader from here on\n")
    def led_by_2():
        part = ops.partitions_of(whole, name)[0]
        return (part.leader, part.replicas) == (2, [2, 1, 3])
    wait_until(led_by_2, 30, "broker 2 leads and is preferred")
    moved = json.loads(cli("partition", "transfer", f"{name}-0", "--to", 3, "--once", "--json").stdout)
    assert moved == [{"topic": name, "partition": 0, "from": 2, "to": 3, "replicas": [2, 1, 3]}]
    wait_until(lambda: ops.partitions_of(whole, name)[0].leader == 3, 30, "broker 3 leads")
    assert ops.partitions_of(whole, name)[0].replicas == [2, 1, 3]
    assert "has no replica" in cli("partition", "transfer", f"{name}-0", "--to", 4, code=4).stderr
    cli("partition", "transfer", f"{name}-0", code=2)

    assert json.loads(cli("partition", "elect", name, "--json").stdout) == [
        {"topic": name, "partition": 0, "result": "elected", "reason": None}]
    wait_until(lambda: ops.partitions_of(whole, name)[0].leader == 2, 30, "broker 2 leads again")
    assert "led already" in cli("partition", "elect", name).stdout
    assert name not in cli("partition", "elect", "--all").stdout


def test_elections_that_cannot_be(cli, topic, whole):
    name = topic([4, 2])
    lone = topic([4], records=10)
    whole.kill("4")
    wait_until(lambda: ops.partitions_of(whole, name)[0].leader == 2, 30, "broker 2 leads")
    wait_until(lambda: ops.partitions_of(whole, lone)[0].leader < 0, 30, "nobody leads")
    assert "its first replica is not there" in cli("partition", "elect", name, code=1).stdout
    assert "not in sync" in cli("partition", "transfer", name, "--to", 4, code=4).stderr
    refused = cli("partition", "elect", lone, "--unclean", code=4).stderr
    assert "throws away" in refused and f"next: moldau partition elect {lone} --unclean --yes" in refused
    assert "none of its replicas is there" in cli("partition", "elect", lone, "--unclean", "--yes", code=1).stdout
    cli("partition", "elect", code=2)


def test_replicas_of_one_partition(cli, topic, whole):
    name = topic([1, 2], records=20_000)
    plan = json.loads(cli("partition", "replicas", f"{name}-0", "--to", "3,2", "--json").stdout)
    assert (plan["applied"], plan["partitions"]) == (False, 1) and plan["copy_bytes"] > 20_000
    assert [(m["from"], m["to"], m["adds"], m["removes"], m["copy_bytes"]) for m in plan["moves"]] == [
        ([1, 2], [3, 2], [3], [1], plan["copy_bytes"])]
    assert ops.partitions_of(whole, name)[0].replicas == [1, 2]
    cli("partition", "replicas", f"{name}-0", "--to", "3,2", "--apply", "-w")
    wait_replicas(whole, name, [3, 2])
    assert json.loads(cli("partition", "replicas", f"{name}-0", "--to", "3,2", "--json").stdout)["moves"] == []
    assert "there is no broker 9" in cli("partition", "replicas", f"{name}-0", "--to", "3,9", code=3).stderr
    cli("partition", "replicas", f"{name}-0", "--to", "3,3", code=2)
    assert json.loads(cli("reassign", "status", "--json").stdout) == {
        "moving": 0, "total_bytes": 0, "done_bytes": 0, "percent": 100, "bytes_per_second": None, "left_ms": 0,
        "moves": []}


def wait_throttles(cli, brokers, topics):
    """Each broker says what it goes by, and hears of a change a little later than who made it."""
    def seen():
        found = json.loads(cli("reassign", "throttle", "--json").stdout)
        if found != {"brokers": brokers, "topics": topics}:
            raise ValueError(found)
        return True
    wait_until(seen, 30, "the throttles")


def load_of(cluster, names):
    """Replicas of these topics at each broker."""
    load = dict.fromkeys(range(1, 5), 0)
    for name in names:
        for part in ops.partitions_of(cluster, name).values():
            for broker in part.replicas:
                load[broker] += 1
    return load


def test_a_broker_is_drained_and_filled_again(cli, topic, whole, tmp_path):
    names = [topic([3, 1], [1, 2], [2, 3], records=1000), topic([4, 3, 1])]
    where = [w for name in names for w in ("-t", name)]
    (tmp_path / "before.json").write_text(cli("reassign", "export", *names).stdout)
    plan = json.loads(cli("reassign", "plan", "--drain", 3, *where, "--json").stdout)
    assert not plan["applied"] and [(m["topic"], m["partition"]) for m in plan["moves"]] == sorted(
        [(names[0], 0), (names[0], 2), (names[1], 0)])
    assert all(m["removes"] == [3] and 3 not in m["to"] and len(m["to"]) == len(m["from"]) for m in plan["moves"])
    assert plan["copy_bytes"] == sum(m["copy_bytes"] for m in plan["moves"]) > 1000
    assert load_of(whole, names)[3] == 3, "nothing was done"
    assert "nothing was done yet" in cli("reassign", "plan", "--drain", 3, *where).stderr

    cli("reassign", "plan", "--drain", 3, *where, "--apply", "-w", "--throttle", "10MB/s")
    wait_until(lambda: load_of(whole, names)[3] == 0, 60, "broker 3 is drained")
    wait_throttles(cli, [], [])
    back = json.loads(cli("reassign", "import", "before.json", "--json").stdout)
    assert not back["applied"] and len(back["moves"]) == 3
    cli("reassign", "apply", "before.json", "-w")
    wait_until(lambda: load_of(whole, names)[3] == 3, 60, "broker 3 has its replicas again")
    assert cli("reassign", "export", *names).stdout == (tmp_path / "before.json").read_text()
    assert json.loads(cli("reassign", "apply", "before.json", "--json").stdout)["moves"] == []


def test_plans_are_kept_and_evened(cli, topic, whole, tmp_path):
    name = topic(*[[1, 2]] * 6)
    cli("reassign", "plan", "--replication-factor", 3, "-t", name, "--save", "more.json")
    wanted = json.loads((tmp_path / "more.json").read_text())["partitions"]
    assert [(p["topic"], p["partition"], p["replicas"][:2]) for p in wanted] == [(name, n, [1, 2]) for n in range(6)]
    assert all(p["log_dirs"] == ["any"] * 3 for p in wanted)
    assert "cannot write" in cli("reassign", "plan", "--drain", 1, "-t", name, "--save", "more.json", code=1).stderr
    cli("reassign", "import", "more.json", "--apply", "-w")
    wait_until(lambda: all(len(p.replicas) == 3 for p in ops.partitions_of(whole, name).values()), 60, "3 replicas")
    only = json.loads(cli("reassign", "plan", "--add", 4, "-t", name, "--json").stdout)["moves"]
    assert all(m["adds"] == [4] for m in only)
    assert "more replicas than there are brokers" in cli(
        "reassign", "plan", "--drain", "1,2", "-t", name, code=4).stderr
    assert "there is no broker 9" in cli("reassign", "plan", "--drain", 9, code=3).stderr
    assert "there is no topic" in cli("reassign", "plan", "--drain", 1, "-t", "nobody.here", code=3).stderr
    cli("reassign", "plan", code=2)
    for text, code in [("{", 2), ('{"partitions":[{"topic":"nobody.here","partition":0,"replicas":[1]}]}', 3),
                       ('{"partitions":[{"topic":"a","partition":0,"replicas":[1],"log_dirs":["/x"]}]}', 4)]:
        cli("reassign", "import", "-", code=code, stdin=text)


def test_a_move_under_way_is_seen_throttled_and_cancelled(cli, topic, whole):
    """Broker 4 hangs as soon as it is wanted, so the move does not end."""
    name = topic([1, 2], records=5000)
    addresses = ",".join(whole.bootstrap.split(",")[:3])
    whole.pause("4")
    try:
        asked = ops.ask_controller(whole, lambda c: c.alter_reassignments({(name, 0): [4, 2]}))
        assert asked[name, 0][0] == 0
        shown_now = json.loads(cli("reassign", "status", "--json", "-b", addresses).stdout)
        assert (shown_now["moving"], shown_now["done_bytes"], shown_now["percent"]) == (1, 0, 0)
        move = shown_now["moves"][0]
        assert (move["topic"], move["adding"], move["removing"]) == (name, [4], [1])
        assert move["note"] == "broker 4 does not answer" and move["total_bytes"] == shown_now["total_bytes"] > 5000
        row = shown(cli, name, "-b", addresses)
        assert (row["partitions"][0]["adding"], row["partitions"][0]["removing"]) == ([4], [1])
        assert {r["broker"]: r["role"] for r in row["replicas"]} == {1: "leader", 2: "follower", 4: "joining"}
        planned = json.loads(cli("reassign", "plan", "--even", "-t", name, "--json", "-b", addresses).stdout)
        assert planned["moves"] == [], "what moves already stays out of plans"
        watching = subprocess.Popen([BINARY, "reassign", "status", "-w", "--output", "ndjson", "-b", addresses],
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert json.loads(watching.stdout.readline())["topic"] == name
        watching.send_signal(2)
        assert "detached; the moves go on" in watching.communicate(timeout=30)[1] and watching.returncode == 0
        cancelled = json.loads(cli("reassign", "cancel", name, "--json", "-b", addresses).stdout)
        assert cancelled == [{"topic": name, "partition": 0, "cancelled": True, "error": None}]
    finally:
        whole.resume("4")
    wait_replicas(whole, name, [2, 1])      # Kafka keeps the order that the move had
    assert json.loads(cli("reassign", "cancel", "--all", "--json").stdout) == []
    cli("reassign", "cancel", code=2)


def test_throttles(cli, topic, whole):
    name = topic([1, 2], records=20_000)
    assert "nothing moves" in cli("reassign", "throttle", "1MB/s", code=3).stderr
    cli("reassign", "throttle", "fast", code=2)
    cli("partition", "replicas", name, "--to", "3,1", "--apply", "--throttle", "50MB/s")
    wait_throttles(cli, [{"broker": b, "leader_bytes_per_second": 50_000_000,
                          "follower_bytes_per_second": 50_000_000} for b in (1, 2, 3)],
                   [{"topic": name, "leader_replicas": "0:1,0:2", "follower_replicas": "0:3"}])
    wait_replicas(whole, name, [3, 1])
    assert cli("reassign", "throttle", "--clear").stdout == "no throttle is left\n"
    wait_throttles(cli, [], [])


def test_settings_of_a_topic(cli, topic):
    name = topic([1, 2])
    done = json.loads(cli("topic", "alter", name, "-c", "retention.ms=3600000", "-c", "segment.bytes=1048576",
                          "--json").stdout)
    assert done == [{"name": "retention.ms", "from": "604800000", "to": "3600000"},
                    {"name": "segment.bytes", "from": "1073741824", "to": "1048576"}]
    again = json.loads(cli("topic", "alter", name, "--unset", "segment.bytes", "--config", "retention.ms=7200000",
                           "--json").stdout)
    assert [(c["name"], c["from"], c["to"]) for c in again] == [
        ("retention.ms", "3600000", "7200000"), ("segment.bytes", "1048576", "(default)")]

    def own():
        configs = json.loads(cli("topic", "show", name, "--json").stdout)["configs"]
        return {c["name"]: c["value"] for c in configs} == {"retention.ms": "7200000"}
    wait_until(own, 30, "the settings are there")
    assert "nothing was changed" in cli("topic", "alter", name, "--config", "cleanup.policy=delete", "--dry-run").stderr
    refused = cli("topic", "alter", name, "-c", "retention.ms=soon", code=1).stderr
    assert "cannot change topic" in refused and "retention.ms" in refused and "nothing was changed" in refused
    assert own()
    cli("topic", "alter", name, "-c", "no.such.setting=1", code=1)
    for words in [[], ["-c", "retention.ms"], ["-c", "retention.ms=1", "-r", "2"]]:
        cli("topic", "alter", name, *words, code=2)
    cli("topic", "alter", name + "x", "-c", "retention.ms=1", code=3)


def test_replication_factor_of_a_topic(cli, topic, whole):
    name = topic([1, 2], [2, 3], records=100)
    plan = json.loads(cli("topic", "alter", name, "-r", 3, "--json").stdout)
    assert not plan["applied"] and [m["to"][:2] for m in plan["moves"]] == [[1, 2], [2, 3]]
    assert all(len(m["to"]) == 3 and m["removes"] == [] for m in plan["moves"])
    cli("topic", "alter", name, "-r", 3, "--apply", "-w")
    wait_until(lambda: [len(p.isr) for p in ops.partitions_of(whole, name).values()] == [3, 3], 60, "3 in sync")
    cli("topic", "alter", name, "-r", 1, "--apply")
    wait_until(lambda: [p.replicas for p in ops.partitions_of(whole, name).values()] == [[1], [2]], 60, "one is left")
    assert "fewer than 9 brokers" in cli("topic", "alter", name, "-r", 9, code=4).stderr


def test_partitions_are_added(cli, topic, whole):
    name = topic([1, 2])
    plan = cli("topic", "partitions", "add", name, "--to", 3)
    assert plan.stdout == f"{name}: 1 partitions would become 3\n"
    assert "records with keys go to other partitions" in plan.stderr and "nothing was done yet" in plan.stderr
    assert len(ops.partitions_of(whole, name)) == 1
    done = json.loads(cli("topic", "partitions", "add", name, "--to", 3, "--apply", "--json").stdout)
    assert done == {"topic": name, "from": 1, "to": 3, "applied": True}
    wait_until(lambda: len(ops.partitions_of(whole, name)) == 3, 30, "three partitions")
    assert "3 partitions" in cli("topic", "partitions", "add", name, "--to", 2, code=1).stderr
    cli("topic", "partitions", "add", name, code=2)
    cli("topic", "alter", name, "-c", "cleanup.policy=compact")

    def compacted():
        return "is compacted" in cli("topic", "partitions", "add", name, "--to", 5).stderr
    wait_until(compacted, 30, "the broker knows that it is compacted")


@pytest.fixture
def tool(whole, tmp_path):
    """Kafka's own tools, by their names; -> standard output, standard error."""
    def run(name, *words, code=0):
        path = tmp_path / f"kafka-{name}.sh"
        if not path.exists():
            path.symlink_to(BINARY)
        done = subprocess.run([path, "--bootstrap-server", whole.bootstrap, *map(str, words)], capture_output=True,
                              text=True, timeout=120, cwd=tmp_path, stdin=subprocess.DEVNULL)
        assert done.returncode == code, f"{words} ended with {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout, done.stderr
    return run


def moves_json(*moves):
    return json.dumps({"version": 1, "partitions": [{"topic": t, "partition": p, "replicas": r,
                                                     "log_dirs": ["any"] * len(r)} for t, p, r in moves]},
                      separators=(",", ":"))


def test_kafka_reassign_partitions(tool, topic, whole, tmp_path):
    name = topic([1, 2], records=100)
    (tmp_path / "moves.json").write_text(moves_json((name, 0, [3, 2])))
    file = ("--reassignment-json-file", "moves.json")
    out = tool("reassign-partitions", *file, "--verify")[0]
    assert out == (f"Status of partition reassignment:\nThere is no active reassignment of partition {name}-0, but "
                   f"replica set is 1,2 rather than 3,2.\n\nClearing broker-level throttles on brokers 1,2,3,4\n"
                   f"Clearing topic-level throttles on topic {name}\n")
    out = tool("reassign-partitions", *file, "--execute", "--throttle", 50_000_000)[0]
    assert out == (f"Current partition replica assignment\n\n{moves_json((name, 0, [1, 2]))}\n\n"
                   "Save this to use as the --reassignment-json-file option during rollback\n"
                   "Warning: You must run --verify periodically, until the reassignment completes, to ensure the "
                   "throttle is removed.\nThe inter-broker throttle limit was set to 50000000 B/s\n"
                   f"Successfully started partition reassignment for {name}-0\n")
    wait_replicas(whole, name, [3, 2])
    out = tool("reassign-partitions", *file, "--verify", "--preserve-throttles")[0]
    assert out == f"Status of partition reassignment:\nReassignment of partition {name}-0 is completed.\n\n"
    assert "Clearing topic-level" in tool("reassign-partitions", *file, "--verify")[0]
    assert tool("reassign-partitions", "--list")[0] == "No partition reassignments found.\n"
    out = tool("reassign-partitions", *file, "--cancel")[0]
    assert out.startswith("None of the specified partition reassignments are active.\n"
                          "None of the specified partition moves are active.Clearing broker-level throttles")
    (tmp_path / "topics.json").write_text(json.dumps({"topics": [{"topic": name}], "version": 1}))
    out = tool("reassign-partitions", "--topics-to-move-json-file", "topics.json", "--broker-list", "1,2",
               "--generate")[0]
    current, proposed = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    assert current["partitions"][0]["replicas"] == [3, 2] and proposed["partitions"][0]["replicas"] == [1, 2]
    for text, said in [(moves_json((name, 0, [99])), "Error: Unknown broker id 99"), ("not json", "Error: "),
                       (moves_json(("nosuch", 0, [1])), "Error: org.apache.kafka.common.errors.UnknownTopicOr"
                                                        "PartitionException: Topic nosuch not found.")]:
        (tmp_path / "moves.json").write_text(text)
        assert tool("reassign-partitions", *file, "--execute", code=1)[0].startswith(said)
    assert "exactly one action" in tool("reassign-partitions", code=1)[1]


def test_kafka_leader_election(tool, topic, cli, tmp_path):
    one, other = topic([1, 2]), topic([2, 1])
    cli("partition", "transfer", one, "--to", 2, "--once")
    words = ("--election-type", "preferred", "--topic", one, "--partition", 0)
    assert tool("leader-election", *words)[0] == (
        f"Successfully completed leader election (PREFERRED) for partitions {one}-0\n")
    assert tool("leader-election", *words)[0] == f"Valid replica already elected for partitions {one}-0\n"
    (tmp_path / "le.json").write_text(json.dumps({"partitions": [{"topic": t, "partition": 0} for t in (one, other)]}))
    out = tool("leader-election", "--election-type", "preferred", "--path-to-json-file", "le.json")[0]
    assert out in [f"Valid replica already elected for partitions {a}-0, {b}-0\n" for a, b in [(one, other),
                                                                                            (other, one)]]
    out, err = tool("leader-election", "--election-type", "preferred", "--topic", "nosuch", "--partition", 0, code=1)
    assert out == ("Error completing leader election (PREFERRED) for partition: nosuch-0: org.apache.kafka.common."
                   "errors.UnknownTopicOrPartitionException: The partition does not exist.\n")
    assert err.startswith("1 replica(s) could not be elected\n")
    assert "Cannot parse argument 'nope' of option election-type" in tool(
        "leader-election", "--election-type", "nope", "--all-topic-partitions", code=1)[1]
    assert "One and only one of the following options is required" in tool(
        "leader-election", "--election-type", "preferred", code=1)[1]
    (tmp_path / "tls.conf").write_text("security.protocol=SSL\n")
    assert "TLS and SASL are not spoken here" in tool(
        "leader-election", *words, "--admin.config", "tls.conf", code=1)[1]
    (tmp_path / "plain.conf").write_text("security.protocol=PLAINTEXT\nrequest.timeout.ms=20000\nclient.id=x\n")
    tool("leader-election", *words, "--admin.config", "plain.conf")
    tool("consumer-groups", "--list", "--command-config", "plain.conf")
    assert "TLS and SASL" in tool("consumer-groups", "--list", "--command-config", "tls.conf", code=1)[1]


def test_kafka_topics(tool, cli, whole):
    name = f"topics.{os.urandom(3).hex()}"
    warning = ("WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could "
               "collide. To avoid issues it is best to use either, but not both.\n")
    out = tool("topics", "--create", "--topic", name, "--replica-assignment", "2:1,1:3", "--config",
               "retention.ms=3600000")[0]
    assert out == f"{warning}Created topic {name}.\n"
    try:
        ops.wait_leaders(whole, name, 2)
        assert name in tool("topics", "--list")[0].splitlines()
        head, *parts = tool("topics", "--describe", "--topic", name)[0].splitlines()
        topic_id = json.loads(cli("topic", "show", name, "--json").stdout)["id"]
        assert head.startswith(f"Topic: {name}\tTopicId: {topic_id}\tPartitionCount: 2\tReplicationFactor: 2\tConfigs: ")
        assert "retention.ms=3600000" in head.split("Configs: ")[1].split(",")
        assert parts == [f"\tTopic: {name}\tPartition: {p}\tLeader: {r[0]}\tReplicas: {r}\tIsr: {r}\tElr: N/A\t"
                         "LastKnownElr: N/A" for p, r in enumerate(["2,1", "1,3"])]
        for words in (["--under-replicated-partitions"], ["--unavailable-partitions"], ["--under-min-isr-partitions"]):
            assert tool("topics", "--describe", "--topic", name, *words)[0] == ""
        assert tool("topics", "--describe", "--topics-with-overrides", "--topic", name)[0] == head + "\n"
        out = tool("topics", "--create", "--topic", name, code=1)[0]
        assert out == f"{warning}Error while executing topic command : Topic '{name}' already exists.\n"
        assert tool("topics", "--create", "--topic", name, "--if-not-exists")[0] == warning
        assert tool("topics", "--alter", "--topic", name, "--partitions", 3)[0] == ""
        ops.wait_leaders(whole, name, 3)
        assert tool("topics", "--alter", "--topic", name, "--partitions", 2, code=1)[0] == (
            "Error while executing topic command : Topic currently has 3 partitions, which is higher than the "
            "requested 2.\n")
        assert "The partitions must be greater than 0" in tool(
            "topics", "--create", "--topic", "zero", "--partitions", 0, code=1)[0]
        assert "exactly one action" in tool("topics", "--list", "--describe", code=1)[1]
        assert tool("topics", "--delete", "--topic", f"{name}|nobody")[0] == ""
        missing = "Error while executing topic command : Topic 'Optional[nosuch]' does not exist as expected\n"
        for words in (["--describe"], ["--delete"], ["--alter", "--partitions", "2"]):
            assert tool("topics", *words, "--topic", "nosuch", code=1)[0] == missing
        assert tool("topics", "--delete", "--topic", "nosuch", "--if-exists")[0] == ""
        wait_until(lambda: name not in tool("topics", "--list")[0].splitlines(), 30, "it is deleted")
    finally:
        cli("topic", "delete", name, "--yes", "--if-exists")
