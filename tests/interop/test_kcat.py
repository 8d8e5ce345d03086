"""kcat, the tool people reach for first: produce with every codec, consume with a format, list, query."""
import json
import os
import shutil
import subprocess
import time

import pytest

from tests.kit import batch, ops

pytestmark = pytest.mark.skipif(not shutil.which("kcat"), reason="kcat is not installed")


def kcat(cluster, *args, stdin=None):
    done = subprocess.run(["kcat", "-b", cluster.bootstrap, *args], input=stdin, capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 0, f"kcat {' '.join(args)}: {done.stderr}"
    return done.stdout


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
@pytest.mark.parametrize("idempotent", ["false", "true"])
def test_lines_come_back(whole, topic, codec, idempotent):
    if codec == "zstd" and "zstd" not in subprocess.run(["kcat", "-V"], capture_output=True, text=True).stdout:
        pytest.skip("this kcat has no zstd")
    name = topic(partitions=3)
    lines = [f"key{i}:value {i} {'y' * 50}" for i in range(600)]
    kcat(whole, "-t", name, "-P", "-K:", "-z", codec, "-H", "h=1", "-X", "acks=all",
         "-X", f"enable.idempotence={idempotent}", stdin="\n".join(lines) + "\n")
    out = kcat(whole, "-t", name, "-C", "-o", "beginning", "-e", "-q", "-f", "%p %o %h %k:%s\n")
    got = [line.split(" ", 3) for line in out.splitlines()]
    assert sorted(g[3] for g in got) == sorted(lines)
    assert {g[2] for g in got} == {"h=1"}
    for p in range(3):
        mine = [(int(o), text) for q, o, _, text in got if int(q) == p]
        assert [o for o, _ in mine] == list(range(len(mine)))
        assert [t for _, t in mine] == [x for x in lines if x in {t for _, t in mine}], "order of the input"
    leader = ops.partitions_of(whole, name)[0].leader
    assert {b.codec for b in batch.partition_batches(whole.data(str(leader)) / f"{name}-0", True)} == {codec}


def test_the_list_names_brokers_topics_and_leaders(whole, topic):
    name = topic(partitions=6)
    shown = json.loads(kcat(whole, "-L", "-J", "-t", name))
    assert sorted(b["id"] for b in shown["brokers"]) == [1, 2, 3]
    parts = {p["partition"]: p for p in shown["topics"][0]["partitions"]}
    assert len(parts) == 6
    assert all(sorted(r["id"] for r in p["replicas"]) == [1, 2, 3] and len(p["isrs"]) == 3
               for p in parts.values())


def test_offsets_are_queried_by_time(whole, topic):
    name = topic(partitions=1)
    kcat(whole, "-t", name, "-P", "-p", "0", stdin="a\nb\n")
    between = int(time.time() * 1000) + 1
    while int(time.time() * 1000) <= between + 2:
        pass
    kcat(whole, "-t", name, "-P", "-p", "0", stdin="c\n")
    assert kcat(whole, "-Q", "-t", f"{name}:0:{between}").split() == [name, "[0]", "offset", "2"]
    assert kcat(whole, "-Q", "-t", f"{name}:0:-1").split() == [name, "[0]", "offset", "3"]
    assert kcat(whole, "-C", "-t", name, "-p", "0", "-o", f"s@{between}", "-e", "-q").split() == ["c"]


def test_a_topic_appears_by_producing(whole):
    name = f"kcat-auto-{os.urandom(2).hex()}"
    kcat(whole, "-t", name, "-P", "-X", "acks=all", stdin="one\n")
    assert kcat(whole, "-t", name, "-C", "-o", "beginning", "-e", "-q") == "one\n"
