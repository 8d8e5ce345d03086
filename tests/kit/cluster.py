"""Whole clusters of real processes for the tests, behind one interface.

MoldauCluster drives scripts/cluster; KafkaCluster (kafka.py) starts Apache Kafka 3.9 beside Debian's
ZooKeeper. A test that passes against Kafka and fails against moldau has found a difference; one that
passes against neither is wrong itself. `make_cluster()` picks by name, default $TARGET or moldau.

Ids are strings, as scripts/cluster has them: "1".. brokers, "c1".. controllers, "z1".. ZooKeepers.
Kafka has no controller processes: its active controller is one of the brokers.
"""
import atexit
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

from tests.kit.stops import cut_short

ROOT = Path(__file__).resolve().parents[2]
TICK = os.sysconf("SC_CLK_TCK")
PORT_SPAN = 200
CPUCLOCK_SCHED = 2          # with a pid it makes a clock: clock_getcpuclockid(3)


class Timeout(AssertionError):
    """A condition that did not become true in time."""


def wait_until(condition, timeout=30.0, what="condition", every=0.05):
    """Polls until condition() is truthy and returns that value; its last exception is the reason given."""
    end = time.monotonic() + timeout
    last = None
    while True:
        try:
            value = condition()
            if value:
                return value
            last = value
        except (OSError, AssertionError, LookupError, EOFError, ValueError) as e:
            last = e
        if time.monotonic() > end:
            raise Timeout(f"{what}: not within {timeout:g} s; last: {last!r}")
        time.sleep(every)


def port_is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


