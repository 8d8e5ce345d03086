"""Real clients in consumer groups: members share the partitions, take over from who leaves or dies, go on when the
coordinator is killed, and processed records are not processed again but for what a crash had not committed.
"""
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from confluent_kafka import Producer

from tests.interop import programs
from tests.kit import ops, raw, raw_groups
from tests.kit.cluster import wait_until
from tests.kit.member import Member, assert_in_order, skipped, wait_processed, wait_shared

HERE = Path(__file__).parent
PARTITIONS = 6
SESSION_S = 6

PYTHON = ["confluent", "kafka-python", "aiokafka"]
ASSIGNORS = [("confluent", "range"), ("confluent", "roundrobin"), ("confluent", "cooperative-sticky"),
             ("kafka-python", "range"), ("kafka-python", "roundrobin"),
             ("aiokafka", "range"), ("aiokafka", "roundrobin"),
             ("java-3.9.2", "range"), ("java-3.9.2", "roundrobin"), ("java-3.9.2", "sticky"),
             ("java-3.9.2", "cooperative-sticky"), ("java-4.4.0", "range"), ("java-4.4.0", "sticky"),
             ("java-4.4.0", "cooperative-sticky"),
             ("franz-go", "range"), ("franz-go", "roundrobin"), ("franz-go", "sticky"),
             ("franz-go", "cooperative-sticky"),
             ("sarama", "range"), ("sarama", "roundrobin"), ("sarama", "sticky"),
             ("kafkajs", "roundrobin")]


def start(cluster, client, group, topic, assignor, instance=None):
    args = [cluster.bootstrap, group, topic, assignor, *([instance] if instance else [])]
    if client in PYTHON:
        return Member([sys.executable, HERE / "member.py", client, *args])
    argv, env = programs.member(client)
    return Member([*argv, *args], env)


class Members(list):
    """Killed at the end, whatever happens."""

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for m in self:
            m.kill()


def new_topic(cluster, name):
    topic = f"{name}-{os.urandom(3).hex()}"
    ops.create_topic(cluster, topic, PARTITIONS, 3)
    return topic


def produce(cluster, topic, first, count):
    """Values first .. first+count-1, spread over the partitions."""
    failed = []
    producer = Producer({"bootstrap.servers": cluster.bootstrap, "linger.ms": 5})
    for i in range(first, first + count):
        producer.produce(topic, str(i), partition=i % PARTITIONS,
                         on_delivery=lambda e, m: failed.append(e) if e else None)
        producer.poll(0)
    assert producer.flush(60) == 0 and not failed, failed
    return [str(i) for i in range(first, first + count)]


def times_processed(members):
    counts = {}
    for m in members:
        for p, o, _ in m.records:
            counts[p, o] = counts.get((p, o), 0) + 1
    return counts


# One of each library always, the rest with --long.
ALWAYS = {("confluent", "cooperative-sticky"), ("kafka-python", "range"), ("aiokafka", "roundrobin"),
          ("java-3.9.2", "cooperative-sticky"), ("java-4.4.0", "range"), ("franz-go", "sticky"), ("sarama", "sticky"),
          ("kafkajs", "roundrobin")}
ROUNDS = [pytest.param(c, a, id=f"{c}-{a}", marks=[] if (c, a) in ALWAYS else pytest.mark.long)
          for c, a in ASSIGNORS]


@pytest.mark.parametrize("client, assignor", ROUNDS)
def test_members_share_and_take_over(whole, client, assignor):
    topic = new_topic(whole, "share")
    group = f"g-{topic}"
    with Members() as members:
        values = produce(whole, topic, 0, 120)
        members.append(start(whole, client, group, topic, assignor))
        wait_shared(members, PARTITIONS)
        wait_processed(members, values)
        members.append(start(whole, client, group, topic, assignor))
        wait_shared(members, PARTITIONS, each=1)
        values += produce(whole, topic, 120, 120)
        wait_processed(members, values)
        members[1].leave()
        wait_shared(members[:1], PARTITIONS, timeout=SESSION_S)     # it said that it leaves
        members.append(start(whole, client, group, topic, assignor))
        live = [members[0], members[2]]
        wait_shared(live, PARTITIONS, each=1)
        members[2].kill()
        wait_shared(members[:1], PARTITIONS, timeout=SESSION_S + 20)
        values += produce(whole, topic, 240, 60)
        wait_processed(members, values)
        again = {k: n for k, n in times_processed(members).items() if n > 1}
        assert len(again) <= 60, f"{len(again)} records were processed more than once"
        assert_in_order(members)


