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
