"""Consumers that read all partitions of a topic for as long as somebody writes, and note what they are shown.

What a client library does is a subclass's matter; here is what makes a reader's end a finding: it gives up, it is shown
nothing any more while there is something new all the time, or it does not come to the end of the log.
"""
import collections
import signal
import subprocess
import threading
import time

from tests.kit.history import Read, value_of

STUCK_S = 60            # a reader that is shown nothing for so long, while others write all the time, hangs
END_S = 120             # to read on to the end


class Reader:
    """Reads all partitions from the beginning, and never asks for anything twice."""

    def __init__(self, history, name, partitions):
        self.history, self.name = history, name
        self.reads = history.reader(name)
        self.next = dict.fromkeys(range(partitions), 0)
        self.fed = True         # there are new records all the time
        self.ends = None        # {partition: offset} to read up to; None: go on
        self.shown = time.monotonic()       # when it was shown something last
        self.thread = threading.Thread(target=self._main, name=name, daemon=True)

    def start(self):
        self.thread.start()
        return self

    def stop(self, ends):
        """Reads on to those ends, then ends."""
        self.shown = time.monotonic()
        self.ends, self.fed = ends, True
        self.thread.join(END_S)
        if not self._is_done():
            self.history.fatal.append(f"{self.name}: at {self.next} and not at {ends} after {END_S} s")

    def _is_done(self):
        return self.ends is not None and all(self.next[p] >= end for p, end in self.ends.items())

    def _is_stuck(self):
        return self.fed and time.monotonic() - self.shown > STUCK_S

    def _take(self, partition, offset, value):
        self.shown = time.monotonic()
        self.reads.append(Read(self.name, partition, offset, value, self.shown))
        self.next[partition] = offset + 1

    def _give_up(self, why, lines):
        self.history.fatal.append("\n".join([f"{self.name}: {why}", *lines]))
        print(f"{time.monotonic():.3f} {self.name} gives up: {why}", flush=True)


class ProgramReader(Reader):
    """A client of its own process (tests/interop/go/reader.go), which says PARTITION OFFSET VALUE for each record, and
    ends when its standard input does: nobody listens any more."""

    def __init__(self, history, name, cluster, topic, partitions, argv):
        super().__init__(history, name, partitions)
        self.process = subprocess.Popen([*argv, cluster.bootstrap, topic, str(partitions)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.lines = collections.deque(maxlen=400)      # the last that it said beside records
        self.listeners = [threading.Thread(target=listen, daemon=True) for listen in (self._records, self._words)]

    def _records(self):
        with self.process.stdout as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    break           # it has ended in the midst of it
                partition, offset, value = line.split(b" ", 2)
                self._take(int(partition), int(offset), value_of(value.rstrip(b"\n")))

    def _words(self):
        with self.process.stderr as lines:
            for line in lines:
                self.lines.append(line.decode(errors="replace").rstrip())

    def _main(self):
        for listener in self.listeners:
            listener.start()
        stuck = ended = False
        while not (self._is_done() or stuck or ended):
            time.sleep(0.2)
            stuck, ended = self._is_stuck(), self.process.poll() is not None
        # Go says upon ABRT where each goroutine is, as upon QUIT, which whoever runs in the background ignores
        self.process.send_signal(signal.SIGABRT if stuck else signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.process.stdin.close()
        for listener in self.listeners:
            listener.join(30)
        if not self._is_done():
            self._give_up(f"is shown nothing any more, at {self.next}" if stuck else "has ended", self.lines)
