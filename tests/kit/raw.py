"""Kafka's protocol by hand: a blocking connection for checks, an asyncio one for loads that retry at once.

Standard library only, and independent of our own codec on purpose.
"""
import asyncio
import socket
import struct
import time
from dataclasses import dataclass, field

PRODUCE, FETCH, LIST_OFFSETS, METADATA = 0, 1, 2, 3
API_VERSIONS, CREATE_TOPICS, DELETE_TOPICS, INIT_PRODUCER_ID, DELETE_RECORDS, ELECT_LEADERS = 18, 19, 20, 22, 21, 43
OFFSET_FOR_LEADER_EPOCH, ALTER_REPLICA_LOG_DIRS, DESCRIBE_LOG_DIRS = 23, 34, 35
ALTER_REASSIGNMENTS, LIST_REASSIGNMENTS, INCREMENTAL_ALTER_CONFIGS = 45, 46, 44
LATEST, EARLIEST = -1, -2

ERRORS = {0: "NONE", 1: "OFFSET_OUT_OF_RANGE", 2: "CORRUPT_MESSAGE", 3: "UNKNOWN_TOPIC_OR_PARTITION",
          5: "LEADER_NOT_AVAILABLE", 6: "NOT_LEADER_OR_FOLLOWER", 7: "REQUEST_TIMED_OUT",
          9: "REPLICA_NOT_AVAILABLE", 19: "NOT_ENOUGH_REPLICAS", 20: "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
          35: "UNSUPPORTED_VERSION", 36: "TOPIC_ALREADY_EXISTS", 41: "NOT_CONTROLLER",
          45: "OUT_OF_ORDER_SEQUENCE_NUMBER", 46: "DUPLICATE_SEQUENCE_NUMBER", 56: "KAFKA_STORAGE_ERROR",
          74: "FENCED_LEADER_EPOCH", 75: "UNKNOWN_LEADER_EPOCH", 78: "OFFSET_NOT_AVAILABLE",
          100: "UNKNOWN_TOPIC_ID"}


class KafkaError(AssertionError):
    def __init__(self, code, where=""):
        self.code = code
        super().__init__(f"{ERRORS.get(code, code)} {where}")


class Writer:
    def __init__(self):
        self.out = bytearray()

    def put(self, fmt, *values):
        self.out += struct.pack(">" + fmt, *values)
        return self

    def uvarint(self, n):
        while n > 0x7F:
            self.out.append(n & 0x7F | 0x80)
            n >>= 7
        self.out.append(n)
        return self

    def tags(self):
        return self.uvarint(0)

    def string(self, text):
        """Nullable string with a 16-bit length."""
        if text is None:
            return self.put("h", -1)
        data = text.encode()
        self.put("h", len(data))
        self.out += data
        return self

    def cbytes(self, data):
        if data is None:
            return self.uvarint(0)
        self.uvarint(len(data) + 1)
        self.out += data
        return self

    def cstring(self, text):
        return self.cbytes(None if text is None else text.encode())

    def carray(self, n):
        return self.uvarint(n + 1)


class Reader:
    def __init__(self, data):
        self.data, self.pos = memoryview(data), 0

    def get(self, fmt):
        fmt = ">" + fmt
        values = struct.unpack_from(fmt, self.data, self.pos)
        self.pos += struct.calcsize(fmt)
        return values if len(values) > 1 else values[0]

    def take(self, n):
        if n < 0 or self.pos + n > len(self.data):
            raise ValueError(f"{n} bytes wanted at {self.pos} of {len(self.data)}")
        self.pos += n
        return bytes(self.data[self.pos - n:self.pos])

    def uvarint(self):
        shift = value = 0
        while True:
            byte = self.data[self.pos]
            self.pos += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def tags(self):
        return {self.uvarint(): self.take(self.uvarint()) for _ in range(self.uvarint())}

    def string(self):
        n = self.get("h")
        return None if n < 0 else self.take(n).decode()

    def bytes(self):
        n = self.get("i")
        return None if n < 0 else self.take(n)

    def cbytes(self):
        n = self.uvarint()
        return None if n == 0 else self.take(n - 1)

    def cstring(self):
        data = self.cbytes()
        return None if data is None else data.decode()

    def carray(self, item):
        return [item() for _ in range(max(self.uvarint() - 1, 0))]

    def array(self, item):
        return [item() for _ in range(max(self.get("i"), 0))]


