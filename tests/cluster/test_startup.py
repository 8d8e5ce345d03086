"""A broker on an empty directory serves within 200 ms of its start, and is small while idle."""
import subprocess
import time

import pytest

from tests.kit import raw
from tests.kit.cluster import ROOT, pid_rss_bytes, wait_until

pytestmark = pytest.mark.moldau_only

MIB = 1 << 20


def start_alone(cluster, tmp_path, index):
    """A fourth broker by hand; (process, seconds until its Metadata names itself)."""
    port, broker = cluster.ports.base + 40 + index, 40 + index
    conf = tmp_path / f"{broker}.properties"
    conf.write_text(f"broker.id={broker}\nlisteners=PLAINTEXT://127.0.0.1:{port}\n"
                    f"log.dirs={tmp_path}/data{broker}\nzookeeper.connect={cluster.status()['zookeeper']}\n")
    flavour = cluster.flavour
    program = ROOT / "build" / (f"{flavour}/bin" if flavour and flavour != "plain" else "bin") / "moldau-broker"
    log = open(tmp_path / f"{broker}.log", "wb")
    at = time.monotonic()
    process = subprocess.Popen([program, conf], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    log.close()

    def serves():
        if process.poll() is not None:
            raise RuntimeError((tmp_path / f"{broker}.log").read_text())
        with raw.Connection("127.0.0.1", port, timeout=5) as c:
            return broker in c.metadata([]).brokers
    try:
        wait_until(serves, 20, "the new broker serving", every=0.002)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return process, time.monotonic() - at


def end(process):
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def test_a_broker_serves_within_200_ms_and_stays_small(whole, tmp_path):
    times = []
    for index in range(5):                  # the best of a few: other work on the machine is not ours
        process, seconds = start_alone(whole, tmp_path, index)
        try:
            times.append(seconds)
            rss = pid_rss_bytes(process.pid)
            assert rss < 40 * MIB, f"RSS {rss / MIB:.1f} MiB"
        finally:
            end(process)
        if seconds < 0.2:
            break
    assert min(times) < 0.2, [round(t, 3) for t in times]


def test_idle_brokers_are_under_40_mib(whole):
    sizes = {b: round(whole.rss_bytes(b) / MIB, 1) for b in whole.brokers}
    assert max(sizes.values()) < 40, sizes


def test_idle_nodes_use_no_cpu(whole):
    """Threads wait for events; nothing polls fast. (Followers ask twice a second, heartbeats are cheap.)"""
    before = {n: whole.cpu_seconds(n) for n in [*whole.brokers, "c1", "c2"]}
    at = time.monotonic()
    wait_until(lambda: time.monotonic() - at > 3, 5, "three seconds of idling")
    shares = {n: round((whole.cpu_seconds(n) - c) / (time.monotonic() - at), 3) for n, c in before.items()}
    assert max(shares.values()) < 0.05, shares
