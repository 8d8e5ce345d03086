"""Whatever is thrown at a broker's port, it serves on, its memory stays bounded and its log readable.

--frames N: how many fuzzed frames (50,000; a million for the long proof).
"""
import random
import select
import socket
import struct
import time
from pathlib import Path

import pytest

from tests.kit import batch, ops, raw
from tests.kit.cluster import wait_until

pytestmark = pytest.mark.moldau_only

MIB = 1 << 20
RSS_BOUND = 160 * MIB          # of a broker that holds one small topic
REFUSALS_WITHIN_BOUNDS = 5000  # lines; what a client can cause is rate-limited


@pytest.fixture(scope="module")
def victim(new_cluster):
    """A cluster of its own, with a topic; what is thrown goes to broker 1."""
    cluster = new_cluster("garbage", brokers=3, controllers=1)
    ops.create_topic(cluster, "good", 3, 3)
    yield cluster
    cluster.close()


@pytest.fixture(autouse=True)
def serves_on(victim):
    """Around every test: the same process, still serving, bounded memory, a log that did not explode."""
    pid, lines = victim.pid("1"), len(victim.log("1").splitlines())
    yield
    assert victim.pid("1") == pid, f"broker 1 has died\n{victim.log_tails()}"
    produced = ops.ask_leader(victim, "good", 0, lambda c: c.produce("good", {0: batch.build([b"still"])}))
    assert produced[0].error == 0
    with raw.Connection(victim.host, victim.port("1"), timeout=5) as c:
        assert len(c.metadata(["good"]).topics["good"]) == 3
    rss = victim.rss_bytes("1")
    assert rss < RSS_BOUND, f"RSS {rss >> 20} MiB"
    grown = len(victim.log("1").splitlines()) - lines
    assert grown < REFUSALS_WITHIN_BOUNDS, f"{grown} lines in the log"


def open_socket(victim, timeout=10):
    s = socket.create_connection((victim.host, victim.port("1")), timeout)
    # Closed with a reset, so that tens of thousands of them do not use up the ports.
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return s


def fds(victim):
    return len(list(Path(f"/proc/{victim.pid('1')}/fd").iterdir()))


def good_frames(topic_id):
    one = batch.build([b"value"] * 3, keys=[b"k"] * 3, headers=[[("h", b"x")]] * 3)
    frames = [(raw.API_VERSIONS, v, raw.Writer().cstring("fuzz").cstring("1").tags().out) for v in (0, 3, 4)]
    frames += [(raw.METADATA, 12, raw.metadata_body(["good", "other"])), (raw.METADATA, 12, raw.metadata_body(None))]
    frames += [(raw.PRODUCE, v, raw.produce_body("good", {0: one, 1: one}, acks)) for v in (9, 11) for acks in (1, -1)]
    frames += [(raw.FETCH, 11, raw.fetch_body_v11("good", {0: 0, 1: 0}, max_wait_ms=0)),
               (raw.FETCH, 16, raw.fetch_body_v16(topic_id, {0: 0, 2: 0}, max_wait_ms=0)),
               (raw.LIST_OFFSETS, 7, raw.list_offsets_body("good", {0: -1, 1: -2})),
               (raw.INIT_PRODUCER_ID, 4, raw.Writer().cstring(None).put("iqh", 60000, -1, -1).tags().out)]
    return [raw.frame(api, version, n, body) for n, (api, version, body) in enumerate(frames)]