FLEXIBLE_FROM = {ALTER_REASSIGNMENTS: 0, INCREMENTAL_ALTER_CONFIGS: 1, LIST_REASSIGNMENTS: 0,
                 PRODUCE: 9, FETCH: 12, LIST_OFFSETS: 6, METADATA: 9, API_VERSIONS: 3, CREATE_TOPICS: 5,
                 DELETE_TOPICS: 4, INIT_PRODUCER_ID: 2, DELETE_RECORDS: 2, ELECT_LEADERS: 2, OFFSET_FOR_LEADER_EPOCH: 4,
                 ALTER_REPLICA_LOG_DIRS: 2, DESCRIBE_LOG_DIRS: 2}


def frame(api, version, correlation, body, client_id="moldau-tests"):
    w = Writer().put("hhi", api, version, correlation).string(client_id)
    if version >= FLEXIBLE_FROM[api]:
        w.tags()
    return struct.pack(">i", len(w.out) + len(body)) + bytes(w.out) + bytes(body)


def open_answer(api, version, data):
    """Reader behind the response header."""
    r = Reader(data)
    r.get("i")
    if version >= FLEXIBLE_FROM[api] and api != API_VERSIONS:
        r.tags()
    return r


# --- messages --------------------------------------------------------------------------------------

@dataclass
class Partition:
    error: int
    index: int
    leader: int
    epoch: int
    replicas: list
    isr: list
    offline: list


@dataclass
class Metadata:
    brokers: dict = field(default_factory=dict)      # id -> (host, port)
    cluster_id: str = None
    controller_id: int = -1
    topics: dict = field(default_factory=dict)       # name -> {index: Partition}
    topic_ids: dict = field(default_factory=dict)
    topic_errors: dict = field(default_factory=dict)


def metadata_body(topics, auto_create=False):
    w = Writer()
    if topics is None:
        w.uvarint(0)
    else:
        w.carray(len(topics))
        for t in topics:
            w.put("16s", b"").cstring(t).tags()
    return w.put("??", auto_create, False).tags().out


def metadata_answer(r):
    m = Metadata()
    r.get("i")

    def broker():
        node = r.get("i")
        m.brokers[node] = (r.cstring(), r.get("i"))
        r.cstring()
        r.tags()

    def partition():
        error, index, leader, epoch = r.get("hiii")
        lists = [r.carray(lambda: r.get("i")) for _ in range(3)]
        r.tags()
        return Partition(error, index, leader, epoch, *lists)

    def topic():
        error, name, tid = r.get("h"), r.cstring(), r.take(16)
        r.get("?")
        m.topic_errors[name], m.topic_ids[name] = error, tid
        m.topics[name] = {p.index: p for p in r.carray(partition)}
        r.get("i")
        r.tags()
    r.carray(broker)
    m.cluster_id, m.controller_id = r.cstring(), r.get("i")
    r.carray(topic)
    return m


def produce_body(topic, batches, acks=-1, timeout_ms=30000):
    """batches: {partition: bytes}"""
    return produce_topics_body({topic: batches}, acks, timeout_ms)


def produce_topics_body(topics, acks=-1, timeout_ms=30000):
    """topics: {name: {partition: bytes}}"""
    w = Writer().cstring(None).put("hi", acks, timeout_ms).carray(len(topics))
    for name, batches in topics.items():
        w.cstring(name).carray(len(batches))
        for index, data in batches.items():
            w.put("i", index).cbytes(data).tags()
        w.tags()
    return w.tags().out


@dataclass
class Produced:
    error: int
    base_offset: int
    leader_hint: tuple = None        # (leader id, epoch) of KIP-951
    append_time: int = -1
    log_start: int = -1
    record_errors: list = field(default_factory=list)    # (index in the batch, text)
    message: str = None


