"""Kafka's record batches (v2) in Python: build small ones, parse whole log files.

Independent of the C code on purpose: replicas are compared by what is read here.
"""
import gzip
import struct
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path

HEAD = struct.Struct(">qiibIhiqqqhii")  # baseOffset .. records count
HEAD_LEN = HEAD.size                    # 61
CRC_FROM = 21                           # attributes onwards
CODECS = {0: "none", 1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}

try:
    from crc32c import crc32c
except ImportError:
    _TABLE = []
    for _n in range(256):
        for _ in range(8):
            _n = (_n >> 1) ^ 0x82F63B78 if _n & 1 else _n >> 1
        _TABLE.append(_n)

    def crc32c(data):
        crc = 0xFFFFFFFF
        for byte in data:
            crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
        return crc ^ 0xFFFFFFFF


def _zigzag(n):
    n = (n << 1) ^ (n >> 63)
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def _unzigzag(data, pos):
    shift = value = 0
    while True:
        byte = data[pos]
        pos += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), pos
        shift += 7


def _sized(data):
    return _zigzag(-1) if data is None else _zigzag(len(data)) + data


def build(values, keys=None, headers=None, timestamp_ms=None, producer_id=-1, producer_epoch=-1, sequence=-1,
          codec="none", attributes=0, timestamps=None, deltas=None, count=None, base_offset=0):
    """One batch of these values. timestamps, deltas: per record; attributes: bits beside the codec's."""
    now = int(time.time() * 1000) if timestamp_ms is None else timestamp_ms
    times = timestamps or [now] * len(values)
    body = bytearray()
    for i, value in enumerate(values):
        pairs = headers[i] if headers else ()
        record = (b"\0" + _zigzag(times[i] - times[0]) + _zigzag(deltas[i] if deltas else i)
                  + _sized(keys[i] if keys else None) + _sized(value)
                  + _zigzag(len(pairs)) + b"".join(_sized(k.encode()) + _sized(v) for k, v in pairs))
        body += _zigzag(len(record)) + record
    number = {name: n for n, name in CODECS.items()}[codec]
    count = len(values) if count is None else count
    tail = struct.pack(">hiqqqhii", attributes | number, count - 1, times[0], max(times), producer_id, producer_epoch,
                       sequence, count) + compress(number, bytes(body))
    return struct.pack(">qiibI", base_offset, len(tail) + 9, -1, 2, crc32c(tail)) + tail


def compress(codec, data):
    if codec == 0:
        return data
    if codec == 1:
        return gzip.compress(data)
    if codec == 2:
        import snappy
        return snappy.compress(data)
    if codec == 3:
        import lz4.frame
        return lz4.frame.compress(data)
    import zstandard
    return zstandard.ZstdCompressor().compress(data)


@dataclass
class Record:
    offset: int
    timestamp: int
    key: bytes
    value: bytes
    headers: list = field(default_factory=list)


@dataclass
class Batch:
    base_offset: int
    leader_epoch: int
    crc: int
    attributes: int
    last_offset: int
    base_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    count: int
    raw: bytes

    @property
    def codec(self):
        return CODECS[self.attributes & 7]

    @property
    def is_control(self):
        return bool(self.attributes & 0x20)

    def crc_is_right(self):
        return crc32c(self.raw[CRC_FROM:]) == self.crc

    def records(self):
        data, pos = decompress(self.attributes & 7, self.raw[HEAD_LEN:]), 0
        for _ in range(self.count):
            size, pos = _unzigzag(data, pos)
            end = pos + size
            pos += 1
            dt, pos = _unzigzag(data, pos)
            do, pos = _unzigzag(data, pos)
            key, pos = _bytes(data, pos)
            value, pos = _bytes(data, pos)
            n, pos = _unzigzag(data, pos)
            headers = []
            for _ in range(n):
                name, pos = _bytes(data, pos)
                text, pos = _bytes(data, pos)
                headers.append((name.decode(), text))
            if pos != end:
                raise ValueError(f"record at {self.base_offset + do} ends at {pos}, not {end}")
            yield Record(self.base_offset + do, self.base_timestamp + dt, key, value, headers)


def _bytes(data, pos):
    size, pos = _unzigzag(data, pos)
    if size < 0:
        return None, pos
    return bytes(data[pos:pos + size]), pos + size


def decompress(codec, data):
    if codec == 0:
        return data
    if codec == 1:
        return gzip.decompress(data)
    if codec == 2:
        import snappy
        if data[:8] != b"\x82SNAPPY\0":
            return snappy.decompress(data)
        out, pos = b"", 16
        while pos < len(data):
            size, = struct.unpack_from(">i", data, pos)
            out += snappy.decompress(data[pos + 4:pos + 4 + size])
            pos += 4 + size
        return out
    if codec == 3:
        import lz4.frame
        return lz4.frame.decompress(data)
    import zstandard
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


