"""What clients saw, and whether one log per partition can explain it.

Clients note every write (when it was made, how it ended) and every record they were shown; faults note when they held.
judge() holds all of it against the logs that the leaders have in the end, and names each contradiction with the shortest
story that shows it: the writes, reads and faults that take part, in the order in which they happened. The kinds of
contradictions are those of the checkers that others have written for logs of this kind:

  lost         acknowledged, and not in the log
  moved        acknowledged at one offset, and found at another, or another record is there
  duplicate    one write of a producer that must not, twice in the log
  disorder     writes of one producer in another order than it made them
  phantom      in the log, and written by nobody, or refused for good
  dirty read   shown to a consumer, and not what the log has there
  aborted read shown to a consumer, and part of a transaction that was aborted
  went back    a consumer was shown an older record after a younger one without asking for it
  skipped      a consumer was shown what lies behind a record, and never that record
  fatal        a client that gave up: what it was told cannot be explained to its user
"""
from dataclasses import dataclass, field

ACKED, FAILED, UNKNOWN, ABORTED = "acked", "failed", "unknown", "aborted"    # aborted: with its transaction
STORIES_MAX = 5     # of one kind


def value_of(record):
    """A record's value as Write.value has it: without the padding, dots."""
    return record.rstrip(b".").decode()


@dataclass
class Write:
    producer: str
    number: int             # grows with each write of this producer to this partition
    partition: int
    made: float
    ended: float = None     # None: no answer yet
    outcome: str = UNKNOWN
    offset: int = -1

    @property
    def value(self):
        return f"{self.producer}:{self.partition}:{self.number}:"

    def __str__(self):
        end = f"{self.outcome} at {self.ended:.3f}" if self.ended is not None else "never answered"
        return f"write {self.value} made, {end}" + (f", offset {self.offset}" if self.offset >= 0 else "")


@dataclass
class Read:
    consumer: str
    partition: int
    offset: int
    value: str
    at: float

    def __str__(self):
        return f"{self.consumer} is shown {self.value} at offset {self.offset}"


@dataclass
class Fault:
    what: str
    began: float
    ended: float = None

    def __str__(self):
        return f"{self.what}" + (f", until {self.ended:.3f}" if self.ended is not None else "")


@dataclass
class Contradiction:
    kind: str
    partition: int
    text: str
    takes_part: list = field(default_factory=list)     # writes and reads

    def story(self, faults):
        """Lines in the order of time, with the faults that held meanwhile."""
        events = [(e.made if isinstance(e, Write) else e.at, str(e)) for e in self.takes_part]
        if events:
            since = min(at for at, _ in events)
            until = max([at for at, _ in events] + [e.ended for e in self.takes_part
                                                    if isinstance(e, Write) and e.ended is not None])
            events += [(f.began, str(f)) for f in faults
                       if f.began <= until + 1 and (f.ended is None or f.ended >= since - 1)]
        return [f"{self.kind}: partition {self.partition}: {self.text}"] + \
               [f"    {at:10.3f}  {what}" for at, what in sorted(events)]