def produce_answer(r):
    """{partition: Produced}, {node: (host, port)}"""
    out, nodes = {}, {}

    def record_error():
        found = r.get("i"), r.cstring()
        r.tags()
        return found

    def partition():
        index, error, base, append_time, log_start = r.get("ihqqq")
        errors, message = r.carray(record_error), r.cstring()
        hint = r.tags().get(0)
        out[index] = Produced(error, base, struct.unpack(">ii", hint[:8]) if hint else None, append_time, log_start,
                              errors, message)
    r.carray(lambda: (r.cstring(), r.carray(partition), r.tags()))
    r.get("i")
    endpoints = r.tags().get(0)
    if endpoints:
        e = Reader(endpoints)

        def node():
            node_id = e.get("i")
            nodes[node_id] = (e.cstring(), e.get("i"))
            e.cstring(), e.tags()
        e.carray(node)
    return out, nodes


@dataclass
class Fetched:
    error: int
    high_watermark: int
    log_start: int
    preferred_replica: int
    data: bytes


def fetch_body_v11(topic, offsets, max_wait_ms=500, min_bytes=1, max_bytes=50 << 20, partition_bytes=10 << 20,
                   epoch=-1, replica_id=-1, rack="", isolation=0, session=(0, -1)):
    """offsets: {partition: fetch offset}"""
    w = Writer().put("iiiibii", replica_id, max_wait_ms, min_bytes, max_bytes, isolation, *session)
    w.put("i", 1).string(topic).put("i", len(offsets))
    for index, offset in offsets.items():
        w.put("iiqqi", index, epoch, offset, -1, partition_bytes)
    return w.put("i", 0).string(rack).out


def fetch_answer_v11(r):
    throttle, error, session = r.get("ihi")
    if error:
        raise KafkaError(error, "fetch")
    out = {}

    def partition():
        index, err, hw, _, start = r.get("ihqqq")
        r.array(lambda: r.get("qq"))
        out[index] = Fetched(err, hw, start, r.get("i"), r.bytes() or b"")
    r.array(lambda: (r.string(), r.array(partition)))
    return out


def fetch_body_old(version, topic, offsets, max_wait_ms=500, min_bytes=1, partition_bytes=10 << 20):
    """Versions 0 to 3, which want message sets of magic 0 and 1."""
    w = Writer().put("iii", -1, max_wait_ms, min_bytes)
    if version >= 3:
        w.put("i", 50 << 20)
    w.put("i", 1).string(topic).put("i", len(offsets))
    for index, offset in offsets.items():
        w.put("iqi", index, offset, partition_bytes)
    return w.out


def fetch_answer_old(version, r):
    if version >= 1:
        r.get("i")
    out = {}

    def partition():
        index, err, hw = r.get("ihq")
        out[index] = Fetched(err, hw, -1, -1, r.bytes() or b"")
    r.array(lambda: (r.string(), r.array(partition)))
    return out


def fetch_body_v16(topic_id, offsets, max_wait_ms=500, min_bytes=1, max_bytes=50 << 20,
                   partition_bytes=10 << 20, epoch=-1, rack="", isolation=0, session=(0, -1)):
    w = Writer().put("iiibii", max_wait_ms, min_bytes, max_bytes, isolation, *session)
    w.carray(1).put("16s", topic_id).carray(len(offsets))
    for index, offset in offsets.items():
        w.put("iiqiqi", index, epoch, offset, -1, -1, partition_bytes).tags()
    return w.tags().carray(0).cstring(rack).tags().out


def fetch_answer_v16(r):
    throttle, error, session = r.get("ihi")
    if error:
        raise KafkaError(error, "fetch")
    out = {}

    def partition():
        index, err, hw, _, start = r.get("ihqqq")
        r.carray(lambda: (r.get("qq"), r.tags()))
        out[index] = Fetched(err, hw, start, r.get("i"), r.cbytes() or b"")
        r.tags()
    r.carray(lambda: (r.take(16), r.carray(partition), r.tags()))
    return out


