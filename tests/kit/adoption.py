"""One set of log directories and one ZooKeeper tree, served in turn by Apache Kafka and by moldau.

    house = House().up(...)      Kafka serves
    house.leave()                it is stopped (kill=True: killed)
    house.enter("moldau")        moldau serves the same directories, from the same server.properties

`listing()` is all that clients can read, in both isolation levels; `fill()` writes with everything that a
producer has; `dumps()` holds Kafka's own DumpLogSegments against `moldau log dump` over every file.
"""
import os
import shutil
import subprocess
from pathlib import Path

from confluent_kafka import (OFFSET_BEGINNING, Consumer, ConsumerGroupTopicPartitions, KafkaError, Producer,
                             TopicPartition)
from confluent_kafka.admin import AdminClient, NewTopic

from tests.kit import batch, ops
from tests.kit.cluster import ROOT, wait_until
from tests.kit.kafka import KafkaCluster, Missing

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
BASE = 1_700_000_000_000
HEAP = ["-Xmx512m", "-Xms128m"]
SETTINGS = {"offsets.topic.num.partitions": 4, "transaction.state.log.num.partitions": 4,
            "zookeeper.session.timeout.ms": 6000, "log.cleaner.backoff.ms": 300, "log.retention.ms": -1,
            "log.cleaner.dedupe.buffer.size": 16 << 20, "offsets.retention.minutes": 10080,
            "auto.create.topics.enable": "false"}
QUIET = "log4j.rootLogger=OFF\n"


class House(KafkaCluster):
    def __init__(self, name="adoption"):
        super().__init__(name)
        self.tenant = None

    def up(self, brokers=1, settings=None):
        super().up(brokers, settings={**SETTINGS, **(settings or {})})
        self.tenant = "kafka"
        return self

    def start(self, node):
        if self.tenant != "moldau":
            return super().start(node)
        self.ended.discard(node)
        return self._run_moldau("moldau-broker", node)

    def port(self, node):
        return self.ports.base + (50 + int(node[1:]) if node[0] == "c" else 81 if node == "z1" else int(node))

    def _run_moldau(self, program, node):
        path = self.dir / f"{node}.properties"
        if node[0] == "c":
            path.write_text(f"controller.id={3000 + int(node[1:])}\ncontroller.listener={self.host}:{self.port(node)}\n"
                            f"zookeeper.connect={self.host}:{self.port('z1')}\n")
        flavour = os.environ.get("FLAVOUR")
        folder = ROOT / "build" / flavour / "bin" if flavour else ROOT / "build" / "bin"
        with open(self.log_path(node), "ab") as log:
            self.children[node] = subprocess.Popen([folder / program, path], cwd=self.dir, stdin=subprocess.DEVNULL,
                                                   stdout=log, stderr=log, start_new_session=True)

    def _spawn(self, node, args):
        super()._spawn(node, [a for a in args if not a.startswith(("-Xmx1G", "-Xms1G"))] if node == "z1"
                       else [*HEAP, *(a for a in args if not a.startswith(("-Xmx", "-Xms")))])

    def enter(self, tenant):
        self.tenant = tenant
        if tenant == "moldau":
            self._run_moldau("moldau-controller", "c1")
        for b in self.brokers:
            self.start(b)
        self.wait_serving(90)
        wait_until(self._all_led, 60, "a leader for every partition", every=0.2)

    def leave(self, kill=False):
        nodes = [*self.brokers, *(["c1"] if self.tenant == "moldau" else [])]
        for node in nodes:
            assert self.is_up(node), f"{node} died\n{self.log_tails()}"
            if kill:
                self.kill_at_once(node)
            else:
                self.terminate_at_once(node)
                self.children[node].wait(120)
        for node in nodes:
            self.children[node].wait(30)
        if self.tenant == "kafka":      # moldau's controller waits for the sessions of the killed ones
            wait_until(lambda: "/brokers/ids/" not in self._ask_zookeeper("dump"), 60, "end of Kafka's sessions")
        self.tenant = None

    def _all_led(self):
        topics = ops.metadata(self, None).topics
        return topics and all(p.leader >= 0 and p.error == 0 for parts in topics.values() for p in parts.values())

    def ask_admin(self, question):
        """The results of question(client), which gives a future for each thing it is about."""
        client = AdminClient({"bootstrap.servers": self.bootstrap})
        return {what: future.result(30) for what, future in question(client).items()}

    def create(self, name, partitions=1, replication=1, **configs):
        configs = {k.replace("_", "."): str(v) for k, v in configs.items()}
        self.ask_admin(lambda c: c.create_topics([NewTopic(name, partitions, replication, config=configs)]))

    def delete(self, *names):
        self.ask_admin(lambda c: c.delete_topics(list(names)))

    def producer(self, **settings):
        return Producer({"bootstrap.servers": self.bootstrap, "acks": "all", "linger.ms": 5,
                         **{k.replace("_", "."): v for k, v in settings.items()}})

    def dump(self, command, files, *options):
        """(stdout, stderr) of a dump tool over files, named relative to our directory."""
        names = ",".join(str(Path(f).relative_to(self.dir)) for f in files)
        done = subprocess.run([*command, *options, "--files", names], cwd=self.dir, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=300)
        assert done.returncode == 0, done.stderr.decode(errors="replace")[-3000:]
        return done.stdout, done.stderr.decode()


