"""Every client library does the same round, unmodified, and the same records come back.

A program gets BOOTSTRAP PREFIX CODECS COUNT BASE_TIME. For every codec it creates topic PREFIX-CODEC with
three partitions and three replicas; produces record i (0..COUNT) to partition i % 3 with key "k<i>", value
"value-<i>-xxx…", header h=<i> and time BASE_TIME + 10 i; reads everything back by assignment; looks up the
offsets of BASE_TIME + 305. It prints JSON lines: {"brokers":n}, one {"topic","p","o","t","k","v","h"} per
record and {"topic","p","at","begin","end"} per partition (whichever of these it knows).

Here its lines are compared with what must come out, and with what the raw client finds stored.
"""
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.kit import batch, ops
from tests.kit.cluster import ROOT
from tests.kit.kafka import Missing, fetch_jars

HERE = Path(__file__).parent
CACHE = ROOT / "build" / "interop"
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
COUNT = 300


def tool(name):
    found = shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not installed")
    return found


def prepared(argv, what, cwd=None, timeout=300):
    """A step that fetches or compiles; what the machine does not give is a loud skip, not a failure of ours."""
    done = subprocess.run(argv, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
    if done.returncode != 0:
        pytest.skip(f"{what}: {(done.stderr or done.stdout)[-400:]}")


def expected(topic, codec, base, headers=True, times=True):
    records = {}
    for i in range(COUNT):
        records[topic, i % 3, i // 3] = {"k": f"k{i}", "v": f"value-{i}-{'x' * 80}",
                                         **({"h": str(i)} if headers else {}),
                                         **({"t": base + 10 * i} if times else {})}
    return records


def stored_as(cluster, topic, codec):
    """What lies in the leader's log: the producer's own codec, every CRC right."""
    used = set()
    for index, p in ops.partitions_of(cluster, topic).items():
        for b in batch.partition_batches(cluster.data(str(p.leader)) / f"{topic}-{index}", check_crc=True):
            used.add(b.codec)
    assert used == {codec}, f"{topic} is stored as {used}"


def run_round(cluster, argv, name, codecs=CODECS, env=None, headers=True, times=True):
    prefix = f"{name}-{os.urandom(2).hex()}"
    base = int(time.time() * 1000) - 60_000
    argv = [*map(str, argv), cluster.bootstrap, prefix, ",".join(codecs), str(COUNT), str(base)]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=150,
                          env={**os.environ, **(env or {})})
    assert done.returncode == 0, f"{' '.join(argv)}\n{done.stdout[-500:]}\n{done.stderr[-3000:]}"
    got, offsets = {}, []
    for line in done.stdout.splitlines():
        if not line.startswith("{"):
            continue
        what = json.loads(line)
        if "brokers" in what:
            assert what["brokers"] == len(cluster.brokers)
        elif "o" in what:
            key = what.pop("topic"), what.pop("p"), what.pop("o")
            assert key not in got, f"{key} twice"
            got[key] = what
        else:
            offsets.append(what)
    for codec in codecs:
        topic = f"{prefix}-{codec}"
        wanted = expected(topic, codec, base, headers, times)
        mine = {k: v for k, v in got.items() if k[0] == topic}
        assert mine.keys() == wanted.keys(), f"{topic}: {len(mine)} of {len(wanted)} records"
        for key, record in wanted.items():
            assert {f: mine[key].get(f) for f in record} == record, key
        stored_as(cluster, topic, codec)
        if times:
            listed = [o for o in offsets if o["topic"] == topic]
            assert {o["p"] for o in listed} == {0, 1, 2}
            for o in listed:
                first = next(i for i in range(COUNT) if i % 3 == o["p"] and 10 * i >= 305)
                assert o["at"] == first // 3, o
                assert o.get("begin", 0) == 0 and o.get("end", COUNT // 3) == COUNT // 3, o


@pytest.mark.parametrize("client", ["confluent", "kafka-python", "aiokafka"])
def test_python(whole, client):
    run_round(whole, [sys.executable, HERE / "python_round.py", client], client)


@pytest.mark.parametrize("version", ["3.9.2", "4.4.0"])
def test_java(whole, version):
    tool("java")
    into = CACHE / f"java-{version}"
    try:
        jars = fetch_jars([f"org.apache.kafka:kafka-clients:{version}", "org.slf4j:slf4j-nop:1.7.36"], into)
    except Missing as e:
        pytest.skip(str(e))
    source, compiled = HERE / "java" / "Interop.java", into / "Interop.class"
    if not compiled.exists() or compiled.stat().st_mtime < source.stat().st_mtime:
        prepared([tool("javac"), "-d", into, "-cp", f"{jars}/*", source], "javac")
    run_round(whole, ["java", "-Xmx256m", "-cp", f"{into}:{jars}/*", "Interop"], f"java-{version}")


@pytest.mark.parametrize("modules", ["go.mod", "old.mod"])
def test_franz_go(whole, modules):
    """The newest, and the last one that Debian 12's own Go can build."""
    program, here = CACHE / f"franz-go-{modules}", HERE / "go"
    sources = [here / "main.go", here / modules]
    if not program.exists() or program.stat().st_mtime < max(s.stat().st_mtime for s in sources):
        CACHE.mkdir(parents=True, exist_ok=True)
        prepared([tool("go"), "build", f"-modfile={modules}", "-o", str(program), "."], "go build", cwd=here)
    run_round(whole, [program], "franz-go")


def test_kafkajs(whole):
    node, into = tool("node"), CACHE / "node"
    wanted = (HERE / "node" / "package.json").read_text()
    stamp = into / "complete"
    if not stamp.exists() or stamp.read_text() != wanted:
        into.mkdir(parents=True, exist_ok=True)
        (into / "package.json").write_text(wanted)
        prepared([tool("npm"), "install", "--no-audit", "--no-fund", "--ignore-scripts"], "npm install", cwd=into)
        stamp.write_text(wanted)
    shutil.copy(HERE / "node" / "main.js", into / "main.js")
    run_round(whole, [node, into / "main.js"], "kafkajs", env={"NODE_NO_WARNINGS": "1",
                                                              "KAFKAJS_NO_PARTITIONER_WARNING": "1"})
