"""Kafka's own command line tools, unmodified, against the cluster: log directories and deleted records."""
import json
import os

import pytest

from tests.cluster.test_log_moves import DIRS, fill, other, path, where
from tests.kit import ops, raw
from tests.kit.cluster import wait_until
from tests.kit.kafka import Missing, tool

ALTER_PARTITION_REASSIGNMENTS = 45


@pytest.fixture(scope="module")
def cluster(new_cluster):
    made = new_cluster("tools", settings={"log.dirs": ",".join(DIRS)})
    yield made
    made.close()


def run(cluster, main, *args):
    try:
        return tool(main, "--bootstrap-server", cluster.bootstrap, *args)
    except Missing as e:
        pytest.skip(str(e))


def test_delete_records(whole, topic, tmp_path):
    name = topic(partitions=2)
    fill(whole, name, mib=1)
    end = ops.end_offset(whole, name, 0)
    wish = tmp_path / "offsets.json"
    wish.write_text(json.dumps({"version": 1, "partitions": [{"topic": name, "partition": 0, "offset": 5},
                                                             {"topic": name, "partition": 1, "offset": -1}]}))
    said = run(whole, "DeleteRecordsCommand", "--offset-json-file", wish)
    assert f"partition: {name}-0\tlow_watermark: 5" in said
    assert f"partition: {name}-1\tlow_watermark: 0" in said
    assert [r.offset for r in ops.read_partition(whole, name, 0, start=5)] == list(range(5, end))


def test_log_dirs(whole, topic):
    name = topic(partitions=2)
    fill(whole, name, mib=1)
    ops.wait_full_isr(whole)
    ops.assert_replicas_identical(whole, name)
    said = run(whole, "LogDirsCommand", "--describe", "--topic-list", name)
    found = json.loads(next(line for line in said.splitlines() if line.startswith("{")))
    assert {b["broker"] for b in found["brokers"]} == {1, 2, 3}
    for b in found["brokers"]:
        assert {d["logDir"] for d in b["logDirs"]} == {path(whole, b["broker"], d) for d in DIRS}
        assert all(d["error"] is None for d in b["logDirs"])
        parts = {p["partition"]: p for d in b["logDirs"] for p in d["partitions"]}
        assert set(parts) == {f"{name}-0", f"{name}-1"}
        assert parts[f"{name}-0"]["size"] > 1 << 20 and parts[f"{name}-0"]["offsetLag"] == 0
        assert not any(p["isFuture"] for p in parts.values())


def test_reassignment_to_another_directory(whole, topic, tmp_path):
    with raw.Connection(whole.host, whole.port("1")) as c:
        if ALTER_PARTITION_REASSIGNMENTS not in c.api_versions():
            pytest.skip("reassignments are not served yet, and the tool asks for one")
    name = topic(partitions=1)
    fill(whole, name, mib=2)
    replicas = ops.partitions_of(whole, name)[0].replicas
    to = {b: other(where(whole, b, name, 0)[0][0]) for b in replicas}
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"version": 1, "partitions": [
        {"topic": name, "partition": 0, "replicas": replicas,
         "log_dirs": [path(whole, b, to[b]) for b in replicas]}]}))
    said = run(whole, "reassign.ReassignPartitionsCommand", "--reassignment-json-file", plan, "--execute")
    assert "Successfully started moving log directory to" in said or "Successfully started log directory move" in said
    wait_until(lambda: all(where(whole, b, name, 0) == [(to[b], False)] for b in replicas), 60, "moved")
    said = run(whole, "reassign.ReassignPartitionsCommand", "--reassignment-json-file", plan, "--verify")
    assert said.count("completed successfully") == len(replicas)
    assert os.path.isdir(path(whole, replicas[0], f"{to[replicas[0]]}/{name}-0"))