def write(house, topic, first, count, partitions=1, keys=10, headers=True, **settings):
    """Records first.. of a topic, round robin; every fifth a tombstone."""
    p = house.producer(**settings)
    failed = []
    for i in range(first, first + count):
        p.produce(topic, key=f"k{i % keys}", value=None if i % 5 == 4 else f"value {i} " + "abc" * 20,
                  partition=i % partitions, timestamp=BASE + i * 1000, headers=[("h", str(i)), ("null", None)] if headers else None,
                  on_delivery=lambda e, _: failed.append(e) if e else None)
        if i % 40 == 39:
            p.flush(30)
    assert p.flush(60) == 0 and not failed, failed


def transactions(house, topic, rounds, name):
    """Commits and aborts in turn, two producers at once so that they interleave."""
    a, b = (house.producer(transactional_id=f"{name}-{x}") for x in "ab")
    for p in (a, b):
        p.init_transactions(60)
    for i in range(rounds):
        for p in (a, b):
            p.begin_transaction()
        for j in range(6):
            for who, p in (("a", a), ("b", b)):
                p.produce(topic, key=f"{who}{i}", value=f"{name} {who} {i} {j}", partition=j % 2)
                p.flush(30)
        (a.commit_transaction if i % 2 else a.abort_transaction)(60)
        (b.abort_transaction if i % 3 else b.commit_transaction)(60)


def fill(house, replication=1):
    """Everything that a Kafka 3.9 can have written into its directories. Returns what must be kept alive."""
    small = {"segment_bytes": 12000, "index_interval_bytes": 300}
    for codec in CODECS:
        house.create(f"c-{codec}", 2, replication, **small)
        write(house, f"c-{codec}", 0, 400, 2, compression_type=codec)
    house.create("dash-name-0", 1, replication)
    write(house, "dash-name-0", 0, 10)
    house.create("idem", 2, replication, **small)
    write(house, "idem", 0, 200, 2, enable_idempotence=True)
    house.create("append-time", 1, replication, message_timestamp_type="LogAppendTime", compression_type="lz4")
    write(house, "append-time", 0, 60, compression_type="gzip")
    house.create("txn", 2, replication, **small)
    transactions(house, "txn", 6, "tx")
    house.create("txn-open", 1, replication)
    opened = house.producer(transactional_id="stays-open", transaction_timeout_ms=900_000)
    opened.init_transactions(60)
    opened.begin_transaction()
    opened.produce("txn-open", "undecided")
    opened.flush(30)
    write(house, "txn-open", 0, 5)
    house.create("cut", 1, replication, **small)
    write(house, "cut", 0, 300)
    house.ask_admin(lambda c: c.delete_records([TopicPartition("cut", 0, 130)]))
    house.create("compacted", 1, replication, cleanup_policy="compact", min_cleanable_dirty_ratio="0.01",
                 delete_retention_ms=100, segment_bytes=2000, index_interval_bytes=300)
    write(house, "compacted", 0, 400, compression_type="gzip")
    if house.tenant == "kafka":
        wait_until(lambda: "compacted 0" in (house.data("1") / "cleaner-offset-checkpoint").read_text(), 60,
                   "a first compaction")
    house.create("gone", 1, replication)
    write(house, "gone", 0, 10)
    house.delete("gone")
    commit_offsets(house, 7)
    return opened


def commit_offsets(house, offset):
    c = Consumer({"bootstrap.servers": house.bootstrap, "group.id": "readers", "enable.auto.commit": False})
    c.commit(offsets=[TopicPartition(f"c-{codec}", 0, offset) for codec in CODECS], asynchronous=False)
    c.close()


def committed_offsets(house):
    asked = ConsumerGroupTopicPartitions("readers")
    (got,) = house.ask_admin(lambda c: c.list_consumer_group_offsets([asked])).values()
    return {(t.topic, t.partition): t.offset for t in got.topic_partitions}


