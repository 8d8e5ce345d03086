"""Kafka's own kafka-consumer-groups, from the jars of 3.9, and moldau under that name, asked the same of one cluster:
they print the same."""
import os
import re
import shutil
import subprocess

import pytest

from tests.kit import batch, kafka, ops, raw, raw_groups
from tests.kit.cluster import ROOT, wait_until

BINARY = os.environ.get("MOLDAU_CLI", str(ROOT / "build" / "bin" / "moldau"))
TIME = re.compile(r"^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\] ")


def lines_of(text):
    """What Kafka's logger and stack traces add is left out: a time before a line, and what follows an exception."""
    kept = [TIME.sub("", line) for line in text.splitlines() if not line.startswith(("SLF4J:", "\t", "java.", "Caused"))]
    return [line for line in kept if line]


@pytest.fixture
def commands(tmp_path):
    """Runs theirs and ours with the same words, which are strings; -> both, done."""
    if not shutil.which("java"):
        pytest.skip("java is not installed")
    try:
        jars = kafka.fetch_jars([f"org.apache.kafka:kafka-tools:{kafka.KAFKA_VERSION}", "org.slf4j:slf4j-nop:1.7.36"],
                                ROOT / "build" / "kafka39-tools")
    except kafka.Missing as e:
        pytest.skip(str(e))
    named = tmp_path / "kafka-consumer-groups.sh"
    named.symlink_to(BINARY)
    theirs = ["java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*",
              "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"]

    def run(*words):
        return [subprocess.run([*argv, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
                               cwd=tmp_path) for argv in (theirs, [named])]
    return run


@pytest.fixture
def both(whole, commands):
    """Asks both, says what they printed if it is not the same; -> standard output."""
    def ask(*words, any_order=False):
        wanted, got = commands("--bootstrap-server", whole.bootstrap, "--timeout", "60000", *words)
        if any_order:
            assert sorted(got.stdout.split()) == sorted(wanted.stdout.split()), words
            assert got.returncode == wanted.returncode, words
        else:
            assert (got.stdout, got.returncode) == (wanted.stdout, wanted.returncode), words
        # Its log is silent here; warnings and errors that it prints itself are the same.
        said = lines_of(got.stderr)
        assert [line for line in said if not line.startswith("WARN ")] == lines_of(wanted.stderr), words
        return got.stdout
    return ask


def bucket(topic, partition):
    """Where Kafka's TopicPartition stands in a java.util.HashMap of 16."""
    name = 0
    for c in topic.encode():
        name = name * 31 + c
    whole = (31 * (31 + partition) + name) & 0xffffffff
    return (whole ^ whole >> 16) % 16


def ending():
    """One with which no two partitions of names() share a bucket: they would stand there as they came, which ours does
    not follow."""
    while True:
        made = os.urandom(3).hex()
        if len({bucket(f"{topic}.{made}", p) for topic in ("tool", "other") for p in range(3)}) == 6:
            return made


@pytest.fixture
def names(whole):
    """Two topics with records, a group that has read some of them."""
    made = ending()
    topics, group = [f"tool.{made}", f"other.{made}"], f"readers.{made}"
    for topic in topics:
        ops.create_topic(whole, topic, 3, 3)
        for p in range(3):
            ops.ask_leader(whole, topic, p, lambda c, topic=topic, p=p: c.produce(
                topic, {p: batch.build([b"x"] * 10)})[p].error == 0)
    with raw.Connection(*whole.address(ops.coordinator(whole, group))) as c:
        wait_until(lambda: raw_groups.describe(c, group)[0] == 0, 30, "the coordinator")
        assert set(raw_groups.commit(c, group, {topics[0]: {0: 4, 2: 10}, topics[1]: {1: 0}}).values()) == {0}
    return topics, group


def test_a_group_without_members(both, names):
    (topic, other), group = names
    assert group in both("--list").split()
    both("--list", "--state", "Empty")
    both("--list", "--type", "classic")
    assert "4               10              6" in both("--describe", "--group", group)
    both("--describe", "--group", group, "--members")
    both("--describe", "--group", group, "--state")
    both("--describe", "--group", "no.such.group")
    both("--reset-offsets", "--group", group, "--shift-by", "-2", "--all-topics", "--dry-run")
    both("--reset-offsets", "--group", group, "--to-current", "--all-topics", "--export", "--dry-run")
    # Two that share a bucket of Kafka's HashMap stand there as they came, which ours does not follow for several --topic.
    both("--reset-offsets", "--group", group, "--to-offset", "77", "--topic", f"{topic}:0,1", "--topic", other, "--dry-run",
         any_order=True)
    # --all-topics is all with offsets, whatever --topic adds.
    both("--reset-offsets", "--group", group, "--to-latest", "--all-topics", "--topic", f"{topic}:1", "--dry-run")
    both("--delete-offsets", "--group", group, "--topic", "no.such.topic")
    both("--delete", "--group", "no.such.group")


def test_groups_with_members(both, names, whole):
    (topic, other), group = names
    workers = f"workers.{os.urandom(3).hex()}"
    with raw.Connection(*whole.address(ops.coordinator(whole, group))) as c, \
            raw.Connection(*whole.address(ops.coordinator(whole, workers))) as d:
        wait_until(lambda: raw_groups.describe(d, workers)[0] == 0, 30, "the coordinator")
        joined = raw_groups.join(c, group, session_ms=120_000, instance="i7",
                                 protocols=[("range", raw_groups.subscription(topic))])
        w = raw.Writer().put("hi", 1, 2)
        for t, parts in ((topic, (0, 1)), (other, (2,))):
            w.string(t).put("i", len(parts)).put(f"{len(parts)}i", *parts)
        raw_groups.sync(c, group, joined.generation, joined.member, {joined.member: bytes(w.put("i", -1).out)}, "i7")
        worker = raw_groups.join(d, workers, session_ms=120_000, kind="connect", protocols=[("default", b"")])
        raw_groups.sync(d, workers, worker.generation, worker.member, {worker.member: b"\0\0"})

        assert joined.member in both("--describe", "--group", group)
        assert "(0,1), (2)" in both("--describe", "--group", group, "--members", "--verbose")
        both("--describe", "--group", group, "--state")
        both("--reset-offsets", "--group", group, "--to-earliest", "--topic", topic, "--execute")
        both("--delete", "--group", group)
        both("--delete-offsets", "--group", group, "--topic", topic)
        assert "is not a consumer group" in both("--describe", "--group", workers)
        assert "is not a consumer group" in both("--reset-offsets", "--group", workers, "--to-latest", "--all-topics",
                                                 "--dry-run")
        raw_groups.leave(c, group, joined.member, instance="i7")
        raw_groups.leave(d, workers, worker.member)


def test_help_and_version(commands):
    wanted, got = commands("--version")
    assert (got.returncode, got.stdout.split()[0]) == (wanted.returncode, wanted.stdout.strip()) == (
        0, kafka.KAFKA_VERSION)
    for words in (["--help"], [], ["--list", "--version", "--help"]):
        wanted, got = commands(*words)
        assert (got.stdout, got.returncode) == (wanted.stdout, wanted.returncode) == ("", 1)
        options = set(re.findall(r"^--[a-z][a-z-]+", wanted.stderr, re.MULTILINE))
        assert len(options) > 25 and options <= set(re.findall(r"--[a-z][a-z-]+", got.stderr))


# Nobody is asked before the options fit together.
UNUSABLE = [
    "", "--list --describe --group g", "--list --group g", "--list --topic t", "--list --members",
    "--describe --group g --topic t", "--describe --group g --all-groups", "--describe --group g --type",
    "--describe --group g --members --state", "--describe --group g --state Empty", "--delete --group g --topic t",
    "--reset-offsets --group g --to-latest --execute --dry-run --topic t",
    "--reset-offsets --group g --to-latest --to-earliest --topic t --dry-run",
    "--reset-offsets --group g --from-file f --shift-by 3 --topic t --dry-run"]
# Kafka names other options than those that are missing.
UNUSABLE_SAID_BETTER = ["--describe", "--delete", "--reset-offsets --dry-run", "--delete-offsets --group g",
                        "--list --nonsense", "--list --group"]


def test_command_lines_that_cannot_be_used(commands):
    for line in UNUSABLE + UNUSABLE_SAID_BETTER:
        wanted, got = commands("--bootstrap-server", "127.0.0.1:1", *line.split())
        assert (got.stdout, got.returncode) == (wanted.stdout, wanted.returncode) == ("", 1), line
        if line in UNUSABLE:
            assert lines_of(got.stderr)[0] == first_said(wanted.stderr), line


def first_said(text):
    """The message, out of a stack trace where it is one."""
    return re.sub(r"^Exception in thread \S+ \S+: ", "", lines_of(text)[0])
