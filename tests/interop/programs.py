"""The programs of tests/interop, fetched and built once into build/interop; what this machine does not give is a
loud skip."""
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.kit.cluster import ROOT
from tests.kit.kafka import Missing, fetch_jars

HERE = Path(__file__).parent
CACHE = ROOT / "build" / "interop"
JAVA = ("java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
WARN = ("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",)     # what is wrong is on standard error
NODE_ENV = {"NODE_NO_WARNINGS": "1", "KAFKAJS_NO_PARTITIONER_WARNING": "1"}


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


def jars(folder, *artifacts):
    """build/interop/FOLDER/lib, with the artifacts from Maven Central and all that they need."""
    tool("java")
    try:
        return fetch_jars(artifacts, CACHE / folder)
    except Missing as e:
        pytest.skip(str(e))


def jvm(folder, program, *artifacts, options=()):
    """How to run java/PROGRAM.java with these artifacts."""
    lib, into = jars(folder, *artifacts), CACHE / folder
    source, compiled = HERE / "java" / f"{program}.java", into / f"{program}.class"
    if not compiled.exists() or compiled.stat().st_mtime < source.stat().st_mtime:
        prepared([tool("javac"), "-d", into, "-cp", f"{lib}/*", source], "javac")
    return [*JAVA, *options, "-cp", f"{into}:{lib}/*", program]


def java(version, program):
    """With kafka-clients of that version."""
    return jvm(f"java-{version}", program, f"org.apache.kafka:kafka-clients:{version}", "org.slf4j:slf4j-nop:1.7.36")


def streams(version):
    return jvm(f"streams-{version}", "Streams", f"org.apache.kafka:kafka-streams:{version}",
               "org.slf4j:slf4j-simple:1.7.36", options=WARN)


def connect(version):
    """A worker of Kafka Connect in distributed mode, to be followed by its settings."""
    lib = jars(f"connect-{version}", *(f"org.apache.kafka:connect-{part}:{version}" for part in ("runtime", "file")),
               "org.slf4j:slf4j-simple:1.7.36")
    return [*JAVA, *WARN, "-cp", f"{lib}/*", "org.apache.kafka.connect.cli.ConnectDistributed"]


def spring(version, clients):
    """spring-kafka of that version, with that kafka-clients."""
    return jvm(f"spring-{version}", "Spring", f"org.springframework.kafka:spring-kafka:{version}",
               f"org.apache.kafka:kafka-clients:{clients}", "org.slf4j:slf4j-simple:1.7.36", options=WARN)


def go(folder, modules="go.mod"):
    """The program of tests/interop/FOLDER."""
    program, here = CACHE / f"{folder}-{modules}", HERE / folder
    sources = [*here.glob("*.go"), here / modules]
    if not program.exists() or program.stat().st_mtime < max(s.stat().st_mtime for s in sources):
        CACHE.mkdir(parents=True, exist_ok=True)
        prepared([tool("go"), "build", f"-modfile={modules}", "-o", str(program), "."], "go build", cwd=here)
    return [program]


def node(program):
    """How to run node/PROGRAM."""
    found, into = tool("node"), CACHE / "node"
    wanted = (HERE / "node" / "package.json").read_text()
    stamp = into / "complete"
    if not stamp.exists() or stamp.read_text() != wanted:
        into.mkdir(parents=True, exist_ok=True)
        (into / "package.json").write_text(wanted)
        prepared([tool("npm"), "install", "--no-audit", "--no-fund", "--ignore-scripts"], "npm install", cwd=into)
        stamp.write_text(wanted)
    shutil.copy(HERE / "node" / program, into / program)
    return [found, into / program]


def member(client):
    """(argv, environment) of a member of a consumer group, to be followed by BOOTSTRAP GROUP TOPIC ASSIGNOR."""
    if client.startswith("java-"):
        return java(client[len("java-"):], "Member"), None
    if client == "franz-go":
        return [*go("go"), "member"], None
    if client == "sarama":
        return go("sarama"), None
    if client == "kafkajs":
        return node("member.js"), NODE_ENV
    raise ValueError(client)


def reader():
    """A reader of all partitions, to be followed by BOOTSTRAP TOPIC PARTITIONS."""
    return [*go("go"), "reader"]


def available(*clients):
    """Those of the clients that can be run here."""
    found = []
    for client in clients:
        try:
            member(client)
            found.append(client)
        except pytest.skip.Exception:
            pass
    return found
