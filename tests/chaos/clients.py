"""Clients of a chaos run, which note what they did and saw in a History (tests/kit/history.py)."""
import collections
import logging
import os
import shutil
import subprocess
import tempfile
import threading
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from tests.kit.history import ACKED, UNKNOWN, Write, value_of
from tests.kit.rdkafka_faults import locked_up, takes_wrong_epoch
from tests.kit.rawload import RawLoad
from tests.kit.readers import Reader

SIZE = 200


class Raw:
    """One-record requests that are retried at once; its acknowledgements tell when a partition could be written."""

    def __init__(self, history, name, cluster, topic, partitions, rate, idempotent=False, acks=-1):
        self.history, self.name = history, name
        self.load = RawLoad(cluster.addresses, topic, range(partitions), rate, SIZE, acks, idempotent, name=name,
                            timeout=1.5, connect_timeout=0.5)   # TCP alone is late by as long as a cut has lasted

    def start(self):
        self.load.start()
        return self

    def stop(self):
        try:
            self.load.stop(120)
        except Exception as e:          # noqa: BLE001 - whatever ended it belongs into the verdict
            self.history.fatal.append(f"{self.name}: {e!r}")
        writes = self.history.writer(self.name)
        for p, acks in self.load.acked.items():
            writes += [Write(self.name, a.number, p, a.created, a.acked, ACKED, a.offset) for a in acks]
            writes += [Write(self.name, n, p, made) for n, made in self.load.queues[p]]


class Librdkafka:
    """A producer as applications have it, with everything at its defaults but what is said here."""

    def __init__(self, history, name, cluster, topic, partitions, rate, idempotent=True, acks="all"):
        self.history, self.name, self.topic, self.rate = history, name, topic, rate
        self.numbers = [0] * partitions
        self.writes = history.writer(name)
        self.producer = Producer({"bootstrap.servers": cluster.bootstrap, "acks": acks, "linger.ms": 5,
                                  "enable.idempotence": idempotent, "message.timeout.ms": 120_000, "log_level": 2,
                                  "error_cb": self._error})
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._main, name=name, daemon=True)

    def start(self):
        self.thread.start()
        return self

    def stop(self):
        self.ending.set()
        self.thread.join(150)
        if self.thread.is_alive():
            self.history.fatal.append(f"{self.name}: does not end")

    def _error(self, error):
        if error.fatal():
            self.history.fatal.append(f"{self.name}: {error.str()}")
            self.ending.set()

    def _main(self):
        began, made = time.monotonic(), 0
        while not self.ending.is_set():
            for _ in range(made, int((time.monotonic() - began) * self.rate)):
                self._write(made % len(self.numbers))
                made += 1
            self.producer.poll(0.005)
        self.producer.flush(120)

    def _write(self, partition):
        write = Write(self.name, self.numbers[partition], partition, time.monotonic())
        while not self.ending.is_set():
            try:
                self.producer.produce(self.topic, write.value.encode().ljust(SIZE, b"."), partition=partition,
                                      on_delivery=lambda error, message, w=write: self._done(w, error, message))
                break
            except BufferError:         # what has piled up during a fault
                self.producer.poll(0.1)
        else:
            return
        self.numbers[partition] += 1
        self.writes.append(write)

    @staticmethod
    def _done(write, error, message):
        write.ended = time.monotonic()
        write.outcome = UNKNOWN if error else ACKED     # a time-out says nothing about the record
        write.offset = -1 if error or message.offset() is None else message.offset()


class Positions(logging.Handler):
    """The last that librdkafka said about leaders and positions: why it gave up stands there."""

    WORDS = ("VALIDATE", "OFFSETVALID", "OFFSET", "LEADER", "BROKER", "PARTSTATE")

    def __init__(self):
        super().__init__()
        self.lines = collections.deque(maxlen=200)

    def emit(self, record):
        text = record.getMessage()
        if text.split(" ", 1)[0] in self.WORDS:
            self.lines.append(f"{time.monotonic():.3f} {text}")

    def logger(self, name):
        logger = logging.Logger(name, logging.DEBUG)
        logger.addHandler(self)
        return logger


