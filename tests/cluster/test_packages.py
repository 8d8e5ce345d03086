"""Real input end to end: every package record that apt knows, through kcat, while a broker is killed and comes back.

Keyed by package name into 12 partitions of 3 replicas at acks=all with the idempotent producer. The broker
that leads half of the partitions is killed with kill -9 after a third of the input and started again after
two thirds. Afterwards every record is there once, in the order of the input per key and per partition; the replicas'
files are identical.
"""
import collections
import os
import shutil
import subprocess
import threading
import time

import pytest

from tests.kit import ops
from tests.kit.cluster import wait_until

PARTITIONS = 12
VICTIM = "1"
FIELD, END = "\x1f", "\x1e"
SECONDS = 12                # the input is spread over this time, so that the failures fall into it


def package_records():
    """[(name, record)] of apt-cache dumpavail."""
    if not shutil.which("apt-cache") or not shutil.which("kcat"):
        pytest.skip("needs apt-cache and kcat")
    text = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, check=True).stdout
    records = []
    for stanza in text.decode("utf-8", "replace").split("\n\n"):
        if stanza.startswith("Package: "):
            records.append((stanza[9:stanza.index("\n")], stanza))
    if len(records) < 1000:
        pytest.skip(f"apt knows {len(records)} packages only: apt-get update")
    return records


def assignments():
    """Broker 1 leads the even partitions, 2 and 3 share the rest; every broker has a replica of all."""
    rest = [[2, 3, 1], [3, 1, 2]]
    return [[1, 2, 3] if p % 2 == 0 else rest[p // 2 % 2] for p in range(PARTITIONS)]


class Feeder(threading.Thread):
    """Writes the records into kcat at an even pace; `fed` is the share that is written."""

    def __init__(self, records, pipe):
        super().__init__(daemon=True)
        self.records, self.pipe, self.fed, self.error = records, pipe, 0.0, None

    def run(self):
        try:
            start = time.monotonic()
            for first in range(0, len(self.records), 100):
                for name, stanza in self.records[first:first + 100]:
                    self.pipe.write(f"{name}{FIELD}{stanza}{END}".encode())
                self.fed = (first + 100) / len(self.records)
                late = start + self.fed * SECONDS - time.monotonic()
                if late > 0:
                    time.sleep(late)
            self.pipe.close()
        except OSError as e:
            self.error = e


def read_back(cluster, topic):
    out = subprocess.run(["kcat", "-b", cluster.bootstrap, "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-f",
                          f"%p{FIELD}%o{FIELD}%k{FIELD}%s{END}"], capture_output=True, check=True, timeout=120)
    rows = []
    for row in out.stdout.decode("utf-8", "replace").split(END)[:-1]:
        partition, offset, key, value = row.split(FIELD, 3)
        rows.append((int(partition), int(offset), key, value))
    return rows


def test_every_package_survives_kill_9(whole):
    records = package_records()
    topic = f"packages-{os.urandom(2).hex()}"
    ops.create_topic(whole, topic, assignments=assignments())
    leaders = collections.Counter(p.leader for p in ops.partitions_of(whole, topic).values())
    assert leaders[int(VICTIM)] == PARTITIONS // 2

    kcat = subprocess.Popen(["kcat", "-b", whole.bootstrap, "-P", "-t", topic, "-D", END, "-K", FIELD,
                             "-X", "acks=all", "-X", "enable.idempotence=true"],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    feeder = Feeder(records, kcat.stdin)
    try:
        feeder.start()
        wait_until(lambda: feeder.fed > 0.33 or feeder.error, 60, "a third of the input")
        whole.kill_at_once(VICTIM)
        wait_until(lambda: feeder.fed > 0.66 or feeder.error, 120, "two thirds of the input")
        whole.wait_gone(VICTIM)
        whole.start(VICTIM)
        feeder.join(120)
        said = kcat.stdout.read().decode(errors="replace")
        assert kcat.wait(180) == 0 and not feeder.error, said[-2000:]
    finally:
        kcat.kill()
        kcat.wait()

    ops.wait_full_isr(whole)
    rows = read_back(whole, topic)
    by_key, offsets = collections.defaultdict(list), collections.defaultdict(list)
    partitions = collections.defaultdict(set)
    for partition, offset, key, value in rows:
        by_key[key].append(value)
        partitions[key].add(partition)
        offsets[partition].append(offset)
    wanted = collections.defaultdict(list)
    for name, stanza in records:
        wanted[name].append(stanza)
    missing = [k for k in wanted if len(by_key[k]) < len(wanted[k])]
    extra = [k for k in by_key if len(by_key[k]) > len(wanted[k])]
    assert not missing, f"{len(missing)} of {len(wanted)} packages lost, e.g. {missing[:3]}"
    assert not extra, f"{len(extra)} packages twice, e.g. {extra[:3]}"
    assert by_key == wanted, "order within a key"
    assert all(len(p) == 1 for p in partitions.values()), "a key is in one partition"
    assert all(sorted(o) == list(range(len(o))) for o in offsets.values()), "offsets are dense"
    place = {record: i for i, record in enumerate(records)}
    for partition in range(PARTITIONS):
        order = [place[key, value] for q, _, key, value in sorted(r for r in rows if r[0] == partition)]
        assert order == sorted(order), f"partition {partition} is not in the order of the input"
    ops.assert_replicas_identical(whole, topic)
    print(f"{len(records)} records, {len(wanted)} packages, killed with {whole.target}: all there")
