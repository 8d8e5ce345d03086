"""A broker that opens its logs for long says how far it is: on its page, in scripts/cluster status, and to whoever asks
ZooKeeper, as `moldau cluster status` does; and takes that back once it serves."""
import json
import os
import subprocess
import threading

import pytest

from tests.kit import ops
from tests.kit.bad_disk import OPEN, disk, healed   # noqa: F401 - fixtures
from tests.kit.cluster import ROOT, wait_until
from tests.kit.rawload import RawLoad

pytestmark = pytest.mark.moldau_only
BINARY = os.environ.get("MOLDAU_CLI", str(ROOT / "build" / "bin" / "moldau"))
PARTITIONS = 60


@pytest.fixture(scope="module")
def cluster(new_cluster, disk):
    made = new_cluster("loading", env=disk.env(), brokers=2, settings={"log.dirs": "d0,d1"})
    yield made
    made.close()


def asked(cluster, *words):
    done = subprocess.run([BINARY, "cluster", "status", *words, "-b", ":".join(map(str, cluster.address("2")))], capture_output=True,
                          text=True, timeout=60, check=False, env={"PATH": os.environ["PATH"]})
    return done.returncode, done.stdout


def seen_by_script(cluster):
    return next(b for b in cluster.status()["brokers"] if b["id"] == "1").get("loading")


def seen_by_cli(cluster):
    return json.loads(asked(cluster, "--json")[1]).get("loading", [])


def test_who_recovers_says_how_far_it_is(cluster, disk):
    topic = ops.create_topic(cluster, "progress", PARTITIONS, 2) or "progress"
    load = RawLoad(cluster.addresses, topic, list(range(PARTITIONS)), rate=2000).start()
    wait_until(lambda: all(load.acked[p] for p in range(PARTITIONS)), 60, "records everywhere")
    load.stop()
    cluster.kill("1")
    disk.slow(cluster.data("1").parent, OPEN, 150)
    starter = threading.Thread(target=cluster.start, args=("1",))
    starter.start()
    try:
        wait_until(lambda: (seen_by_script(cluster) or {}).get("logs_loaded", 0) > 0, 60, "the script shows progress")
        wait_until(lambda: any(d["logs_loaded"] for d in seen_by_cli(cluster)), 60, "the command shows progress")
        dirs = seen_by_cli(cluster)
        assert {d["broker"] for d in dirs} == {1} and sum(d["logs_total"] for d in dirs) >= PARTITIONS
        assert sorted(os.path.basename(d["dir"]) for d in dirs) == ["d0", "d1"]
        assert all(d["logs_loaded"] <= d["logs_total"] and not d["clean_stop"] for d in dirs)
        code, text = asked(cluster)
        assert code >= 10 and "broker 1 starts and opens its logs: " in text and "LOG-DIR" in text, text
        wait_until(lambda: sum(d["bytes_read"] for d in seen_by_cli(cluster)) > 0, 60, "bytes are counted")
    finally:
        disk.heal()
        starter.join()
    cluster.wait_serving()
    wait_until(lambda: not seen_by_cli(cluster) and seen_by_script(cluster) is None, 30, "it is taken back")
    wait_until(lambda: asked(cluster)[0] == 0, 60, "the cluster is healthy")