@pytest.mark.parametrize("client", ["confluent", "kafka-python", "java-3.9.2", "franz-go"])
def test_the_coordinator_is_killed(whole, client):
    """The members find the new one and go on: nothing is skipped, and nobody loses what he has for long."""
    topic = new_topic(whole, "kill")
    group = f"g-{topic}"
    with Members() as members:
        values = produce(whole, topic, 0, 60)
        for _ in range(2):
            members.append(start(whole, client, group, topic, "range"))
        wait_shared(members, PARTITIONS, each=1)
        wait_processed(members, values)
        killed = ops.coordinator(whole, group)
        whole.kill(killed)
        at = time.monotonic()
        values += produce(whole, topic, 60, 120)
        wait_processed(members, values, timeout=60)
        wait_shared(members, PARTITIONS, each=1)
        print(f"{client}: all processed {time.monotonic() - at:.1f} s after the kill")
        whole.start(killed)
        assert_in_order(members)
        assert not skipped(members, {p: 30 for p in range(PARTITIONS)})


def last_commits(cluster, group, topic):
    """{partition: offset} once nobody is in the group any more."""
    def known():
        with raw.Connection(*cluster.address(ops.coordinator(cluster, group))) as c:
            state = raw_groups.describe(c, group)[1]
            if state != "Empty":
                raise ValueError(f"{group} is {state}")
            return {p: raw_groups.fetch(c, group).get((topic, p), (0,))[0] for p in range(PARTITIONS)}
    return wait_until(known, SESSION_S + 40, "nobody in the group")


@pytest.mark.parametrize("with_coordinator", [False, True], ids=["alone", "with-its-coordinator"])
def test_after_a_crash_records_come_again_from_the_last_commit(whole, with_coordinator):
    """Those after it and no others: nothing is skipped, and what was committed does not come again."""
    topic = new_topic(whole, "crash")
    group = f"g-{topic}"
    values = produce(whole, topic, 0, 30_000)
    with Members() as members:
        members.append(start(whole, "confluent", group, topic, "range"))
        first = members[0]
        wait_until(lambda: len(first.records) > 1500, 40, "in the middle of its work")
        first.kill()
        killed = ops.coordinator(whole, group) if with_coordinator else None
        if killed:
            whole.kill(killed)
        commits = last_commits(whole, group, topic)
        members.append(start(whole, "confluent", group, topic, "range"))
        wait_processed(members, values)
        if killed:
            whole.start(killed)
        done = [[sorted(o for q, o, _ in m.records if q == p) for p in range(PARTITIONS)] for m in members]
        for p, commit in commits.items():
            assert done[0][p] == list(range(len(done[0][p]))) and len(done[0][p]) >= commit
            assert done[1][p] == list(range(commit, 5000)), f"partition {p} goes on at {done[1][p][:1]}, not {commit}"
        assert_in_order(members)
        assert sum(commits.values()) > 0 and len(first.records) < len(values)
        print(f"committed {sum(commits.values())}, again {len(first.records) - sum(commits.values())}")


def test_kcat_goes_on_where_it_stopped(whole):
    kcat = programs.tool("kcat")
    topic = new_topic(whole, "kcat")
    produce(whole, topic, 0, 120)
    seen = []
    for _ in range(2):
        done = subprocess.run([kcat, "-b", whole.bootstrap, "-G", f"g-{topic}", "-q", "-c", "60", "-f", "%p %o\\n",
                               "-X", "auto.offset.reset=earliest", topic], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        seen += done.stdout.split("\n")[:-1]
    assert len(seen) == len(set(seen)) == 120


def test_static_members_come_back_without_a_rebalance(whole):
    topic = new_topic(whole, "static")
    group = f"g-{topic}"
    with Members() as members:
        for name in ("a", "b"):
            members.append(start(whole, "confluent", group, topic, "range", name))
        wait_shared(members, PARTITIONS, each=1)
        mine = members[1].owns
        rebalances = len(members[0].log)
        members[1].kill()
        members.append(start(whole, "confluent", group, topic, "range", "b"))
        wait_until(lambda: members[2].owns == mine, 30, "the same partitions again")
        assert len(members[0].log) == rebalances, "the other member saw a rebalance"


def test_different_libraries_in_one_group(whole):
    topic = new_topic(whole, "mixed")
    group = f"g-{topic}"
    with Members() as members:
        values = produce(whole, topic, 0, 120)
        for client in ("confluent", "kafka-python", "aiokafka", *programs.available("java-3.9.2", "franz-go", "sarama")):
            members.append(start(whole, client, group, topic, "range"))
        wait_shared(members, PARTITIONS, each=1, timeout=60)
        values += produce(whole, topic, 120, 120)
        wait_processed(members, values)
        assert not skipped(members, {p: 40 for p in range(PARTITIONS)})