class PortBase:
    """A range of PORT_SPAN ports that no other test run holds, until release()."""

    def __init__(self):
        first = int(os.environ.get("MOLDAU_TEST_PORT_BASE", "22000"))
        locks = Path(tempfile.gettempdir()) / f"moldau-test-ports.{os.getuid()}"
        locks.mkdir(exist_ok=True)
        for base in range(first, 32000, PORT_SPAN):
            fd = os.open(locks / str(base), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(fd)
                continue
            if all(port_is_free(base + p) for p in range(1, PORT_SPAN)):
                self.base, self.fd = base, fd
                return
            os.close(fd)
        raise RuntimeError(f"no {PORT_SPAN} free ports between {first} and 32000")

    def release(self):
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None


def proc_stat(pid):
    """Fields of /proc/PID/stat from the third on, or None when there is no such process.

    A zombie is none, once its last thread is gone: until then its sockets are open.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
        fields = text.rsplit(")", 1)[1].split()
        if fields[0] in "ZX" and len(os.listdir(f"/proc/{pid}/task")) <= 1:
            return None
    except (FileNotFoundError, ProcessLookupError):
        return None
    return fields


def pid_cpu_seconds(pid):
    """Of all its threads, user and system, those that have ended too; to the nanosecond, which /proc is not."""
    if proc_stat(pid) is None:
        raise ProcessLookupError(f"no process {pid}")
    return time.clock_gettime((~pid << 3) | CPUCLOCK_SCHED)


def pid_rss_bytes(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


_open_clusters = []


def _close_all():
    for cluster in list(_open_clusters):
        cluster.close()


atexit.register(_close_all)


def exit_on_signals():
    """SIGTERM and SIGHUP end the program the way ^C does, so that clusters are taken down."""
    for sig in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, lambda n, _: sys.exit(128 + n))


class Cluster:
    """What both targets share. Use as a context manager, or call close()."""

    target = None
    host = "127.0.0.1"

    def __init__(self, name="cluster"):
        self.ports = PortBase()
        self.dir = Path(tempfile.mkdtemp(prefix=f"moldau-{name}-"))
        self.brokers = []
        self.ended = set()          # nodes that we ended ourselves
        self.keep = bool(os.environ.get("KEEP_DIRS"))
        _open_clusters.append(self)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        """Takes the cluster down and removes its files ($KEEP_DIRS keeps them); safe to call twice."""
        if self not in _open_clusters:
            return
        _open_clusters.remove(self)
        try:
            self.down()
        finally:
            self.ports.release()
            if self.keep:
                print(f"kept {self.dir}", file=sys.stderr)
            else:
                shutil.rmtree(self.dir, ignore_errors=True)

    @property
    def bootstrap(self):
        return ",".join(f"{host}:{port}" for host, port in self.addresses)

    @property
    def addresses(self):
        return [self.address(b) for b in self.brokers]

    def address(self, node):
        return self.host, self.port(node)

    def is_up(self, node):
        pid = self.pid(node)
        return bool(pid) and proc_stat(pid) is not None

    def cpu_seconds(self, node):
        return pid_cpu_seconds(self.pid(node))

    def broker_cpu_seconds(self):
        return sum(self.cpu_seconds(b) for b in self.brokers if self.is_up(b))

    def rss_bytes(self, node):
        return pid_rss_bytes(self.pid(node))

    def kill_at_once(self, *nodes):
        """SIGKILL without waiting; returns the monotonic time just before the first signal."""
        pids = [self.pid(n) for n in nodes]
        self.ended.update(nodes)
        at = time.monotonic()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        return at

    def pause_at_once(self, node):
        at = time.monotonic()
        os.kill(self.pid(node), signal.SIGSTOP)
        return at

    def terminate_at_once(self, node):
        pid = self.pid(node)
        self.ended.add(node)
        at = time.monotonic()
        os.kill(pid, signal.SIGTERM)
        return at

    def crashed(self):
        """Nodes that are down and should not be."""
        return [n for n in [*self.brokers, *getattr(self, "nodes", ())] if n not in self.ended and not self.is_up(n)]

    def wait_gone(self, node, timeout=30):
        wait_until(lambda: not self.is_up(node), timeout, f"end of {node}")

    def wait_serving(self, timeout=60):
        """Every broker that is up names all of those in its Metadata, and a controller."""
        from tests.kit import raw

        def all_named():
            up = [b for b in self.brokers if self.is_up(b)]
            for b in up:
                with raw.Connection(*self.address(b), timeout=5) as c:
                    m = c.metadata([])
                    if {str(i) for i in m.brokers} != set(up) or m.controller_id < 0:
                        return False
            return True
        wait_until(all_named, timeout, "every broker names all brokers", every=0.1)


class MoldauCluster(Cluster):
    """scripts/cluster of this checkout. Its words and promises are those of the design's section 7."""

    target = "moldau"
    script = ROOT / "scripts" / "cluster"

    def __init__(self, name="moldau", flavour=None):
        super().__init__(name)
        self.flavour = flavour or os.environ.get("FLAVOUR")
        self.env = {}               # for what is started from now on

    def _run(self, verb, *args, timeout=120, check=True):
        argv = [str(self.script), verb, *args, "--dir", str(self.dir / "run"),
                "--port-base", str(self.ports.base)]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout,
                              env={**os.environ, **self.env})
        if check and done.returncode != 0:
            raise RuntimeError(f"{' '.join(argv)} exited {done.returncode}\n{done.stdout}{done.stderr}"
                               f"{self.log_tails()}")
        return done.stdout

    def up(self, brokers=3, controllers=2, settings=None, zookeepers=1, netns=False):
        args = ["--brokers", str(brokers), "--controllers", str(controllers), "--zookeepers", str(zookeepers)]
        args += ["--netns"] if netns else []
        for key, value in (settings or {}).items():
            args += ["--set", f"{key}={value}"]
        if self.flavour:
            args += ["--build", self.flavour]
        self._run("up", *args)
        self.nodes = {}
        self._learn()
        self.brokers = [b["id"] for b in self.status()["brokers"]]
        return self

    def status(self):
        return json.loads(self._run("status", "--json", timeout=10, check=False))

    def _learn(self):
        status = self.status()
        for kind in ("brokers", "controllers", "zookeepers"):
            for node in status[kind]:
                self.nodes[node["id"]] = node
        return status

    def node(self, node):
        return self.nodes[node]

    def pid(self, node):
        known = self.nodes[node]["pid"]
        if not known or proc_stat(known) is None:
            self._learn()
        return self.nodes[node]["pid"]

    def port(self, node):
        return self.nodes[node]["port"]

    def address(self, node):
        return self.nodes[node]["host"], self.nodes[node]["port"]

    def data(self, broker):
        return Path(self.nodes[broker]["data"])

    def log(self, node):
        return self._run("log", node, check=False)

    def fell_over_stops(self):
        """Brokers with the lines that say that they stop, where nothing says that they have stopped."""
        logs = [(b, self.dir / "run" / b / "broker.log") for b in self.brokers]
        return [(b, line) for b, log in logs for line in cut_short(log.read_text(errors="replace").splitlines())]

    def log_tails(self, lines=15):
        text = ""
        for path in sorted((self.dir / "run").rglob("*.log")):
            if path.is_file() and not path.name[0].isdigit():
                tail = path.read_text(errors="replace").splitlines()[-lines:]
                text += f"\n--- {path.relative_to(self.dir / 'run')}\n" + "\n".join(tail)
        return text

    def active_controller(self):
        active = [c["id"] for c in self.status()["controllers"] if c["active"]]
        return active[0] if active else None

    def zookeeper_cpu_seconds(self):
        return sum(self.cpu_seconds(n) for n in self.nodes if n[0] == "z" and self.is_up(n))

    def controller_cpu_seconds(self):
        return sum(self.cpu_seconds(n) for n in self.nodes if n[0] == "c" and self.is_up(n))

    def kill(self, node):
        self.ended.add(node)
        self._run("kill", node)
        self._learn()

    def stop(self, node):
        self.ended.add(node)
        self._run("stop", node)
        self._learn()

    def start(self, node):
        self._run("start", node)
        self.ended.discard(node)
        self._learn()

    def pause(self, node):
        self._run("pause", node)

    def resume(self, node):
        self._run("resume", node)

    def cut(self, node, *peers, one_way=False):
        """Nothing passes between them (with everybody, unless peers are named); of a cluster that is up with netns."""
        self._run("cut", node, *peers, *(["--one-way"] if one_way else []))

    def cut_at_once(self, node):
        """From everybody, without a script in between; returns the monotonic time just before."""
        sys.path.insert(0, str(ROOT / "scripts" / "lib"))
        from cluster_net import Net
        nodes = [SimpleNamespace(id=n) for n in self.nodes]
        net = Net(SimpleNamespace(dir=str(self.dir / "run"), nodes=lambda: nodes))
        at = time.monotonic()
        net.between([node], [], "cut=1", False)
        return at

    def slow(self, node, *peers, delay_ms=0, jitter_ms=0, loss_percent=0):
        self._run("slow", node, *peers, "--delay", str(delay_ms), "--jitter", str(jitter_ms), "--loss",
                  str(loss_percent))

    def mend(self):
        self._run("mend")

    def down(self):
        if (self.dir / "run").exists():
            self._run("down", check=False)
            if not self.keep:
                self._run("clean", check=False)


def make_cluster(target=None, name="test"):
    target = target or os.environ.get("TARGET", "moldau")
    if target == "moldau":
        return MoldauCluster(name)
    if target == "kafka":
        from tests.kit.kafka import KafkaCluster
        return KafkaCluster(name)
    raise ValueError(f"unknown target {target!r}: moldau or kafka")