def list_offsets_body(topic, times, isolation=0):
    """v7; times: {partition: timestamp}"""
    w = Writer().put("ib", -1, isolation).carray(1).cstring(topic).carray(len(times))
    for index, ts in times.items():
        w.put("iiq", index, -1, ts).tags()
    return w.tags().tags().out


def list_offsets_answer(r):
    """{partition: (error, timestamp, offset)}"""
    out = {}
    r.get("i")

    def partition():
        index, err, ts, offset, _ = r.get("ihqqi")
        r.tags()
        out[index] = (err, ts, offset)
    r.carray(lambda: (r.cstring(), r.carray(partition), r.tags()))
    return out


def create_topics_body(name, partitions, replication, configs=None, assignments=None, timeout_ms=30000):
    """v7; assignments: [[broker, ...], ...] instead of counts"""
    if assignments:
        partitions, replication = -1, -1
    w = Writer().carray(1).cstring(name).put("ih", partitions, replication)
    w.carray(len(assignments or ()))
    for i, replicas in enumerate(assignments or ()):
        w.put("i", i).carray(len(replicas)).put(f"{len(replicas)}i", *replicas).tags()
    w.carray(len(configs or {}))
    for key, value in (configs or {}).items():
        w.cstring(key).cstring(str(value)).tags()
    return w.tags().put("i?", timeout_ms, False).tags().out


def create_topics_answer(r):
    out = {}
    r.get("i")

    def config():
        r.cstring(), r.cstring(), r.get("?b?"), r.tags()

    def topic():
        name, _, error, text, _ = r.cstring(), r.take(16), r.get("h"), r.cstring(), r.get("ih")
        r.carray(config)
        r.tags()
        out[name] = (error, text)
    r.carray(topic)
    return out


@dataclass
class LogDirReplica:
    topic: str
    index: int
    size: int
    lag: int
    is_future: bool


@dataclass
class LogDir:
    error: int
    replicas: list = field(default_factory=list)
    total_bytes: int = -1
    usable_bytes: int = -1


# --- a blocking connection -------------------------------------------------------------------------