def listing(house, isolation):
    """{(topic, partition): (end, [(offset, time, key, value, headers)])} of all topics but the internal ones."""
    partitions = [(t, p) for t, parts in ops.metadata(house, None).topics.items() if not t.startswith("__")
                  for p in parts]
    c = Consumer({"bootstrap.servers": house.bootstrap, "group.id": "lister", "enable.auto.commit": False,
                  "enable.partition.eof": True, "isolation.level": isolation, "auto.offset.reset": "error",
                  "check.crcs": True})
    found = {tp: (None, []) for tp in partitions}
    c.assign([TopicPartition(t, p, OFFSET_BEGINNING) for t, p in partitions])
    left = set(partitions)

    def turn():
        for m in c.consume(500, 0.2):
            tp = m.topic(), m.partition()
            if m.error() and m.error().code() == KafkaError._PARTITION_EOF:
                found[tp] = (m.offset(), found[tp][1])
                left.discard(tp)
            else:
                assert not m.error(), f"{tp}: {m.error()}"
                found[tp][1].append((m.offset(), m.timestamp(), m.key(), m.value(), m.headers()))
        return not left
    wait_until(turn, 90, f"the ends of {len(left)} partitions", every=0)
    c.close()
    return found


def listings(house):
    return {isolation: listing(house, isolation) for isolation in ("read_committed", "read_uncommitted")}


def assert_same(before, after):
    """All that was there is there again, nothing else."""
    for isolation, found in before.items():
        assert found.keys() == after[isolation].keys(), isolation
        for tp, (end, records) in found.items():
            got_end, got = after[isolation][tp]
            missing = {r[0] for r in records} - {r[0] for r in got}
            more = {r[0] for r in got} - {r[0] for r in records}
            assert not missing and not more, f"{tp} {isolation} up to {end}: lacks {missing}, has besides {more}"
            assert got == records, f"records of {tp} {isolation}"
            assert got_end == end, f"end of {tp} {isolation}"


def assert_kept(before, after):
    """All that was there is there again; there may be more behind it."""
    for isolation, found in before.items():
        for tp, (end, records) in found.items():
            got = after[isolation][tp][1][:len(records)]
            assert got == records, f"records of {tp} {isolation}"
            assert after[isolation][tp][0] >= end, f"end of {tp} {isolation}"


def old_fetches(house, topic, partition=0):
    """What consumers of Kafka 0.8 to 0.10 are given, as (records, error that ends them or None) of each version."""
    end = ops.end_offset(house, topic, partition)

    def read(c, version):
        found, offset = [], 0
        while offset < end:
            answer = c.fetch_old(version, topic, {partition: offset}, max_wait_ms=0)[partition]
            records = [(m, r) for m, r in batch.parse_old(answer.data) if r.offset >= offset]
            if answer.error or not records:     # only markers are left, say
                return found, answer.error
            found.extend(records)
            offset = records[-1][1].offset + 1
        return found, None
    return ops.ask_leader(house, topic, partition, lambda c: {v: read(c, v) for v in range(4)})


DUMPED = (".log", ".index", ".timeindex", ".txnindex", ".snapshot")


def kafkas_dump(jars, folder):
    """The command of Kafka's own dump tool; its logging is kept quiet by a file in folder."""
    if not shutil.which("java"):
        raise Missing("java is not installed")
    quiet = Path(folder) / "quiet.properties"
    quiet.write_text(QUIET)
    return ["java", *HEAP, f"-Dlog4j.configuration=file:{quiet}", "-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8",
            "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{jars}/*", "kafka.tools.DumpLogSegments"]


def dumps(house, broker="1"):
    """Kafka's tool and ours print the same of every file of a stopped broker; returns what Kafka's complained of."""
    java = kafkas_dump(house.jars, house.dir)
    ours = [str(ROOT / "build" / "bin" / "moldau"), "log", "dump"]
    kinds = {"--print-data-log": [], "--offsets-decoder": [], "--transaction-log-decoder": []}
    for path in sorted(house.data(broker).glob("*-*/*")):
        if path.suffix in DUMPED and path.exists():
            topic = path.parent.name.rsplit("-", 1)[0]
            option = {"__consumer_offsets": "--offsets-decoder",
                      "__transaction_state": "--transaction-log-decoder"}.get(topic, "--print-data-log")
            kinds[option].append(path)
    said = ""
    for option, files in kinds.items():
        if not files:
            continue
        theirs, mine = house.dump(java, files, option), house.dump(ours, files, option)
        if theirs[0] != mine[0]:
            for a, b in zip(theirs[0].split(b"\n"), mine[0].split(b"\n")):
                assert a == b, f"Kafka:  {a[:400]}\nmoldau: {b[:400]}"
        assert theirs == mine
        said += theirs[1]
    return said


def verify(house, broker="1", allowed=(0,)):
    """`moldau log verify` over a stopped broker's directory: 0 is sound, 10 what the next start mends."""
    done = subprocess.run([ROOT / "build" / "bin" / "moldau", "log", "verify", house.data(broker)],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode in allowed, f"{done.returncode}\n{done.stdout[-4000:]}{done.stderr}"
