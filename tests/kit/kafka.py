"""Apache Kafka 3.9 in ZooKeeper mode, from its published jars, with the interface of MoldauCluster.

The jars come from Maven Central once, through mvn, into build/kafka39 ($MOLDAU_KAFKA_JARS for a
directory that has them already). Settings are Kafka's defaults, its JVM flags those of its own start
script. ZooKeeper is Debian's.
"""
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from tests.kit.cluster import ROOT, Cluster, pid_cpu_seconds, wait_until

KAFKA_VERSION = "3.9.2"
JVM_FLAGS = ("-server -Xmx1G -Xms1G -XX:+UseG1GC -XX:MaxGCPauseMillis=20 "
             "-XX:InitiatingHeapOccupancyPercent=35 -XX:+ExplicitGCInvokesConcurrent "
             "-XX:MaxInlineLevel=15 -Djava.awt.headless=true").split()
ZK_FLAGS = ("-Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData "
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn").split()
POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>tests</groupId><artifactId>fetch</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
%s  </dependencies>
</project>
"""
LOG4J = """log4j.rootLogger=INFO, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=[%d] %p %m (%c)%n
log4j.logger.kafka.request.logger=WARN
"""


class Missing(RuntimeError):
    """A tool or download that this machine does not have; tests skip on it."""


def fetch_jars(artifacts, into):
    """The artifacts ("group:name:version") with all they need at run time, copied into a directory once."""
    into = Path(into)
    stamp = into / "complete"
    wanted = "\n".join(artifacts)
    if stamp.exists() and stamp.read_text() == wanted:
        return into / "lib"
    if not shutil.which("mvn"):
        raise Missing("mvn is not installed")
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    deps = ""
    for artifact in artifacts:
        group, name, version = artifact.split(":")
        deps += (f"    <dependency><groupId>{group}</groupId><artifactId>{name}</artifactId>"
                 f"<version>{version}</version></dependency>\n")
    (into / "pom.xml").write_text(POM % deps)
    done = subprocess.run(["mvn", "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime",
                           "-DoutputDirectory=lib"], cwd=into, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise Missing(f"mvn could not fetch {wanted}: {done.stdout[-500:]}")
    stamp.write_text(wanted)
    return into / "lib"


def kafka_jars():
    ready = os.environ.get("MOLDAU_KAFKA_JARS")
    if ready:
        return Path(ready)
    return fetch_jars([f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}", "org.slf4j:slf4j-reload4j:1.7.36"],
                      ROOT / "build" / "kafka39")


def tool(main, *args, timeout=120):
    """What one of Kafka's own command line tools prints: tool("LogDirsCommand", "--describe", ...)."""
    if not shutil.which("java"):
        raise Missing("java is not installed")
    jars = fetch_jars([f"org.apache.kafka:kafka-tools:{KAFKA_VERSION}", "org.slf4j:slf4j-nop:1.7.36"],
                      ROOT / "build" / "kafka39-tools")
    done = subprocess.run(["java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*",
                           f"org.apache.kafka.tools.{main}", *map(str, args)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=timeout)
    if done.returncode != 0:
        raise AssertionError(f"{main} {args} exited {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def zookeeper_jar():
    for path in ("/usr/share/java/zookeeper.jar", "/usr/share/zookeeper/zookeeper.jar"):
        if os.path.exists(path):
            return path
    raise Missing("libzookeeper-java is not installed")


class KafkaCluster(Cluster):
    target = "kafka"

    def __init__(self, name="kafka"):
        self.children = {}
        self.settings = {}
        self.zookeepers = []
        self.net = None
        super().__init__(name)

    def up(self, brokers=3, controllers=0, settings=None, zookeepers=1, netns=False):
        if not shutil.which("java"):
            raise Missing("java is not installed")
        self.jars = kafka_jars()
        self.settings = settings or {}
        self.brokers = [str(i + 1) for i in range(brokers)]
        self.zookeepers = [f"z{i + 1}" for i in range(zookeepers)]
        if netns:
            self._make_network()
        self._start_zookeepers()
        for b in self.brokers:
            self._write_config(b)
            self.start(b)
        self.wait_serving()
        return self

    def port(self, node):
        return self.ports.base + (80 + int(node[1:]) if node[0] == "z" else int(node))

    def host_of(self, node):
        return f"{self.net.cluster.settings['subnet']}.{self._host_byte(node)}" if self.net else self.host

    def address(self, node):
        return self.host_of(node), self.port(node)

    def data(self, broker):
        return self.dir / f"node{broker}" / self.settings.get("log.dirs", "data").split(",")[0]

    def pid(self, node):
        child = self.children.get(node)
        return child.pid if child and child.poll() is None else 0

    def log_path(self, node):
        return self.dir / f"{node}.log"

    def log(self, node):
        return self.log_path(node).read_text(errors="replace")

    def active_controller(self):
        from tests.kit import raw
        for b in self.brokers:
            if self.is_up(b):
                with raw.Connection(*self.address(b), timeout=5) as c:
                    found = c.metadata([]).controller_id
                    return str(found) if found >= 0 else None
        return None

    def zookeeper_cpu_seconds(self):
        return sum(pid_cpu_seconds(self.pid(z)) for z in self.zookeepers if self.pid(z))

    def controller_cpu_seconds(self):
        return 0.0

    def start(self, node):
        if node in self.ended:
            self.children[node].wait(30)
        assert not self.pid(node), f"{node} runs already"
        self.ended.discard(node)
        if node[0] == "z":
            self._spawn_zookeeper(node)
            return
        # A Kafka broker that finds the node of its killed predecessor's session gives up.
        wait_until(lambda: f"/brokers/ids/{node}\n" not in self._ask_zookeeper("dump"), 60,
                   f"end of the session of {node}")
        self._spawn(node, [*JVM_FLAGS, f"-Dlog4j.configuration=file:{self.dir}/log4j.properties",
                           "-cp", f"{self.jars}/*", "kafka.Kafka", f"{self.dir}/{node}.properties"])

    def kill(self, node):
        self.kill_at_once(node)
        self.children[node].wait(30)

    def stop(self, node):
        self.terminate_at_once(node)
        self.children[node].wait(120)

    def pause(self, node):
        os.kill(self.pid(node), signal.SIGSTOP)

    def resume(self, node):
        os.kill(self.pid(node), signal.SIGCONT)

    def cut_at_once(self, node):
        at = time.monotonic()
        self.net.between([node], [], "cut=1", False)
        return at

    def mend(self):
        self.net.order("mend")

    def down(self):
        # Their data is thrown away: there is nothing to be gained by waiting for clean stops.
        for child in self.children.values():
            if child.poll() is None:
                child.kill()
        for child in self.children.values():
            child.wait(30)
        if self.net:
            self.net.signal(signal.SIGKILL)
            self.net = None

    def log_tails(self, lines=15):
        text = ""
        for path in sorted(self.dir.glob("*.log")):
            text += f"\n--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
        return text

    def _spawn(self, node, args):
        with open(self.log_path(node), "ab") as log:
            inside = self.net.door(node) if self.net else []
            self.children[node] = subprocess.Popen([*inside, shutil.which("java"), *args], cwd=self.dir, stdin=subprocess.DEVNULL,
                                                   stdout=log, stderr=log, start_new_session=True)

    # --- a network per node: the switch of scripts/cluster up --netns ---

    def _host_byte(self, node):
        return 200 + int(node[1:]) if node[0] == "z" else 10 + int(node)

    def _make_network(self):
        sys.path.insert(0, str(ROOT / "scripts" / "lib"))
        from cluster_net import Net, choose_subnet
        nodes = [SimpleNamespace(id=n, host_byte=self._host_byte(n), process=lambda: (0, ""))
                 for n in [*self.brokers, *self.zookeepers]]
        self.net = Net(SimpleNamespace(dir=str(self.dir), settings={"subnet": choose_subnet(str(self.dir))},
                                       nodes=lambda: nodes))
        self.net.start()

    # --- ZooKeeper ---

    def _start_zookeepers(self):
        for z in self.zookeepers:
            self._spawn_zookeeper(z)
        for z in self.zookeepers:
            wait_until(lambda z=z: "Mode:" in self._ask_zookeeper("srvr", z), 30, "ZooKeeper serving")

    def _spawn_zookeeper(self, node):
        data = self.dir / f"zk{node}"
        data.mkdir(exist_ok=True)
        lines = [f"tickTime=500\ninitLimit=20\nsyncLimit=10\ndataDir={data}\nclientPort={self.port(node)}",
                 f"clientPortAddress={self.host_of(node)}\nmaxClientCnxns=0\nadmin.enableServer=false",
                 "minSessionTimeout=300\nmaxSessionTimeout=60000\n4lw.commands.whitelist=srvr,dump"]
        if len(self.zookeepers) > 1:
            (data / "myid").write_text(node[1:] + "\n")
            lines += [f"server.{z[1:]}={self.host_of(z)}:{self.ports.base + 180 + int(z[1:])}:"
                      f"{self.ports.base + 190 + int(z[1:])}" for z in self.zookeepers]
        config = self.dir / f"{node}.cfg"
        config.write_text("\n".join(lines) + "\n")
        jar = zookeeper_jar()
        simple = Path(jar).with_name("slf4j-simple.jar")
        self._spawn(node, [*ZK_FLAGS, "-cp", f"{self.dir}:{jar}:{simple}",
                           "org.apache.zookeeper.server.quorum.QuorumPeerMain", str(config)])

    def _ask_zookeeper(self, word, node=None):
        node = node or next(z for z in self.zookeepers if self.is_up(z))
        with socket.create_connection(self.address(node), 5) as s:
            s.sendall(word.encode())
            with s.makefile() as answer:
                return answer.read()

    def _write_config(self, broker):
        n = len(self.brokers)
        conf = {
            "broker.id": broker,
            "listeners": f"PLAINTEXT://{self.host_of(broker)}:{self.port(broker)}",
            "log.dirs": str(self.data(broker)),
            "zookeeper.connect": ",".join(f"{self.host_of(z)}:{self.port(z)}" for z in self.zookeepers),
            "offsets.topic.replication.factor": min(3, n),
            "transaction.state.log.replication.factor": min(3, n),
            "transaction.state.log.min.isr": min(2, n),
            "group.initial.rebalance.delay.ms": 0,
            **{k: v for k, v in self.settings.items() if ":" not in k},
            **{k.partition(":")[2]: v for k, v in self.settings.items() if k.partition(":")[0] == broker},
        }
        if "log.dirs" in self.settings:         # relative ones are the node's own, as with scripts/cluster
            conf["log.dirs"] = ",".join(str(self.dir / f"node{broker}" / d)
                                        for d in self.settings["log.dirs"].split(","))
        (self.dir / f"{broker}.properties").write_text("".join(f"{k}={v}\n" for k, v in conf.items()))
        (self.dir / "log4j.properties").write_text(LOG4J)
