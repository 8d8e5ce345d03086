"""A steady load of one-record produce requests that retries at once: what a cluster can do, no client's back-off.

One request in flight per partition; every record is numbered, and every acknowledgement is noted with
its time (CLOCK_MONOTONIC). Leader changes are learnt from the hints in produce answers (KIP-951) or from
Metadata of any live broker, asked every few milliseconds while a leader is missing.
"""
import asyncio
import collections
import threading
import time
from dataclasses import dataclass

from tests.kit import batch, raw
from tests.kit.cluster import wait_until
from tests.kit.stalls import Stalls

RETRY_PAUSE = 0.004
MOVED = {3, 5, 6, 9, 56, 74, 75, 100}     # errors after which somebody else may lead
AGAIN = {7, 19, 20}                       # try the same leader once more


@dataclass
class Ack:
    number: int
    created: float
    acked: float
    offset: int


class RawLoad:
    def __init__(self, addresses, topic, partitions, rate=1000, size=100, acks=-1, idempotent=False, version=10,
                 name="", timeout=20.0, connect_timeout=5.0):
        self.addresses, self.topic, self.partitions = list(addresses), topic, list(partitions)
        self.rate, self.size, self.acks, self.version = rate, size, acks, version
        self.idempotent, self.producer = idempotent, (-1, -1)
        self.timeout, self.connect_timeout = timeout, connect_timeout    # seconds
        self.prefix = f"{name}:" if name else ""      # of every value, where several loads share a topic
        self.acked = {p: [] for p in self.partitions}
        self.created = dict.fromkeys(self.partitions, 0)
        self.errors = collections.Counter()
        self.stalls = Stalls()
        self.fatal = None
        self.queues = {p: collections.deque() for p in self.partitions}
        self.leaders, self.nodes, self.connections, self.opening = {}, {}, {}, {}
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._main, name="rawload", daemon=True)

    # --- for the test's thread ---

    def start(self):
        self.stalls.start()
        self.thread.start()
        return self

    def stop(self, timeout=60):
        """Ends the creation of records, waits for the answers that are due."""
        self.stopping.set()
        self.thread.join(timeout)
        self.stalls.stop()
        if self.fatal:
            raise self.fatal
        assert not self.thread.is_alive(), f"unanswered after {timeout} s: {self.pending()}, {dict(self.errors)}"
        return self

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *exc):
        self.stopping.set()
        if kind is None:
            self.stop()

    def pending(self):
        return {p: len(q) for p, q in self.queues.items() if q}

    def wait_acked_past(self, moment, timeout, partitions=None):
        """Until every partition has acknowledged a record that was made after moment."""
        def goes_on():
            if self.fatal:
                raise RuntimeError(f"the load has ended: {self.fatal!r}") from self.fatal
            silent = [p for p in (partitions or self.partitions) if self.first_ack_of_write_after(p, moment) is None]
            if silent:
                raise ValueError(f"nothing on partitions {silent}; leaders {self.leaders}, {dict(self.errors)}")
            return True
        wait_until(goes_on, timeout, "an acknowledged write on every partition", every=0.01)

    def total_acked(self):
        return sum(len(a) for a in self.acked.values())

    def first_ack_of_write_after(self, partition, moment):
        """Seconds from moment to the first acknowledgement of a record made after it; None if there is none."""
        found = None
        for a in reversed(self.acked[partition]):     # records are made, and acknowledged, in order
            if a.created < moment:
                break
            found = a
        return found.acked - moment if found else None

    def longest_gap(self, partition, since, until):
        """The longest time without an acknowledgement in a window."""
        times = [since, *(a.acked for a in self.acked[partition] if since < a.acked < until), until]
        return max(b - a for a, b in zip(times, times[1:]))

    def slack(self, since, until):
        """What a bound on time has to grant a busy machine."""
        return self.stalls.slack(since, until)

    def check(self, partition, records):
        """Every acknowledged number is among the records; with idempotence exactly once and in order."""
        numbers = [int(r.value.split(b":")[-2]) for r in records]
        missing = {a.number for a in self.acked[partition]} - set(numbers)
        assert not missing, f"{self.topic}-{partition}: lost {len(missing)} acknowledged, e.g. {sorted(missing)[:5]}"
        if self.idempotent:
            assert numbers == sorted(set(numbers)), f"{self.topic}-{partition}: duplicates or disorder"
        by_offset = {r.offset: n for r, n in zip(records, numbers)}
        for a in self.acked[partition]:
            if a.offset >= 0:
                assert by_offset.get(a.offset) == a.number, \
                    f"{self.topic}-{partition}: {a.number} was acknowledged at {a.offset}, there is " \
                    f"{by_offset.get(a.offset)}"

    # --- its own thread ---

    def _main(self):
        try:
            asyncio.run(self._run())
        except Exception as e:  # noqa: BLE001 - reported by stop()
            self.fatal = e

    async def _run(self):
        self.refreshing = None
        self.wake = {p: asyncio.Event() for p in self.partitions}
        if self.idempotent:
            self.producer = raw.ask_any(self.addresses, lambda c: c.init_producer_id())
        await self._refresh()
        tasks = [asyncio.create_task(self._serve(p)) for p in self.partitions]
        maker = asyncio.create_task(self._make())
        done, _ = await asyncio.wait([maker, *tasks], return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
        for c in self.connections.values():
            c.close()

    async def _make(self):
        start, made, turn = time.monotonic(), 0, 0
        while not self.stopping.is_set():
            due = int((time.monotonic() - start) * self.rate)
            for _ in range(made, due):
                p = self.partitions[turn]
                turn = (turn + 1) % len(self.partitions)
                self.queues[p].append((self.created[p], time.monotonic()))
                self.created[p] += 1
                self.wake[p].set()
            made = max(made, due)
            await asyncio.sleep(0.001)
        for event in self.wake.values():
            event.set()

    async def _serve(self, p):
        queue = self.queues[p]
        while True:
            if not queue:
                if self.stopping.is_set():
                    return
                self.wake[p].clear()
                await self.wake[p].wait()
                continue
            chunk = [queue[i] for i in range(min(len(queue), 200))]
            values = [f"{self.prefix}{p}:{n}:".encode().ljust(self.size, b".") for n, _ in chunk]
            pid, epoch = self.producer
            data = batch.build(values, producer_id=pid, producer_epoch=epoch,
                               sequence=chunk[0][0] if self.idempotent else -1)
            base = await self._until_acked(p, raw.produce_body(self.topic, {p: data}, self.acks))
            now = time.monotonic()
            for i, (number, created) in enumerate(chunk):
                queue.popleft()
                self.acked[p].append(Ack(number, created, now, base + i if base >= 0 else -1))

    async def _until_acked(self, p, body):
        while True:
            leader, epoch = self.leaders.get(p, (-1, -1))
            try:
                connection = await self._connection(leader)
                answer = await asyncio.wait_for(connection.ask(raw.PRODUCE, self.version, body), self.timeout)
            except (OSError, EOFError, asyncio.TimeoutError) as e:
                self.errors[type(e).__name__] += 1
                if isinstance(e, (asyncio.TimeoutError, TimeoutError)) and leader in self.connections:
                    self.connections[leader].close()
                await self._new_leader(p, leader, epoch)
                continue
            produced, nodes = raw.produce_answer(answer)
            result = produced[p]
            if result.error in (0, 46):
                return result.base_offset
            self.errors[raw.ERRORS.get(result.error, result.error)] += 1
            if result.error in MOVED:
                self.nodes.update(nodes)
                if result.leader_hint and result.leader_hint[1] > epoch:
                    self.leaders[p] = result.leader_hint
                else:
                    await self._new_leader(p, leader, epoch)
            elif result.error in AGAIN:
                await asyncio.sleep(RETRY_PAUSE)
            else:
                raise raw.KafkaError(result.error, f"produce to {self.topic}-{p}")

    async def _connection(self, node):
        if node not in self.nodes:
            raise ConnectionError(f"no address of broker {node}")
        connection = self.connections.get(node)
        if connection is not None and connection.is_open:
            return connection
        if node not in self.opening:
            self.opening[node] = asyncio.create_task(
                raw.AsyncConnection.open(*self.nodes[node], timeout=self.connect_timeout))
            self.opening[node].add_done_callback(lambda _: self.opening.pop(node))
        self.connections[node] = await asyncio.shield(self.opening[node])
        return self.connections[node]

    async def _new_leader(self, p, leader, epoch):
        """One look at the metadata; a short pause when it shows nothing new."""
        await self._refresh()
        if self.leaders.get(p, (-1, -1)) == (leader, epoch) or self.leaders[p][0] < 0:
            await asyncio.sleep(RETRY_PAUSE)

    async def _refresh(self):
        if self.refreshing is None:
            self.refreshing = asyncio.create_task(self._ask_metadata())
            self.refreshing.add_done_callback(lambda _: setattr(self, "refreshing", None))
        await asyncio.shield(self.refreshing)

    async def _ask_metadata(self):
        for i, (host, port) in enumerate(list(self.addresses)):
            try:
                c = await raw.AsyncConnection.open(host, port, min(1, self.connect_timeout))
                try:
                    r = await asyncio.wait_for(c.ask(raw.METADATA, 12, raw.metadata_body([self.topic])),
                                               min(1, self.timeout))
                finally:
                    c.close()
            except (OSError, EOFError, asyncio.TimeoutError):
                continue
            m = raw.metadata_answer(r)
            self.nodes.update(m.brokers)
            for p in m.topics.get(self.topic, {}).values():
                if p.epoch >= self.leaders.get(p.index, (-1, -1))[1]:
                    self.leaders[p.index] = (p.leader, p.epoch)
            self.addresses = self.addresses[i:] + self.addresses[:i]
            if i == 0 and len(self.addresses) > 1:
                self.addresses.append(self.addresses.pop(0))
            return
        await asyncio.sleep(RETRY_PAUSE)