def parse(data, check_crc=True):
    """Every whole batch in data; a torn or foreign tail ends it (Fetch may cut the last batch)."""
    pos = 0
    while pos + HEAD_LEN <= len(data):
        (base, size, epoch, magic, crc, attributes, last_delta, first_ts, max_ts, pid, pepoch, seq,
         count) = HEAD.unpack_from(data, pos)
        end = pos + 12 + size
        if end > len(data):
            return
        if magic != 2:
            raise ValueError(f"magic {magic} at byte {pos}")
        batch = Batch(base, epoch, crc, attributes, base + last_delta, first_ts, max_ts, pid, pepoch, seq, count,
                      bytes(data[pos:end]))
        if check_crc and not batch.crc_is_right():
            raise ValueError(f"wrong CRC at byte {pos}, offset {base}")
        yield batch
        pos = end


def _lz4_of_old(data):
    """A frame whose header checksum is the wrong one of magic 0 (KAFKA-3160): the right one is found by trying."""
    import lz4.frame
    at = 14 if data[4] & 8 else 6
    for right in range(256):
        try:
            return lz4.frame.decompress(data[:at] + bytes([right]) + data[at + 1:])
        except RuntimeError:
            continue
    raise ValueError("no lz4 frame")


def parse_old(data):
    """Every whole message of a set of magic 0 or 1, those inside compressed ones as well: (magic, Record)."""
    pos, found = 0, []
    while pos + 26 <= len(data):
        offset, size, crc, magic, attributes = struct.unpack_from(">qiIbb", data, pos)
        at, end = pos + 18, pos + 12 + size
        if end > len(data):
            break
        if zlib.crc32(data[pos + 16:end]) != crc:
            raise ValueError(f"wrong CRC at byte {pos}, offset {offset}")
        timestamp = -1
        if magic == 1:
            timestamp, = struct.unpack_from(">q", data, at)
            at += 8
        parts = []
        for _ in range(2):
            n, = struct.unpack_from(">i", data, at)
            at += 4
            parts.append(None if n < 0 else bytes(data[at:at + n]))
            at += max(n, 0)
        if attributes & 7:
            inner = parse_old(_lz4_of_old(parts[1]) if magic == 0 and attributes & 7 == 3
                              else decompress(attributes & 7, parts[1]))
            shift = offset - inner[-1][1].offset if magic == 1 else 0
            for m, r in inner:
                found.append((m, Record(r.offset + shift, timestamp if attributes & 8 else r.timestamp, r.key, r.value)))
        else:
            found.append((magic, Record(offset, timestamp, *parts)))
        pos = end
    return found


def partition_batches(directory, check_crc=False):
    """All batches of a partition's directory, segment after segment."""
    for path in sorted(Path(directory).glob("*.log")):
        yield from parse(path.read_bytes(), check_crc)


def high_watermarks(data_dir):
    """(topic, partition) -> offset, of a stopped broker's replication-offset-checkpoint."""
    lines = (Path(data_dir) / "replication-offset-checkpoint").read_text().splitlines()[2:]
    return {(t, int(p)): int(o) for t, p, o in (line.rsplit(" ", 2) for line in lines)}


def epoch_ends(batches):
    """{leader epoch: where it ends} of those that have records; ValueError when they go back."""
    ends, last = {}, -1
    for b in batches:
        if b.leader_epoch < last:
            raise ValueError(f"offset {b.base_offset} is of epoch {b.leader_epoch} and comes after epoch {last}")
        last = b.leader_epoch
        ends[last] = b.last_offset + 1
    return ends


def replica_difference(directories, up_to):
    """None when the partition directories hold the same batches below offset up_to; else what differs."""
    first, *others = [[b for b in partition_batches(d) if b.base_offset < up_to] for d in directories]
    if first and first[-1].last_offset + 1 < up_to or not first and up_to > 0:
        return f"{directories[0]} ends before {up_to}"
    for directory, batches in zip(directories[1:], others):
        for a, b in zip(first, batches):
            if a.raw != b.raw:
                return (f"{directories[0]} has offset {a.base_offset} epoch {a.leader_epoch} crc {a.crc:08x}, "
                        f"{directory} has offset {b.base_offset} epoch {b.leader_epoch} crc {b.crc:08x}")
        if len(first) != len(batches):
            return f"{directories[0]} has {len(first)} batches below {up_to}, {directory} {len(batches)}"
    return None
