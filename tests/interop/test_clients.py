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
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.interop import programs
from tests.kit import batch, ops

HERE = Path(__file__).parent
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
COUNT = 300


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
    run_round(whole, programs.java(version, "Interop"), f"java-{version}")


@pytest.mark.parametrize("modules", ["go.mod", "old.mod"])
def test_franz_go(whole, modules):
    """The newest, and the last one that Debian 12's own Go can build."""
    run_round(whole, programs.go("go", modules), "franz-go")


def test_kafkajs(whole):
    run_round(whole, programs.node("main.js"), "kafkajs", env=programs.NODE_ENV)
