"""`moldau broker` and `moldau controller` against a running cluster; brokers of Apache Kafka as well."""
import json
import os
import subprocess

import pytest

from tests.kit import ops
from tests.kit.cluster import ROOT, wait_until

BINARY = os.environ.get("MOLDAU_CLI", str(ROOT / "build" / "bin" / "moldau"))


@pytest.fixture(scope="module")
def cluster(new_cluster):
    made = new_cluster("cli-nodes", settings={"broker.rack": "r7"})
    yield made
    made.close()


@pytest.fixture
def cli(whole, tmp_path):
    env = {k: v for k, v in os.environ.items() if not k.startswith("MOLDAU_")}
    env["MOLDAU_BOOTSTRAP"] = whole.bootstrap

    def run(*words, code=0):
        done = subprocess.run([BINARY, *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=120, cwd=tmp_path, env=env)
        assert done.returncode == code, f"{words} ended with {done.returncode}\n{done.stdout}{done.stderr}"
        return done
    return run


@pytest.fixture
def name(cli):
    made = f"nodes.{os.urandom(3).hex()}"
    cli("topic", "create", made, "--assignment", "1,2,3:2,3,1")
    yield made
    cli("topic", "delete", made, "--yes", "--if-exists")


def brokers(cli, code=0):
    return {b["broker"]: b for b in json.loads(cli("broker", "list", "--json", code=code).stdout)}


def test_brokers_are_listed(cli, name, whole, target):
    before = brokers(cli)
    assert sorted(before) == [1, 2, 3] and all(b["state"] == "live" for b in before.values())
    for b in before.values():
        assert b["address"] == f"{whole.host}:{whole.port(str(b['broker']))}" and b["rack"] == "r7"
        assert b["epoch"] >= 0 and b["since"] and b["disk_bytes"] >= 0 and b["usable_bytes"] > 0
        assert b["replicas"] >= 2 and b["under_replicated"] == 0 and b["failed_dirs"] == 0
        assert (b["software"] or "").startswith("moldau") == (target == "moldau")
    assert cli("broker", "list", "-o", "name").stdout.split() == ["1", "2", "3"]
    shown = json.loads(cli("broker", "show", 2, "--json").stdout)
    assert {k: shown[k] for k in ("broker", "epoch", "state", "rack")} == {
        k: before[2][k] for k in ("broker", "epoch", "state", "rack")}
    assert [(d["directory"], d["state"]) for d in shown["directories"]] == [(str(whole.data("2")), "ok")]
    assert shown["directories"][0]["replicas"] == shown["replicas"] and shown["behind"] == []
    assert "next: moldau broker list" in cli("broker", "show", 9, code=3).stderr
    cli("broker", "show", "two", code=2)


@pytest.mark.moldau_only
def test_a_broker_that_died(cli, name, whole):
    whole.kill("3")
    wait_until(lambda: sorted(ops.partitions_of(whole, name)[0].isr) == [1, 2], 30, "broker 3 is out of the ISR")
    seen = brokers(cli, code=10)
    assert seen[3]["state"] == "down" and seen[3]["under_replicated"] == seen[3]["replicas"] >= 2
    assert seen[3]["disk_bytes"] is None and seen[1]["state"] == "live"
    shown = json.loads(cli("broker", "show", 3, "--json", code=10).stdout)
    assert (name, 0) in [(p["topic"], p["partition"]) for p in shown["behind"]] and shown["directories"] == []
    whole.start("3")
    ops.wait_full_isr(whole)
    assert brokers(cli)[3]["epoch"] > seen[1]["epoch"]


def controllers(cli, code=0):
    return json.loads(cli("controller", "list", "--json", code=code).stdout)


def active(cli):
    return [c["controller"] for c in controllers(cli) if c["active"]]


@pytest.fixture
def warm(cli):
    """One is active, the other follows it."""
    wait_until(lambda: sorted(c["state"] for c in controllers(cli)) == ["active", "standby, warm"], 30, "a warm standby")


@pytest.mark.moldau_only
def test_controllers_are_listed(cli, whole, warm):
    seen = controllers(cli)
    assert [c["controller"] for c in seen] == [3001, 3002]
    assert [c["address"] for c in seen] == [f"{whole.host}:{whole.port(c)}" for c in ("c1", "c2")]
    assert [c["epoch"] is not None for c in seen] == [c["active"] for c in seen]
    status = json.loads(cli("controller", "status", "--json").stdout)
    assert (status["controller"], status["active"], status["brokers"], status["standbys"]) == (active(cli)[0], True, 3, 1)
    other = next(c["controller"] for c in seen if not c["active"])
    status = json.loads(cli("controller", "status", other, "--json").stdout)
    assert (status["active"], status["warm"], status["holder"]) == (False, True, active(cli)[0])
    cli("controller", "status", 9, code=3)


@pytest.mark.moldau_only
def test_the_active_controller_resigns(cli, whole, name, warm):
    before = active(cli)
    refused = cli("controller", "resign", code=4).stderr
    assert f"Controller {before[0]} gives up its seat" in refused and active(cli) == before
    done = json.loads(cli("controller", "resign", "--yes", "--json").stdout)
    assert [done["from"]] == before and done["to"] != done["from"]
    wait_until(lambda: active(cli) == [done["to"]], 10, "the other is active")
    cli("topic", "create", name + ".after", "-p", "1", "-r", "3")
    cli("topic", "delete", name + ".after", "--yes")


@pytest.mark.moldau_only
def test_the_last_controller_stays(cli, whole, warm):
    keeper = wait_until(whole.active_controller, 30, "an active controller")
    standby = next(node for node in ("c1", "c2") if node != keeper)
    whole.kill(standby)
    wait_until(lambda: json.loads(cli("controller", "status", "--json").stdout)["standbys"] == 0, 30, "nobody follows")
    assert "no standby follows it" in cli("controller", "resign", "--yes", code=4).stderr
    assert [c["state"] for c in controllers(cli, code=10) if not c["active"]] in ([], ["down"])


@pytest.mark.moldau_only
def test_what_is_on_its_way(cli, whole):
    assert json.loads(cli("controller", "ops", "--json").stdout) == []
    gone = f"nodes.{os.urandom(3).hex()}"
    cli("topic", "create", gone, "--assignment", "1,2,3:2,3,1")
    whole.kill("3")
    wait_until(lambda: sorted(ops.partitions_of(whole, gone)[0].isr) == [1, 2], 30, "broker 3 is out of the ISR")
    cli("topic", "delete", gone, "--yes")

    def files():
        told = json.loads(cli("controller", "ops", "--json").stdout)
        return [(w["kind"], w["broker"], w["count"]) for w in told] == [("files", 3, 2)] and told
    told = wait_until(files, 30, "broker 3 has two replicas to delete")
    assert told[0]["what"] == "2 replicas to delete"
    whole.start("3")
    wait_until(lambda: json.loads(cli("controller", "ops", "--json").stdout) == [], 30, "nothing is on its way")
