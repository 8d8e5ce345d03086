"""Runs tests/bench/load.c (librdkafka): compiles it when needed, returns what it prints."""
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.kit.cluster import ROOT, wait_until

SOURCE = ROOT / "tests" / "bench" / "load.c"
PROGRAM = ROOT / "build" / "bin" / "load"


def program():
    if PROGRAM.exists() and PROGRAM.stat().st_mtime >= SOURCE.stat().st_mtime:
        return str(PROGRAM)
    if not shutil.which("gcc"):
        raise RuntimeError("gcc is not installed")
    PROGRAM.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=PROGRAM.parent, prefix="load.", delete=False) as f:
        temporary = f.name
    subprocess.run(["gcc", "-std=gnu17", "-O2", "-g", "-D_GNU_SOURCE", str(SOURCE), "-lrdkafka", "-lpthread",
                    "-o", temporary], check=True)
    os.chmod(temporary, 0o755)
    os.replace(temporary, PROGRAM)
    return str(PROGRAM)


def arguments(mode, bootstrap, topic, partitions, conf=None, **options):
    """options: size, count, seconds, warm, rate, workers, trace, again"""
    letters = {"size": "-s", "count": "-n", "seconds": "-d", "warm": "-w", "rate": "-r", "workers": "-j",
               "trace": "-T"}
    argv = [program(), mode, "-b", bootstrap, "-t", topic, "-p", str(partitions)]
    for key, value in options.items():
        argv += ["-a"] if key == "again" else [letters[key], str(value)]
    for key, value in (conf or {}).items():
        argv += ["-X", f"{key}={value}"]
    return argv


def run(mode, bootstrap, topic, partitions, conf=None, timeout=600, **options):
    argv = arguments(mode, bootstrap, topic, partitions, conf, **options)
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)} exited {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


def newest_library():
    """The librdkafka that confluent-kafka brings along, None without build/venv: years newer than Debian's."""
    found = sorted((ROOT / "build" / "venv").glob("lib/python3*/site-packages/confluent_kafka.libs/librdkafka*.so*"))
    return str(found[-1]) if found else None


class Background:
    """A load that runs while the test does something to the cluster; its trace tells what it saw when."""

    def __init__(self, *args, library=None, **options):
        env = {**os.environ, "LD_PRELOAD": library} if library else None
        with tempfile.NamedTemporaryFile(prefix="moldau-load-", delete=False) as f:
            self.trace_path = Path(f.name)
        self.process = subprocess.Popen(arguments(*args, trace=self.trace_path, **options),
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=env)
        self.trace, self.file, self.rest = [], self.trace_path.open(), ""

    def read_on(self):
        """What the trace has by now: [(partition, made s, answered s, error)]."""
        *lines, self.rest = (self.rest + self.file.read()).split("\n")
        for line in lines:
            partition, made, answered, error = line.split()
            self.trace.append((int(partition), int(made) / 1e6, int(answered) / 1e6, int(error)))
        return self.trace

    def wait_acked_past(self, moment, timeout, partitions):
        """Until every partition has acknowledged a record that was made after moment."""
        def goes_on():
            assert self.process.poll() is None, "the load has ended"
            acked = {p for p, made, _, error in self.read_on() if made >= moment and error == 0}
            silent = set(partitions) - acked
            assert not silent, f"nothing on partitions {sorted(silent)}"
            return True
        wait_until(goes_on, timeout, "an acknowledged write on every partition")

    def stop(self, timeout=60):
        """Ends it; returns ({...}, [(partition, made s, answered s, error)])."""
        self.process.terminate()
        out, _ = self.process.communicate(timeout=timeout)
        self.read_on()
        self.file.close()
        self.trace_path.unlink()
        return json.loads(out), self.trace
