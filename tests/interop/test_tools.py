"""Kafka's own tools, from the jars of 3.9, against a running cluster: what operators know them to print."""
import json
import os
import re
import shutil
import subprocess

import pytest

from tests.kit import batch, kafka, ops
from tests.kit.cluster import ROOT, wait_until


def run(main, *args, jars=None, timeout=120):
    """(exit code, all that it printed)"""
    if not shutil.which("java"):
        pytest.skip("java is not installed")
    try:
        lib = jars or kafka.fetch_jars([f"org.apache.kafka:kafka-tools:{kafka.KAFKA_VERSION}",
                                        "org.slf4j:slf4j-nop:1.7.36"], ROOT / "build" / "kafka39-tools")
    except kafka.Missing as e:
        pytest.skip(str(e))
    done = subprocess.run(["java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{lib}/*", main,
                           *map(str, args)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
    lines = (done.stdout + done.stderr).splitlines(keepends=True)
    return done.returncode, "".join(line for line in lines if not line.startswith(("SLF4J:", "log4j:")))


class Tools:
    def __init__(self, cluster, path):
        self.cluster, self.path, self.bootstrap = cluster, path, cluster.bootstrap

    def topics(self, *args):
        return run("org.apache.kafka.tools.TopicCommand", "--bootstrap-server", self.bootstrap, *args)

    def describe(self, *args):
        code, text = self.topics("--describe", *args)
        assert code == 0, text
        return re.findall(r"Topic: (\S+)\tPartition: (\d+)\tLeader: (\S+)\tReplicas: (\S+)\tIsr: (\S+)", text)

    def reassign(self, *args, moves=None):
        file = self.path / "moves.json"
        if moves is not None:
            file.write_text(json.dumps({"version": 1, "partitions": [
                {"topic": t, "partition": p, "replicas": r} for (t, p), r in moves.items()]}))
        if "--list" not in args:
            args = (*args, "--reassignment-json-file", file)
        return run("org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
                   "--bootstrap-server", self.bootstrap, *args)

    def elect(self, *args):
        return run("org.apache.kafka.tools.LeaderElectionCommand", "--bootstrap-server", self.bootstrap, *args)

    def configs(self, *args):
        try:
            jars = kafka.kafka_jars()
        except kafka.Missing as e:
            pytest.skip(str(e))
        return run("kafka.admin.ConfigCommand", "--bootstrap-server", self.bootstrap, *args, jars=jars)


@pytest.fixture
def tools(whole, tmp_path):
    return Tools(whole, tmp_path)


def fill(cluster, name, count=100):
    def ask(c):
        for i in range(count):
            assert c.produce(name, {0: batch.build([os.urandom(100)])})[0].error == 0
    ops.ask_leader(cluster, name, 0, ask)


def wait_assigned(cluster, name, replicas):
    wait_until(lambda: ops.partitions_of(cluster, name)[0].replicas == replicas, 60, f"{name} is on {replicas}")


def test_reassign_partitions(tools, whole, topic):
    name = topic(assignments=[[1, 2]])
    fill(whole, name)
    code, text = tools.reassign("--execute", moves={(name, 0): [3, 2]})
    assert code == 0, text
    assert "Current partition replica assignment" in text
    assert f'"topic":"{name}","partition":0,"replicas":[1,2]' in text
    assert f"Successfully started partition reassignment for {name}-0" in text
    wait_assigned(whole, name, [3, 2])
    code, text = tools.reassign("--verify")
    assert code == 0, text
    assert f"Reassignment of partition {name}-0 is completed." in text
    assert "Clearing broker-level throttles on brokers 1,2,3" in text
    assert f"Clearing topic-level throttles on topic {name}" in text
    assert tools.reassign("--list") == (0, "No partition reassignments found.\n")
    code, text = tools.reassign("--cancel")
    assert code == 0, text
    assert "None of the specified partition reassignments are active." in text


def test_reassignment_with_a_throttle(tools, whole, topic):
    """Slow as long as the tool wants it, fast when it raises the limit, and nothing is left of it afterwards."""
    name = topic(assignments=[[1, 2]])
    size = 4 << 20
    ops.ask_leader(whole, name, 0, lambda c: [c.produce(name, {0: batch.build([os.urandom(size // 64)])})
                                              for _ in range(64)])
    moves = {(name, 0): [3, 2]}
    code, text = tools.reassign("--execute", "--throttle", 100_000, moves=moves)
    assert code == 0 and "The inter-broker throttle limit was set to 100000 B/s" in text, text
    code, text = tools.reassign("--verify")
    assert code == 0 and f"Reassignment of partition {name}-0 is still in progress." in text, text
    assert sum(f.stat().st_size for f in whole.data("3").parent.glob(f"*/{name}-0/*.log")) < size
    code, text = tools.reassign("--execute", "--throttle", 100_000_000, "--additional")
    assert code == 0 and "The inter-broker throttle limit was set to 100000000 B/s" in text, text
    wait_assigned(whole, name, [3, 2])
    code, text = tools.reassign("--verify")
    assert code == 0 and "Clearing broker-level throttles on brokers 1,2,3" in text, text
    code, text = tools.configs("--describe", "--entity-type", "brokers", "--entity-name", 3)
    assert code == 0 and "throttled.rate" not in text, text


def test_reassignment_under_way(tools, whole, topic):
    """Broker 3 hangs as soon as it is wanted."""
    name = topic(assignments=[[1, 2]])
    fill(whole, name)
    moves = {(name, 0): [3, 2]}
    tools.bootstrap = whole.bootstrap.rsplit(",", 1)[0]     # not the one that hangs
    whole.pause("3")
    try:
        assert ops.ask_controller(whole, lambda c: c.alter_reassignments(moves))[name, 0][0] == 0
        code, text = tools.reassign("--list")
        assert (code, text) == (0, f"Current partition reassignments:\n{name}-0: replicas: 3,2,1. adding: 3. "
                                   "removing: 1.\n")
        code, text = tools.topics("--alter", "--topic", name, "--partitions", 2)
        assert code == 1 and f"A partition reassignment is in progress for the topic '{name}'." in text, text
        code, text = tools.reassign("--verify", moves=moves)
        assert code == 0 and f"Reassignment of partition {name}-0 is still in progress." in text, text
        # else the tool would wait for the one that hangs, to lift its throttle
        code, text = tools.reassign("--cancel", "--preserve-throttles")
        assert code == 0 and f"Successfully cancelled partition reassignment for: {name}-0" in text, text
    finally:
        whole.resume("3")
    wait_assigned(whole, name, [2, 1])


def test_topics_describe_with_its_filters(tools, whole, topic):
    name = topic(assignments=[[1, 2, 3]], configs={"min.insync.replicas": "2"})
    lone = topic(assignments=[[3]])
    assert tools.describe("--topic", name) == [(name, "0", "1", "1,2,3", "1,2,3")]
    assert tools.topics("--describe", "--under-replicated-partitions") == (0, "")
    whole.kill("3")
    wait_until(lambda: sorted(ops.partitions_of(whole, name)[0].isr) == [1, 2], 30, "broker 3 is out of the ISR")
    assert (name, "0", "1", "1,2,3", "1,2") in tools.describe("--under-replicated-partitions")
    assert name in [line[0] for line in tools.describe("--at-min-isr-partitions")]
    assert tools.topics("--describe", "--under-min-isr-partitions", "--topic", name) == (0, "")
    assert (lone, "0", "none", "3", "3") in tools.describe("--unavailable-partitions")
    code, text = tools.topics("--describe", "--topic", "nobody")
    assert code == 1 and "Error while executing topic command : Topic 'Optional[nobody]' does not exist as" in text


def test_leader_election(tools, whole, topic):
    name = topic(assignments=[[1, 2]])
    whole.kill("1")
    wait_until(lambda: ops.partitions_of(whole, name)[0].leader == 2, 30, "broker 2 leads")
    code, text = tools.elect("--election-type", "preferred", "--topic", name, "--partition", 0)
    assert code == 1 and "PreferredLeaderNotAvailableException" in text, text
    whole.start("1")
    ops.wait_full_isr(whole)
    args = ("--topic", name, "--partition", 0)
    code, text = tools.elect("--election-type", "preferred", *args)
    assert code == 0, text
    assert f"Successfully completed leader election (PREFERRED) for partitions {name}-0" in text
    code, text = tools.elect("--election-type", "preferred", *args)
    assert code == 0 and f"Valid replica already elected for partitions {name}-0" in text, text
    code, text = tools.elect("--election-type", "unclean", *args)
    assert code == 0 and f"Valid replica already elected for partitions {name}-0" in text, text


def test_unclean_leader_election(tools, whole, topic):
    name = topic(assignments=[[1, 2]])
    whole.kill("2")
    wait_until(lambda: ops.partitions_of(whole, name)[0].isr == [1], 30, "broker 1 is alone in sync")
    fill(whole, name, 5)
    whole.kill("1")
    whole.start("2")
    wait_until(lambda: ops.partitions_of(whole, name)[0].leader == -1, 30, "nobody leads")
    code, text = tools.elect("--election-type", "unclean", "--topic", name, "--partition", 0)
    assert code == 0, text
    assert f"Successfully completed leader election (UNCLEAN) for partitions {name}-0" in text
    wait_until(lambda: ops.partitions_of(whole, name)[0].leader == 2, 30, "broker 2 leads")


def test_configs_of_topics_and_brokers(tools, whole, topic):
    name = topic(partitions=1)
    code, text = tools.configs("--alter", "--topic", name, "--add-config", "retention.ms=86400000,cleanup.policy=[a,b]")
    assert code == 1 and "Invalid value" in text or "cleanup.policy" in text, text
    assert tools.configs("--alter", "--topic", name, "--add-config", "retention.ms=86400000") == (
        0, f"Completed updating config for topic {name}.\n")
    code, text = tools.configs("--describe", "--topic", name)
    assert code == 0
    assert f"Dynamic configs for topic {name} are:" in text
    assert "  retention.ms=86400000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=86400000" in text
    code, text = tools.configs("--alter", "--topic", name, "--add-config", "nope=1")
    assert code == 1 and "InvalidConfigurationException: Unknown topic config name: nope" in text, text
    assert tools.configs("--alter", "--broker", 1, "--add-config",
                         "log.cleaner.threads=2,leader.replication.throttled.rate=1000000") == (
        0, "Completed updating config for broker 1.\n")
    code, text = tools.configs("--describe", "--broker", 1)
    assert code == 0
    assert ("  leader.replication.throttled.rate=1000000 sensitive=false "
            "synonyms={DYNAMIC_BROKER_CONFIG:leader.replication.throttled.rate=1000000}") in text
    assert ("  log.cleaner.threads=2 sensitive=false synonyms={DYNAMIC_BROKER_CONFIG:log.cleaner.threads=2, "
            "DEFAULT_CONFIG:log.cleaner.threads=1}") in text
    assert tools.configs("--alter", "--broker-defaults", "--add-config",
                         "log.segment.delete.delay.ms=30000,message.max.bytes=1048589") == (
        0, "Completed updating default config for brokers in the cluster.\n")
    code, text = tools.configs("--describe", "--broker-defaults")
    assert code == 0
    assert "Default configs for brokers in the cluster are:" in text
    assert ("  message.max.bytes=1048589 sensitive=false "
            "synonyms={DYNAMIC_DEFAULT_BROKER_CONFIG:message.max.bytes=1048589}") in text
    code, text = tools.configs("--describe", "--topic", name, "--all")
    assert "max.message.bytes=1048589" in text and "DYNAMIC_DEFAULT_BROKER_CONFIG:message.max.bytes=1048589" in text
    code, text = tools.configs("--alter", "--broker", 1, "--add-config", "broker.id=5")
    assert code == 1 and "InvalidRequestException: Cannot update these configs dynamically: Set(broker.id)" in text
    code, text = tools.configs("--alter", "--broker-defaults", "--delete-config",
                               "log.segment.delete.delay.ms,message.max.bytes")
    assert code == 0, text