class History:
    """Each client appends to its own lists; judge() when all have ended."""

    def __init__(self):
        self.writes, self.reads, self.faults, self.fatal = {}, {}, [], []

    def writer(self, producer):
        """The list that this producer's writes go to, in the order in which it makes them."""
        return self.writes.setdefault(producer, [])

    def reader(self, consumer):
        """The list that takes what this consumer is shown, in that order."""
        return self.reads.setdefault(consumer, [])

    def count(self, outcome):
        return sum(w.outcome == outcome for ws in self.writes.values() for w in ws)

    def judge(self, logs, exactly_once):
        """logs: {partition: [(offset, value)]}, aborted records included; exactly_once: producers that promise neither
        twice nor out of order. Consumers are taken to read what is committed."""
        found = [Contradiction("fatal", -1, text) for text in self.fatal]
        places = {}
        for partition, log in logs.items():
            for offset, value in log:
                places.setdefault(value, []).append((partition, offset))
        for producer, writes in self.writes.items():
            found += judge_writes(writes, places, producer in exactly_once)
        found += judge_phantoms(self.writes, logs)
        aborted = {w.value: w for ws in self.writes.values() for w in ws if w.outcome == ABORTED}
        shown = {p: [(offset, value) for offset, value in log if value not in aborted] for p, log in logs.items()}
        for reads in self.reads.values():
            found += judge_reads(reads, shown, aborted)
        return found

    def verdict(self, found):
        """Text: one line when all is well, else the stories."""
        total = sum(len(ws) for ws in self.writes.values())
        shown = sum(len(rs) for rs in self.reads.values())
        lines = [f"{self.count(ACKED)} of {total} writes acknowledged, {self.count(FAILED)} refused, "
                 f"{self.count(UNKNOWN)} unknown; {shown} reads; {len(self.faults)} faults; "
                 f"{len(found)} contradictions"]
        kinds = {}
        for one in found:
            kinds.setdefault(one.kind, []).append(one)
        for kind, ones in kinds.items():
            for one in sorted(ones, key=lambda c: len(c.story(self.faults)))[:STORIES_MAX]:
                lines += one.story(self.faults)
            if len(ones) > STORIES_MAX:
                lines.append(f"{kind}: {len(ones) - STORIES_MAX} more")
        return "\n".join(lines)


def judge_writes(writes, places, exactly_once):
    found, last = [], {}
    for write in writes:
        at = [offset for partition, offset in places.get(write.value, []) if partition == write.partition]
        if write.outcome == ACKED:
            if not at:
                found.append(Contradiction("lost", write.partition, f"{write.value} was acknowledged", [write]))
            elif write.offset >= 0 and write.offset not in at:
                found.append(Contradiction("moved", write.partition,
                                           f"{write.value} was acknowledged at {write.offset} and is at {at}", [write]))
        if not exactly_once or not at:
            continue
        if len(at) > 1:
            found.append(Contradiction("duplicate", write.partition, f"{write.value} is at {at}", [write]))
        before = last.get(write.partition)
        if before is not None and min(at) < before[0]:
            found.append(Contradiction("disorder", write.partition,
                                       f"{write.value} is at {min(at)}, {before[1].value} at {before[0]}",
                                       [before[1], write]))
        if before is None or min(at) > before[0]:
            last[write.partition] = (min(at), write)
    return found


def judge_phantoms(all_writes, logs):
    known = {w.value: w for ws in all_writes.values() for w in ws}
    found = []
    for partition, log in logs.items():
        for offset, value in log:
            write = known.get(value)
            if write is None:
                found.append(Contradiction("phantom", partition, f"{value} at {offset} was written by nobody"))
            elif write.outcome == FAILED:
                found.append(Contradiction("phantom", partition, f"{value} at {offset} was refused", [write]))
    return found


def judge_reads(reads, logs, aborted):
    """logs: what is to be shown; aborted: {value: write}."""
    found, last = [], {}
    contents = {partition: dict(log) for partition, log in logs.items()}
    order = {partition: {offset: i for i, (offset, _) in enumerate(log)} for partition, log in logs.items()}
    for read in reads:
        log, before = contents.get(read.partition, {}), last.get(read.partition)
        if read.value in aborted:
            found.append(Contradiction("aborted read", read.partition, f"{read.consumer} was shown {read.value}, whose "
                                       "transaction was aborted", [aborted[read.value], read]))
            continue
        if log.get(read.offset) != read.value:
            found.append(Contradiction("dirty read", read.partition, f"{read.consumer} was shown {read.value} at "
                                       f"{read.offset}, where there is {log.get(read.offset)}", [read]))
        if before is not None:
            places = order.get(read.partition, {})
            step = places.get(read.offset, -1) - places.get(before.offset, -2)
            if read.offset <= before.offset:
                found.append(Contradiction("went back", read.partition, f"{read.consumer} was at {before.offset} and is "
                                           f"shown {read.offset}", [before, read]))
            elif read.offset in places and before.offset in places and step != 1:
                found.append(Contradiction("skipped", read.partition, f"{read.consumer} was never shown the "
                                           f"{step - 1} records between {before.offset} and {read.offset}",
                                           [before, read]))
        last[read.partition] = read
    return found
