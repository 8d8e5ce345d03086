"""Clusters of many partitions: real controllers and ZooKeeper, brokers that are only words (tests/bench/scale_brokers.c)."""
import json
import re
import subprocess
import threading
import time
import urllib.request
from datetime import datetime

from tests.kit.cluster import ROOT, wait_until

PROGRAM = ROOT / "build" / "bin" / "scale_brokers"
METRICS_OFFSET = 150            # of controllers, above the port base


def build():
    subprocess.run(["make", "-s", "-j2", "bench"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def run(*args, timeout=300):
    done = subprocess.run([str(PROGRAM), *map(str, args)], capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, done.stderr
    return dict(pair.split("=") for pair in done.stdout.split() if "=" in pair)


class Fakes:
    """`scale_brokers serve`: its lines as (word, {key: number}), and commands to it."""

    def __init__(self, zookeeper, count, controllers):
        self.proc = subprocess.Popen([str(PROGRAM), "serve", zookeeper, str(count), *controllers], text=True,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.count, self.lines = count, []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.proc.stdout:
            word, *pairs = line.split()
            self.lines.append((word, {k: float(v) for k, v in (p.split("=") for p in pairs)}))

    def ask(self, command):
        self.proc.stdin.write(command + "\n")
        self.proc.stdin.flush()

    def of(self, word, **want):
        return [line for w, line in list(self.lines) if w == word and all(line[k] == v for k, v in want.items())]

    def wait_live(self, brokers, epoch, timeout=60):
        """Milliseconds of the monotonic clock at which the last of them had acknowledged its image."""
        wait_until(lambda: brokers <= {int(line["broker"]) for line in self.of("live", epoch=epoch)}, timeout,
                   f"brokers {sorted(brokers)} live in epoch {epoch}")
        return max(min(line["at"] for line in self.of("live", epoch=epoch, broker=b)) for b in brokers)

    def kill(self, broker, timeout=60):
        """(partitions that it led, milliseconds until the last one was led again)."""
        self.ask(f"kill {broker}")
        moved = wait_until(lambda: self.of("moved", broker=broker), timeout, f"nothing is led by {broker}")
        at = self.of("killed", broker=broker)[0]
        return int(at["parts"]), moved[0]["at"] - at["at"]

    def close(self):
        if self.proc.poll() is None:
            self.proc.stdin.close()
            self.proc.wait(10)


def status(cluster, node):
    """The controller's status page; None while there is none."""
    port = cluster.ports.base + METRICS_OFFSET + int(node[1:])
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=5) as page:
            return json.load(page)
    except OSError:
        return None


def is_true(cluster, node, key):
    page = status(cluster, node)
    return page is not None and page[key] and page


def wait_settled(cluster, node, timeout=120):
    """Until the controller has decided all that there is to decide: it writes nothing, its version stands still."""
    last, since = None, time.monotonic()

    def stands():
        nonlocal last, since
        page = status(cluster, node)
        version = page and page["version"]
        if version != last or page["busy"]:
            last, since = version, time.monotonic()
        return time.monotonic() - since > 1.0
    wait_until(stands, timeout, "the controller has settled")


def last_line(cluster, node, text):
    lines = [line for line in cluster.log(node).splitlines() if text in line]
    return lines[-1] if lines else None


def number_in(line, key):
    return int(re.search(rf"\b{key}=(-?\d+)", line)[1])


def wall_of(line):
    return datetime.fromisoformat(line.split()[0].replace("Z", "+00:00")).timestamp()