class Connection:
    def __init__(self, host, port, timeout=30):
        self.sock = socket.create_connection((host, port), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.correlation = 0

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, api, version, body):
        self.correlation += 1
        self.sock.sendall(frame(api, version, self.correlation, body))

    def receive(self):
        size, = struct.unpack(">i", self.read(4))
        return self.read(size)

    def read(self, n):
        parts = []
        while n:
            data = self.sock.recv(min(n, 1 << 20))
            if not data:
                raise EOFError("connection closed")
            parts.append(data)
            n -= len(data)
        return b"".join(parts)

    def ask(self, api, version, body):
        self.send(api, version, body)
        answer = self.receive()
        got, = struct.unpack_from(">i", answer)
        if got != self.correlation:
            raise ValueError(f"answer to {got}, asked {self.correlation}")
        return open_answer(api, version, answer)

    def api_versions(self):
        r = self.ask(API_VERSIONS, 0, b"")
        error = r.get("h")
        if error:
            raise KafkaError(error, "ApiVersions")
        return {k: (lo, hi) for k, lo, hi in r.array(lambda: r.get("hhh"))}

    def metadata(self, topics=None, auto_create=False):
        return metadata_answer(self.ask(METADATA, 12, metadata_body(topics, auto_create)))

    def produce(self, topic, batches, acks=-1, timeout_ms=30000, version=9):
        body = produce_body(topic, batches, acks, timeout_ms)
        if acks == 0:
            return self.send(PRODUCE, version, body)
        return produce_answer(self.ask(PRODUCE, version, body))[0]

    def fetch(self, topic, offsets, **options):
        return fetch_answer_v11(self.ask(FETCH, 11, fetch_body_v11(topic, offsets, **options)))

    def fetch_old(self, version, topic, offsets, **options):
        return fetch_answer_old(version, self.ask(FETCH, version, fetch_body_old(version, topic, offsets, **options)))

    def fetch_by_id(self, topic_id, offsets, **options):
        return fetch_answer_v16(self.ask(FETCH, 16, fetch_body_v16(topic_id, offsets, **options)))

    def list_offsets(self, topic, times):
        return list_offsets_answer(self.ask(LIST_OFFSETS, 7, list_offsets_body(topic, times)))

    def epoch_end(self, topic, partition, epoch, current=-1, replica_id=-1):
        """(error, partition, epoch, end offset)"""
        body = Writer().put("i", replica_id).carray(1).cstring(topic).carray(1).put("iii", partition, current, epoch)
        r = self.ask(OFFSET_FOR_LEADER_EPOCH, 4, body.tags().tags().tags().out)
        r.get("i")
        (_, found, _), = r.carray(lambda: (r.cstring(), r.carray(lambda: (r.get("hiiq"), r.tags())[0]), r.tags()))
        return found[0]

    def create_topic(self, name, partitions=1, replication=1, configs=None, assignments=None):
        body = create_topics_body(name, partitions, replication, configs, assignments)
        error, text = create_topics_answer(self.ask(CREATE_TOPICS, 7, body))[name]
        if error:
            raise KafkaError(error, f"creating {name}: {text}")

    def delete_topic(self, name):
        body = Writer().carray(1).cstring(name).put("i", 30000).tags().out
        r = self.ask(DELETE_TOPICS, 4, body)
        r.get("i")
        for _, error in r.carray(lambda: (r.cstring(), r.get("h"), r.tags())[:2]):
            if error:
                raise KafkaError(error, f"deleting {name}")

    def delete_records(self, topic, offsets, timeout_ms=30000):
        """{partition: (error, low watermark)}; offsets: {partition: before which everything goes, or -1}"""
        w = Writer().carray(1).cstring(topic).carray(len(offsets))
        for index, offset in offsets.items():
            w.put("iq", index, offset).tags()
        r = self.ask(DELETE_RECORDS, 2, w.tags().put("i", timeout_ms).tags().out)
        r.get("i")
        out = {}

        def partition():
            index, low, error = r.get("iqh")
            r.tags()
            out[index] = (error, low)
        r.carray(lambda: (r.cstring(), r.carray(partition), r.tags()))
        return out

    def describe_log_dirs(self, topics=None):
        """{path: LogDir}; topics: {name: [partition, ...]}, None for all"""
        w = Writer()
        if topics is None:
            w.uvarint(0)
        else:
            w.carray(len(topics))
            for name, parts in topics.items():
                w.cstring(name).carray(len(parts)).put(f"{len(parts)}i", *parts).tags()
        r = self.ask(DESCRIBE_LOG_DIRS, 4, w.tags().out)
        _, error = r.get("ih")
        if error:
            raise KafkaError(error, "DescribeLogDirs")
        out = {}

        def result():
            found = LogDir(r.get("h"))
            path = r.cstring()

            def topic():
                name = r.cstring()

                def partition():
                    index, size, lag, future = r.get("iqq?")
                    r.tags()
                    found.replicas.append(LogDirReplica(name, index, size, lag, future))
                r.carray(partition)
                r.tags()
            r.carray(topic)
            found.total_bytes, found.usable_bytes = r.get("qq")
            r.tags()
            out[path] = found
        r.carray(result)
        return out

    def alter_log_dirs(self, dirs):
        """{(topic, partition): error}; dirs: {path: {topic: [partition, ...]}}"""
        w = Writer().carray(len(dirs))
        for path, topics in dirs.items():
            w.cstring(str(path)).carray(len(topics))
            for name, parts in topics.items():
                w.cstring(name).carray(len(parts)).put(f"{len(parts)}i", *parts).tags()
            w.tags()
        r = self.ask(ALTER_REPLICA_LOG_DIRS, 2, w.tags().out)
        r.get("i")
        out = {}

        def topic():
            name = r.cstring()

            def partition():
                index, error = r.get("ih")
                r.tags()
                out[name, index] = error
            r.carray(partition)
            r.tags()
        r.carray(topic)
        return out

    def alter_reassignments(self, moves, timeout_ms=30000):
        """{(topic, partition): (error, message)}; moves: {(topic, partition): [replica, ...], None to cancel}"""
        w = Writer().put("i", timeout_ms).carray(len(moves))
        for (name, index), replicas in moves.items():
            w.cstring(name).carray(1).put("i", index)
            if replicas is None:
                w.uvarint(0)
            else:
                w.carray(len(replicas)).put(f"{len(replicas)}i", *replicas)
            w.tags().tags()
        r = self.ask(ALTER_REASSIGNMENTS, 0, w.tags().out)
        _, error = r.get("ih")
        message = r.cstring()
        if error:
            raise KafkaError(error, f"AlterPartitionReassignments: {message}")
        out = {}

        def topic():
            name = r.cstring()

            def partition():
                index, error = r.get("ih")
                out[name, index] = (error, r.cstring())
                r.tags()
            r.carray(partition)
            r.tags()
        r.carray(topic)
        return out

    def list_reassignments(self):
        """{(topic, partition): (replicas, adding, removing)}"""
        r = self.ask(LIST_REASSIGNMENTS, 0, Writer().put("i", 30000).uvarint(0).tags().out)
        r.get("ih")
        r.cstring()
        out = {}

        def topic():
            name = r.cstring()

            def partition():
                index = r.get("i")
                out[name, index] = tuple(r.carray(lambda: r.get("i")) for _ in range(3))
                r.tags()
            r.carray(partition)
            r.tags()
        r.carray(topic)
        return out

    def init_producer_id(self):
        """Asks again while the broker fetches a block of ids (14)."""
        body = Writer().cstring(None).put("iqh", 60000, -1, -1).tags().out
        end = time.monotonic() + 10
        while True:
            _, error, pid, epoch = self.ask(INIT_PRODUCER_ID, 4, body).get("ihqh")
            if not error:
                return pid, epoch
            if error != 14 or time.monotonic() > end:
                raise KafkaError(error, "InitProducerId")
            time.sleep(0.02)


