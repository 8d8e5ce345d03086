"""Faults of a chaos run: each is done to a cluster, holds for a while, and is undone.

A fault is a class with do(), which says whom it has met, and undo(). What needs something of the machine says so in
refusal(), and is left out there, loudly.
"""
import errno
import os
import shutil
import subprocess
from pathlib import Path

from tests.kit.cluster import Timeout, wait_until

DISK_MIB = 512


class Fault:
    needs_netns = False

    def __init__(self, cluster, rand):
        self.cluster, self.rand = cluster, rand
        self.met = []           # nodes

    @classmethod
    def name(cls):
        return cls.__name__

    @staticmethod
    def refusal():
        return None

    def any_broker(self):
        return self.rand.choice(self.cluster.brokers)

    def zookeeper_leader(self):
        for node in self.zookeepers():
            try:
                said = subprocess.run(["bash", "-c", f"exec 3<>/dev/tcp/{self.cluster.address(node)[0]}/"
                                       f"{self.cluster.address(node)[1]}; echo srvr >&3; cat <&3"],
                                      capture_output=True, text=True, timeout=3).stdout
            except subprocess.TimeoutExpired:
                continue
            if "Mode: leader" in said or "Mode: standalone" in said:
                return node
        return self.rand.choice(self.zookeepers())

    def zookeepers(self):
        return [n for n in self.cluster.nodes if n[0] == "z"]

    def controllers(self):
        return [n for n in self.cluster.nodes if n[0] == "c"]

    def active(self):
        return self.cluster.active_controller() or self.rand.choice(self.controllers())

    def undo(self):
        for node in self.met:
            self.cluster.start(node)


class _Kill(Fault):
    def end(self, *nodes):
        self.met = [n for n in nodes if self.cluster.is_up(n)]
        self.cluster.kill_at_once(*self.met)
        for node in self.met:
            self.cluster.wait_gone(node)


class KillBroker(_Kill):
    def do(self):
        self.end(self.any_broker())


class KillTwoBrokers(_Kill):
    def do(self):
        self.end(*self.rand.sample(self.cluster.brokers, 2))


class KillController(_Kill):
    def do(self):
        self.end(self.active())


class KillBrokerAndController(_Kill):
    def do(self):
        self.end(self.any_broker(), self.active())


class KillEverybody(_Kill):
    def do(self):
        self.end(*self.cluster.brokers, *self.controllers())


class KillZooKeeperLeader(_Kill):
    def do(self):
        self.end(self.zookeeper_leader())


class StopBroker(Fault):
    def do(self):
        self.met = [self.any_broker()]
        self.cluster.stop(self.met[0])


class RollingRestart(Fault):
    """One after the other, each as soon as the one before it runs again."""

    def do(self):
        for node in [*self.cluster.brokers, *self.controllers()]:
            self.cluster.stop(node)
            self.cluster.start(node)


class _Pause(Fault):
    def hold(self, node):
        if self.cluster.is_up(node):            # another fault may have killed it
            self.met = [node]
            self.cluster.pause(node)

    def undo(self):
        for node in self.met:
            if self.cluster.is_up(node):        # or kill it meanwhile
                self.cluster.resume(node)


class PauseBroker(_Pause):
    def do(self):
        self.hold(self.any_broker())


class PauseController(_Pause):
    def do(self):
        self.hold(self.active())


class PauseZooKeeperLeader(_Pause):
    def do(self):
        self.hold(self.zookeeper_leader())


class _Cut(Fault):
    needs_netns = True

    def undo(self):
        self.cluster.mend()


class CutBroker(_Cut):
    def do(self):
        self.met = [self.any_broker()]
        self.cluster.cut(self.met[0])


class CutBrokerFromNodes(_Cut):
    """Clients still reach it."""

    def do(self):
        self.met = [self.any_broker()]
        self.cluster.cut(self.met[0], *(n for n in self.cluster.nodes if n != self.met[0]))


class CutBrokerFromBrokers(_Cut):
    def do(self):
        self.met = [self.any_broker()]
        self.cluster.cut(self.met[0], *(b for b in self.cluster.brokers if b != self.met[0]))


class CutBrokerFromControllers(_Cut):
    def do(self):
        self.met = [self.any_broker()]
        self.cluster.cut(self.met[0], *self.controllers())