def mutate(rnd, frame):
    """A good frame with a few wounds; its length prefix is right but for one in eight."""
    body = bytearray(frame[4:])
    kind = rnd.randrange(6)
    if kind == 0:                                               # bits
        for _ in range(rnd.randint(1, 8)):
            body[rnd.randrange(len(body))] ^= 1 << rnd.randrange(8)
    elif kind == 1:                                             # cut short
        del body[rnd.randrange(len(body)):]
    elif kind == 2:                                             # a length or count blown up
        at = rnd.randrange(len(body))
        body[at:at + 4] = rnd.choice([b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\x80\x80\x80", b"\0\0\0\0"])
    elif kind == 3:                                             # another API or version
        struct.pack_into(">hh", body, 0, rnd.randint(-2, 95), rnd.randint(-1, 20))
    elif kind == 4:                                             # noise behind a good header
        body[10:] = rnd.randbytes(rnd.randint(0, 200))
    else:                                                       # noise
        body = bytearray(rnd.randbytes(rnd.randint(0, 100)))
    size = len(body) if rnd.randrange(8) else rnd.choice([0, 1, -1, len(body) + 5, 1 << 30, -(1 << 31)])
    return struct.pack(">i", size) + bytes(body)


def test_fuzzed_frames(victim, request):
    total, seed = request.config.getoption("frames"), random.randrange(1 << 32)
    rnd = random.Random(seed)
    with raw.Connection(victim.host, victim.port("1")) as c:
        frames = good_frames(c.metadata(["good"]).topic_ids["good"])
    sent = 0
    while sent < total:
        count = rnd.randint(1, 20)
        stream = b"".join(mutate(rnd, rnd.choice(frames)) for _ in range(count))
        with open_socket(victim) as s:
            try:
                s.sendall(stream)
                s.shutdown(socket.SHUT_WR)
                while s.recv(65536):
                    pass
            except TimeoutError:
                # A frame may be a legal one that waits long; what matters is that others are served.
                with raw.Connection(victim.host, victim.port("1"), timeout=5) as c:
                    c.metadata([])
            except OSError:
                pass                            # it was refused while we were still talking
        sent += count
        assert victim.is_up("1"), f"dead after {sent} frames, seed {seed}, last: {stream.hex()}"


def test_ten_thousand_connections_opened_and_dropped(victim):
    before, start = fds(victim), time.monotonic()
    for i in range(10_000):
        with open_socket(victim) as s:
            if i % 3 == 0:
                s.sendall(b"\0\0")
            elif i % 3 == 1:
                s.sendall(raw.frame(raw.API_VERSIONS, 0, i, b""))
    assert time.monotonic() - start < 30, "a full backlog costs a connection a second"
    wait_until(lambda: fds(victim) <= before + 10, 30, "descriptors given back")


def test_a_thousand_idle_connections(victim):
    before, rss = fds(victim), victim.rss_bytes("1")
    sockets = [open_socket(victim) for _ in range(1000)]
    try:
        for s in sockets:
            s.sendall(raw.frame(raw.API_VERSIONS, 0, 1, b""))
        for s in sockets:
            assert s.recv(4)
        assert victim.rss_bytes("1") - rss < 64 * MIB
    finally:
        for s in sockets:
            s.close()
    wait_until(lambda: fds(victim) <= before + 10, 30, "descriptors given back")


def test_a_client_that_stops_reading(victim):
    """It asks on and on, and reads nothing: the broker stops reading too, and serves the others."""
    fill = batch.build([b"z" * 100_000])

    def filled(c):
        for _ in range(50):
            assert c.produce("good", {0: fill})[0].error == 0
    ops.ask_leader(victim, "good", 0, filled)
    sockets = [open_socket(victim) for _ in range(10)]
    ask = (raw.frame(raw.METADATA, 12, 1, raw.metadata_body(None))
           + raw.frame(raw.FETCH, 11, 2, raw.fetch_body_v11("good", {0: 0}, max_wait_ms=0)))
    taken, end = 0, time.monotonic() + 5
    for s in sockets:
        s.setblocking(False)
    blocked = 0
    try:
        while time.monotonic() < end and blocked < 50:
            _, ready, _ = select.select([], sockets, [], 0.1)
            blocked = 0 if ready else blocked + 1
            for s in ready:
                try:
                    taken += s.send(ask * 100)
                except BlockingIOError:
                    pass
        with raw.Connection(victim.host, victim.port("1"), timeout=2) as c:
            at = time.monotonic()
            c.metadata(["good"])
            assert time.monotonic() - at < 1
        assert victim.rss_bytes("1") < RSS_BOUND, f"{victim.rss_bytes('1') >> 20} MiB after {taken >> 20} MiB asked"
    finally:
        for s in sockets:
            s.close()


def test_length_prefixes_beyond_reason(victim):
    rss = victim.rss_bytes("1")
    for size in (0x7FFFFFFF, 0x70000000, -1, -(1 << 31), 104857601, 0, 3):
        with open_socket(victim) as s:
            s.sendall(struct.pack(">i", size) + b"\0" * 64)
            s.settimeout(5)
            try:
                assert s.recv(1) == b"", f"a frame of {size} bytes was answered"
            except ConnectionError:
                pass
    assert victim.rss_bytes("1") - rss < 16 * MIB
    log = victim.log("1")
    assert log.strip(), "a refused frame leaves a line in the log"


def test_many_large_frames_that_never_end(victim):
    """Each within the limit, together far beyond the machine: memory goes by what has come, within a budget."""
    sockets = [open_socket(victim) for _ in range(60)]
    try:
        for s in sockets:
            s.setblocking(False)
            try:
                s.send(struct.pack(">ihh", 100_000_000, raw.PRODUCE, 9) + b"\0" * 100_000)
            except BlockingIOError:
                pass
        with raw.Connection(victim.host, victim.port("1"), timeout=2) as c:
            c.metadata(["good"])
        assert victim.rss_bytes("1") < RSS_BOUND, f"{victim.rss_bytes('1') >> 20} MiB"
    finally:
        for s in sockets:
            s.close()
