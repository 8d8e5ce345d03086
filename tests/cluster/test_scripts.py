"""What other tools build on: the words and promises of scripts/cluster, against real processes."""
import json
import os
import socket
import subprocess
import time

import pytest

from tests.kit.cluster import ROOT, PortBase, proc_stat, wait_until

pytestmark = pytest.mark.moldau_only
KINDS = ("brokers", "controllers", "zookeepers")


class Local:
    """scripts/cluster, word by word."""

    def __init__(self, folder):
        self.ports = PortBase()
        self.dir = folder

    def __call__(self, *words, code=0):
        done = subprocess.run([str(ROOT / "scripts" / "cluster"), *words, "--dir", str(self.dir)],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=150)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def up(self, *words):
        return self("up", "--port-base", str(self.ports.base), *words)

    def status(self):
        done = self("status", "--json")
        assert done.stderr == "" and done.stdout.count("\n") == 1
        return json.loads(done.stdout)

    def nodes(self):
        status = self.status()
        return {n["id"]: n for kind in ("brokers", "controllers", "zookeepers") for n in status[kind]}

    def close(self):
        self("clean")
        self.ports.release()


@pytest.fixture(scope="module")
def local(tmp_path_factory, target):
    if target != "moldau":
        pytest.skip("a promise of moldau's only")
    made = Local(tmp_path_factory.mktemp("scripts") / "run")
    made.up()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def healthy(local):
    local.up()


def test_status_has_its_shape(local):
    def answered():     # the script waits for a tenth of a second, which is less than a busy machine may take
        status = local.status()
        return all(n["up"] for k in KINDS for n in status[k]) and any(c["active"] for c in status["controllers"]) and status
    base, status = local.ports.base, wait_until(answered, 30, "everybody is up")
    assert set(status) == {"bootstrap", "zookeeper", "brokers", "controllers", "zookeepers"}
    assert status["bootstrap"] == ",".join(f"127.0.0.1:{base + i}" for i in (1, 2, 3))
    assert status["zookeeper"].startswith(f"127.0.0.1:{base + 81}")
    assert [(b["id"], b["port"], b["up"]) for b in status["brokers"]] == [(str(i), base + i, True) for i in (1, 2, 3)]
    assert [(c["id"], c["port"], c["up"]) for c in status["controllers"]] == \
        [("c1", base + 51, True), ("c2", base + 52, True)]
    assert [(z["id"], z["port"], z["up"]) for z in status["zookeepers"]] == [("z1", base + 81, True)]
    assert sum(c["active"] for c in status["controllers"]) == 1
    assert all(os.path.isdir(b["data"]) for b in status["brokers"])


def test_status_is_fast_whatever_is_paused(local):
    for node in ("1", "2", "3", "c1", "c2", "z1"):
        local("pause", node)
    taken = []
    for _ in range(5):
        start = time.monotonic()
        status = local.status()
        taken.append(time.monotonic() - start)
    assert min(taken) < 0.2, taken
    assert not any(n["up"] for k in KINDS for n in status[k])
    assert all(n["pid"] for k in KINDS for n in status[k])
    for node in ("z1", "c1", "c2", "1", "2", "3"):
        local("resume", node)


def test_nodes_are_on_their_own(local):
    for node in local.nodes().values():
        pid = node["pid"]
        assert os.getsid(pid) == pid
        assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"
        for fd in "1", "2":
            assert os.readlink(f"/proc/{pid}/fd/{fd}").startswith(str(local.dir))
        assert not any(os.readlink(f"/proc/{pid}/fd/{fd}").endswith("/lock") for fd in os.listdir(f"/proc/{pid}/fd"))


def test_up_again_changes_nothing(local):
    before = {i: n["pid"] for i, n in local.nodes().items()}
    address = local.up().stdout.strip()
    assert address == local.status()["bootstrap"]
    assert {i: n["pid"] for i, n in local.nodes().items()} == before


@pytest.mark.parametrize("verb", ["stop", "kill"])
@pytest.mark.parametrize("node", ["2", "c1", "z1"])
def test_an_ended_node_is_gone_and_comes_back(local, verb, node):
    pid = local.nodes()[node]["pid"]
    local(verb, node)
    assert proc_stat(pid) is None
    assert (local.nodes()[node]["pid"], local.nodes()[node]["up"]) == (0, False)
    local(verb, node)
    local("start", node)
    again = local.nodes()[node]["pid"]
    assert again not in (0, pid) and proc_stat(again) is not None
    local("start", node)
    assert local.nodes()[node]["pid"] == again


def test_down_resumes_what_is_paused_and_keeps_data(local):
    local("pause", "1")
    pids = [n["pid"] for n in local.nodes().values()]
    local("down")
    assert all(proc_stat(p) is None for p in pids)
    assert all(n["pid"] == 0 and not n["up"] for n in local.nodes().values())
    assert os.path.exists(local.status()["brokers"][0]["data"] + "/meta.properties")
    local("down")


def test_a_taken_port_is_named_and_nothing_is_started(local):
    local("down")
    with socket.create_server(("127.0.0.1", local.ports.base + 2)):
        said = local("up", code=1).stderr
        assert str(local.ports.base + 2) in said
        assert all(n["pid"] == 0 for n in local.nodes().values())


def test_two_clusters_do_not_meet(local, tmp_path):
    other = Local(tmp_path / "run")
    try:
        other.up("--brokers", "1", "--controllers", "1")
        before = {i: n["pid"] for i, n in local.nodes().items()}
        assert other.status()["bootstrap"] == f"127.0.0.1:{other.ports.base + 1}"
        other("down")
        assert {i: n["pid"] for i, n in local.nodes().items()} == before
    finally:
        other.close()
    assert not (tmp_path / "run").exists()


def test_what_is_set_reaches_every_file(local, tmp_path):
    other = Local(tmp_path / "run")
    try:
        other.up("--brokers", "1", "--controllers", "1", "--set", "num.partitions=5")
        for path in ("1/server.properties", "c1/controller.properties"):
            assert "num.partitions=5\n" in (tmp_path / "run" / path).read_text()
        other("down")
        other.up()
        assert "num.partitions=5\n" in (tmp_path / "run/1/server.properties").read_text()
    finally:
        other.close()


def test_wrong_words_are_usage_errors(local):
    local("explode", code=2)
    local("kill", code=2)
    local("kill", "9", code=1)
    assert local("log", "1").stdout


def test_what_is_installed_is_whole(tmp_path):
    done = subprocess.run(["make", "install", f"DESTDIR={tmp_path}", "PREFIX=/opt/moldau"], cwd=ROOT,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    home = tmp_path / "opt/moldau"
    for program in ("moldau", "moldau-broker", "moldau-controller"):
        version = subprocess.run([home / "bin" / program, "--version"], capture_output=True, text=True, check=True)
        assert version.stdout.strip()
    for page in ("share/man/man1/moldau.1", "share/doc/moldau/README.md", "share/doc/moldau/server.properties",
                 "share/doc/moldau/broker-settings.md"):
        assert (home / page).stat().st_size > 0
    units = [u for u in tmp_path.rglob("*.service")]
    assert units and all("/opt/moldau/bin/" in u.read_text() for u in units)