class CutBrokerFromZooKeeper(_Cut):
    def do(self):
        self.met = [self.any_broker()]
        self.cluster.cut(self.met[0], *self.zookeepers())


class CutPair(_Cut):
    def do(self):
        self.met = self.rand.sample(self.cluster.brokers, 2)
        self.cluster.cut(*self.met)


class CutOneWay(_Cut):
    """What a broker says to the other nodes is lost; it hears them."""

    def do(self):
        self.met = [self.any_broker()]
        self.cluster.cut(self.met[0], *(n for n in self.cluster.nodes if n != self.met[0]), one_way=True)


class CutControllerFromZooKeeper(_Cut):
    def do(self):
        self.met = [self.active()]
        self.cluster.cut(self.met[0], *self.zookeepers())


class CutZooKeeperLeader(_Cut):
    def do(self):
        self.met = [self.zookeeper_leader()]
        self.cluster.cut(self.met[0])


class SlowBroker(_Cut):
    def do(self):
        self.met = [self.any_broker()]
        self.cluster.slow(self.met[0], delay_ms=self.rand.choice([5, 50, 200]), jitter_ms=20,
                          loss_percent=self.rand.choice([0, 1, 10]))


class DiskFull(Fault):
    """A broker's data directory is a file system of its own (see own_disks), and that is full."""

    @staticmethod
    def refusal():
        return None if os.geteuid() == 0 else "mounting takes root"

    def do(self):
        self.met = [self.any_broker()]
        self.filler = self.cluster.data(self.met[0]) / "filler"
        with open(self.filler, "wb") as file:
            free = os.statvfs(self.filler)
            size, step = 0, free.f_bavail * free.f_bsize
            while step >= free.f_bsize:             # the broker is taking room at the same time
                try:
                    os.posix_fallocate(file.fileno(), size, step)
                    size += step
                except OSError as e:
                    if e.errno != errno.ENOSPC:
                        raise
                    step //= 2

    def undo(self):
        self.filler.unlink(missing_ok=True)


class FailingSync(Fault):
    """fdatasync fails with EIO: the directory, and with it a broker that has no other, is given up."""

    @staticmethod
    def refusal():
        return None if shutil.which("strace") else "strace is not there"

    def do(self):
        self.met = [self.any_broker()]
        pid = self.cluster.pid(self.met[0])
        self.cluster.ended.add(self.met[0])
        self.tracer = subprocess.Popen(["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e",
                                        "inject=fdatasync:error=EIO", "-p", str(pid)], stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def undo(self):
        self.tracer.terminate()
        self.tracer.wait(30)
        for node in self.met:
            if self.cluster.is_up(node):        # nothing was synced meanwhile, or it has another directory
                self.cluster.stop(node)
            self.cluster.start(node)


ALL = [KillBroker, KillTwoBrokers, KillController, KillBrokerAndController, KillEverybody, KillZooKeeperLeader,
       StopBroker, RollingRestart, PauseBroker, PauseController, PauseZooKeeperLeader, CutBroker, CutBrokerFromNodes,
       CutBrokerFromBrokers, CutBrokerFromControllers, CutBrokerFromZooKeeper, CutPair, CutOneWay,
       CutControllerFromZooKeeper, CutZooKeeperLeader, SlowBroker, DiskFull, FailingSync]


class OwnDisks:
    """Each broker's data directory on a small file system of its own; in memory, for what counts is that it can be
    full. To be entered before the cluster is up, and left after it is down."""

    def __init__(self, cluster, brokers):
        self.places = [Path(cluster.dir) / "run" / str(b) / "data" for b in range(1, brokers + 1)]

    def __enter__(self):
        for place in self.places:
            place.mkdir(parents=True, exist_ok=True)
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "moldau-chaos", str(place)], check=True)
        return self

    def __exit__(self, *exc):
        for place in self.places:
            subprocess.run(["umount", "-l", str(place)], check=False)


def wait_started(cluster, timeout=10):
    """Who has ended by itself does not come back: the last words of all say why."""
    def ended():
        return [n for n in cluster.nodes if not cluster.is_up(n)]

    try:
        wait_until(lambda: not ended(), timeout, "every node runs")
    except Timeout as e:
        raise AssertionError(f"ended by itself: {', '.join(ended())}{cluster.log_tails(60)}") from e