def ask_any(addresses, question, timeout=30):
    """question(connection) at the first address that answers; tries again until the time is up."""
    end = time.monotonic() + timeout
    while True:
        for host, port in addresses:
            try:
                with Connection(host, port, timeout=max(end - time.monotonic(), 0.1)) as c:
                    return question(c)
            except (OSError, EOFError) as e:
                last = e
        if time.monotonic() > end:
            raise last
        time.sleep(0.05)


# --- an asyncio connection -------------------------------------------------------------------------

class AsyncConnection(asyncio.Protocol):
    """Many requests in flight; every one still open fails with ConnectionError when the peer goes."""

    def __init__(self):
        self.waiting, self.correlation, self.buffer, self.transport = {}, 0, bytearray(), None

    @classmethod
    async def open(cls, host, port, timeout=5):
        loop = asyncio.get_running_loop()
        _, self = await asyncio.wait_for(loop.create_connection(cls, host, port), timeout)
        return self

    def connection_made(self, transport):
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data):
        self.buffer += data
        while len(self.buffer) >= 8:
            size, correlation = struct.unpack_from(">ii", self.buffer)
            if len(self.buffer) < 4 + size:
                return
            answer = bytes(self.buffer[4:4 + size])
            del self.buffer[:4 + size]
            api, version, future = self.waiting.pop(correlation)
            if not future.done():
                future.set_result(open_answer(api, version, answer))

    def connection_lost(self, exc):
        self.transport = None
        waiting, self.waiting = self.waiting, {}
        for _, _, future in waiting.values():
            if not future.done():
                future.set_exception(ConnectionError("connection lost"))

    @property
    def is_open(self):
        return self.transport is not None and not self.transport.is_closing()

    def close(self):
        if self.transport:
            self.transport.close()

    def ask(self, api, version, body):
        if not self.is_open:
            raise ConnectionError("connection lost")
        self.correlation += 1
        future = asyncio.get_running_loop().create_future()
        self.waiting[self.correlation] = (api, version, future)
        self.transport.write(frame(api, version, self.correlation, body))
        return future
