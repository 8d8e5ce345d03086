"""`moldau log dump` beside Kafka's own DumpLogSegments on damaged files: the same lines up to where either gives up, the
same exit code, and the same complaints wherever Kafka's ends well.

What Kafka's says when it dies is a stack trace and not compared. A compressed batch that is damaged inside is read by
Kafka record by record until it breaks and by us not at all; logs with such batches are left out. So is why a record of
an internal topic cannot be read ("Error at offset 2, skipping. ..."), and the line in which Kafka's dies half way.
"""
import random
import re
import shutil
import subprocess
import tarfile

import pytest

from tests.kit import adoption
from tests.kit.cluster import ROOT
from tests.kit.kafka import Missing, kafka_jars

DATA = ROOT / "tests" / "data" / "logs"
PARTS = [("broker1-clean-stop", p) for p in ("g-txn-0", "g-segs-0", "g-java-none-0", "__consumer_offsets-0",
                                             "__transaction_state-1", "g-compact-txn-0")]
PARTS += [("message-formats-v0-v1", p) for p in ("m-v0-none-0", "m-v1-none-0", "m-v1-segs-0")]
DECODERS = {"__consumer_offsets-0": "--offsets-decoder", "__transaction_state-1": "--transaction-log-decoder"}


def damaged(data, r):
    how = r.random()
    if how < 0.7:
        for _ in range(r.randint(1, 3)):
            data[r.randrange(len(data))] ^= 1 << r.randrange(8)
    elif how < 0.85:
        data = data[:r.randrange(len(data))]
    else:
        data += bytes(r.randrange(256) if how < 0.93 else 0 for _ in range(r.randrange(60)))
    return data


def told(ran):
    text = re.sub(rb"(Error at offset \d+, skipping\.).*", rb"\1", ran.stdout)
    return text[:text.rfind(b"\n") + 1] if ran.returncode else text


def one(seed, folder, java):
    r = random.Random(seed)
    archive, part = r.choice(PARTS)
    shutil.rmtree(folder / part, ignore_errors=True)
    with tarfile.open(DATA / f"{archive}.tar.gz") as tar:
        tar.extractall(folder, [m for m in tar if m.name.startswith(f"./{part}/")])
    files = [f for f in sorted((folder / part).iterdir()) if f.suffix in adoption.DUMPED and f.stat().st_size > 0]
    victim = r.choice(files)
    victim.write_bytes(damaged(bytearray(victim.read_bytes()), r))
    target = victim
    if victim.suffix == ".log" and r.random() < 0.4:
        target = victim.with_suffix(r.choice([".index", ".timeindex"]))
    option = "--index-sanity-check" if r.random() < 0.2 else DECODERS.get(part, "--print-data-log")
    args = ["--files", f"{part}/{target.name}", option]
    theirs, ours = (subprocess.run([*command, *args], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True,
                                   timeout=60) for command in (java, [ROOT / "build/bin/moldau", "log", "dump"]))
    where = f"seed {seed}: {args}, {victim.name} damaged"
    assert told(theirs) == told(ours), where
    assert (theirs.returncode != 0) == (ours.returncode != 0), f"{where}: {theirs.stderr[:400]} {ours.stderr[:400]}"
    if theirs.returncode == 0:
        assert theirs.stderr == ours.stderr, where


def compare(seeds, tmp_path):
    try:
        java = adoption.kafkas_dump(kafka_jars(), tmp_path)
    except Missing as e:
        pytest.skip(str(e))
    for seed in seeds:
        one(seed, tmp_path, java)


def test_damaged_files_are_dumped_alike(tmp_path):
    compare(range(8), tmp_path)


@pytest.mark.long
def test_many_damaged_files_are_dumped_alike(tmp_path):
    compare(range(8, 200), tmp_path)