def native_stacks():
    """Where each thread of this process is, a client library's own ones too."""
    if shutil.which("gdb") is None:
        return "no gdb here: where its threads are is not known"
    with tempfile.TemporaryFile("w+") as said:      # a pipe would be full while nobody reads it: gdb holds us meanwhile
        try:
            subprocess.run(["gdb", "-p", str(os.getpid()), "-batch", "-ex", "thread apply all bt 16"],
                           stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.DEVNULL, timeout=60, check=False)
        except subprocess.TimeoutExpired:
            return "gdb took too long: where its threads are is not known"
        said.seek(0)
        return said.read()


class LibrdkafkaReader(Reader):
    """A consumer that is shown nothing any more is noted with all that is known of it, and another one goes on in its
    place, so that it is seen whether the brokers had something to show. It speaks against them unless librdkafka has
    locked itself up.
    """

    LOCKED = set()      # threads of consumers that were given up, of all readers

    def __init__(self, history, name, cluster, topic, partitions):
        super().__init__(history, name, partitions)
        self.epochs = dict.fromkeys(range(partitions), -1)      # of the last record shown
        self.cluster, self.topic = cluster, topic
        self.hung = []          # consumers that were given up: closing them might never end
        self._begin()

    def _begin(self):
        self.positions = Positions()
        self.consumer = Consumer({"bootstrap.servers": self.cluster.bootstrap, "group.id": self.name,
                                  "enable.auto.commit": False, "auto.offset.reset": "error",
                                  "isolation.level": "read_committed", "fetch.wait.max.ms": 100,
                                  # librdkafka 2.16 locks itself up when it bootstraps anew while an
                                  # OffsetForLeaderEpoch is out: its main thread waits for its own lock for ever
                                  "metadata.recovery.strategy": "none", "log_level": 7, "debug": "fetch,topic"},
                                 logger=self.positions.logger(self.name))
        self.consumer.assign([TopicPartition(self.topic, p, offset) for p, offset in self.next.items()])
        self.shown = time.monotonic()

    def _begin_anew(self):
        what = f"is shown nothing any more, at {self.next}"
        stacks = [native_stacks()]
        time.sleep(3)
        stacks.append(native_stacks())
        locked = set(locked_up(*stacks)) - self.LOCKED
        self.LOCKED.update(locked)
        if locked:
            print(f"{time.monotonic():.3f} {self.name}: {what}: librdkafka has locked itself up, threads {locked}",
                  flush=True)
        else:
            self._give_up(what, [*self.positions.lines, *stacks])
        self.hung.append(self.consumer)
        self._begin()

    def _main(self):
        try:
            while not self._is_done():
                messages = self.consumer.consume(1000, 0.2)
                if messages:
                    self.shown = time.monotonic()
                elif self._is_stuck():
                    self._begin_anew()
                for message in messages:
                    if not message.error():
                        self._take(message.partition(), message.offset(), value_of(message.value()))
                        self.epochs[message.partition()] = message.leader_epoch()
                    elif message.error().code() == KafkaError._AUTO_OFFSET_RESET:     # noqa: SLF001
                        self._go_on_from(message)
        except KafkaException as e:
            self._give_up(e, self.positions.lines)
        finally:
            self.consumer.close()

    def _go_on_from(self, message):
        p = message.partition()
        if not takes_wrong_epoch(message.error().str(), self.next[p], self.epochs[p]):
            raise KafkaException(message.error())
        print(f"{time.monotonic():.3f} {self.name} goes on at {self.next[p]} of epoch {self.epochs[p]}: "
              f"{message.error().str()}", flush=True)
        self.consumer.seek(TopicPartition(self.topic, p, self.next[p]))
