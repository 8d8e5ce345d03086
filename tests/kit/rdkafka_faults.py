"""Faults of librdkafka that a test has to tell from a broker's."""
import re


def takes_wrong_epoch(reason, offset, epoch):
    """Whether a truncation that librdkafka reports is none. With each answer to a fetch it sets the epoch of its position
    to that of the answer's last batch, also when it has read those records long before and drops them (2.16, a late
    answer of a leader that was silent). Then it asks where an epoch ends that it has left, and takes the true answer
    for a truncation.

    reason: what it says; offset, epoch: where it really is, and of which epoch the last record was that it showed."""
    said = re.search(r"truncation detected at offset (\d+) \(leader epoch (\d+)\)", reason)
    return said is not None and int(said[1]) == offset and int(said[2]) < epoch


def locked_up(*stacks):
    """Main threads of librdkafka, by number, that waited for a lock in each of these, taken seconds apart: its main
    thread holds no lock for long, nor does any other of its threads. A consumer is then shown nothing ever more.

    Known of 2.16 when a broker goes out of the metadata while an OffsetForLeaderEpoch is out to it (issue 5476), and seen
    here: the main thread has the partition's lock and wants the handle's, the broker's thread the other way round.

    stacks: what gdb's `thread apply all bt` said."""
    waiting = []
    for text in stacks:
        threads = re.split(r"^Thread \d+ ", text, flags=re.MULTILINE)[1:]
        heads = [re.search(r'LWP (\d+)\) "rdk:main"', t.splitlines()[0]) for t in threads]
        waiting.append({int(head[1]) for head, t in zip(heads, threads)
                        if head and re.search(r" _*(pthread_(mutex_lock|rwlock_(wr|rd)lock))\b", t)})
    return sorted(set.intersection(*waiting))
