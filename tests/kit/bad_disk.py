"""Orders for tests/cluster/bad_disk.c: what fails or is slow below a directory, for processes started with env()."""
import errno
import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from tests.kit.cluster import ROOT

WRITE, SYNC, READ, OPEN, RENAME, PROBE = 1, 2, 4, 8, 16, 32
ORDER = struct.Struct("<IIII1024s")


class BadDisk:
    def __init__(self, folder):
        self.lib, self.path = Path(folder) / "bad_disk.so", Path(folder) / "orders"
        subprocess.run(["cc", "-D_GNU_SOURCE", "-shared", "-fPIC", "-O1", "-o", str(self.lib),
                        str(ROOT / "tests" / "cluster" / "preload" / "bad_disk.c"), "-ldl"], check=True)
        self.path.write_bytes(bytes(ORDER.size))

    def env(self):
        return {"LD_PRELOAD": str(self.lib), "BAD_DISK": str(self.path)}

    def _order(self, ops, error, delay_ms, below):
        data = ORDER.pack(ops, error, delay_ms, 0, f"{below}/".encode())
        with open(self.path, "r+b") as f:      # the directory first: the bits say that the rest is right
            f.seek(4)
            f.write(data[4:])
            f.flush()
            f.seek(0)
            f.write(data[:4])

    def fail(self, below, ops, error=errno.EIO):
        self._order(ops, error, 0, below)

    def slow(self, below, ops, delay_ms):
        self._order(ops, 0, delay_ms, below)

    def heal(self):
        self._order(0, 0, 0, "")

    def hits(self):
        return ORDER.unpack(self.path.read_bytes()[:ORDER.size])[3]


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """For a module of tests; to be imported together with healed()."""
    if os.environ.get("FLAVOUR", "plain") != "plain":
        pytest.skip("a sanitizer's build does not share its process with a preloaded library")
    if not shutil.which("cc"):
        pytest.skip("cc is not installed")
    return BadDisk(tmp_path_factory.mktemp("disk"))


@pytest.fixture(autouse=True)
def healed(disk):
    yield
    disk.heal()
