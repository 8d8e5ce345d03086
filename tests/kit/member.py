"""Members of consumer groups as processes of their own, and what they have said so far.

A member program (tests/interop/member.*) prints {"owns":[partitions]} whenever that changes and {"p","o","v"} for
each record it has processed, and leaves on SIGTERM.
"""
import json
import os
import signal
import subprocess
import threading
import time

from tests.kit.cluster import wait_until


class Member:
    def __init__(self, argv, env=None):
        self.argv = [str(a) for a in argv]
        self.owns = frozenset()
        self.records = []           # (partition, offset, value) in the order processed
        self.log = []
        self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})})
        self.readers = [threading.Thread(target=self._read), threading.Thread(target=self._read_errors)]
        for reader in self.readers:
            reader.start()

    def _read(self):
        for line in self.process.stdout:
            if not line.startswith("{"):
                continue
            what = json.loads(line)
            if "owns" in what:
                self.owns = frozenset(what["owns"])
                self.log.append((time.monotonic(), self.owns))
            else:
                self.records.append((what["p"], what["o"], what["v"]))

    def _read_errors(self):
        self.errors = ""
        for line in self.process.stderr:
            self.errors = (self.errors + line)[-4000:]

    def is_alive(self):
        return self.process.poll() is None

    def signal(self, sig):
        self.process.send_signal(sig)

    def leave(self, timeout=30):
        """As a program does that ends: it says so to the group."""
        if self.is_alive():
            self.signal(signal.SIGTERM)
        self._end(timeout)

    def kill(self):
        if self.is_alive():
            self.signal(signal.SIGKILL)
        self._end(10)

    def _end(self, timeout):
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"{self.argv} did not leave: {self.errors}")
        finally:
            for reader in self.readers:
                reader.join(10)
            self.owns = frozenset()


def wait_shared(members, partitions, timeout=40, each=None):
    """Until the members own all partitions, none twice; each: that each has at least so many."""
    def shared():
        for m in members:
            assert m.is_alive(), f"{m.argv} has ended: {m.errors}"
        owned = [p for m in members for p in m.owns]
        return (sorted(owned) == list(range(partitions)) and
                all(len(m.owns) >= (each if each is not None else 0) for m in members))
    wait_until(shared, timeout, f"{partitions} partitions shared by {len(members)}, "
                                f"now {[sorted(m.owns) for m in members]}")


def wait_processed(members, values, timeout=60):
    """Until every value was processed by somebody (at least once)."""
    def missing():
        return set(values) - {v for m in members for _, _, v in m.records}
    wait_until(lambda: not missing(), timeout, "every record processed")


def skipped(members, counts):
    """(partition, offset) that nobody processed, of counts {partition: end offset}."""
    done = {(p, o) for m in members for p, o, _ in m.records}
    return [(p, o) for p, end in counts.items() for o in range(end) if (p, o) not in done]


def assert_in_order(members):
    """What a member was given of a partition for the first time it was given in the order of the log, rebalances or
    not; what came again is left aside."""
    for m in members:
        for partition in {p for p, _, _ in m.records}:
            first = list(dict.fromkeys(o for p, o, _ in m.records if p == partition))
            assert first == sorted(first), f"{m.argv}: partition {partition} out of order"
