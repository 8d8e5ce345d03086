"""What tests do with a cluster over and over: topics, full ISRs, reading everything back."""
from tests.kit import batch, raw, raw_groups
from tests.kit.cluster import wait_until


def create_topic(cluster, name, partitions=3, replication=3, configs=None, assignments=None):
    """Made, and known with its leaders to every broker that is up."""
    ask_controller(cluster, lambda c: c.create_topic(name, partitions, replication, configs, assignments))
    wait_leaders(cluster, name, len(assignments) if assignments else partitions)


def ask_controller(cluster, question, timeout=30):
    """question(connection) at the broker that Metadata calls the controller (any of ours; the one of Kafka)."""
    def once():
        m = metadata(cluster, [])
        if m.controller_id not in m.brokers:
            raise ValueError("no controller")
        with raw.Connection(*m.brokers[m.controller_id]) as c:
            try:
                return question(c)
            except raw.KafkaError as e:
                if e.code == 41:
                    raise ValueError("not the controller") from e
                raise _Final(e) from e
    try:
        return wait_until(lambda: (once(),), timeout, "an answer of the controller")[0]
    except _Final as e:
        raise e.args[0] from None


class _Final(Exception):
    """An answer that asking again will not change."""


def wait_leaders(cluster, name, partitions, timeout=30):
    def known():
        for b in cluster.brokers:
            if cluster.is_up(b):
                with raw.Connection(*cluster.address(b)) as c:
                    parts = c.metadata([name]).topics[name]
                    if len(parts) != partitions or any(p.leader < 0 for p in parts.values()):
                        return False
        return True
    wait_until(known, timeout, f"{name} has leaders everywhere")


def metadata(cluster, topics=None):
    return raw.ask_any(cluster.addresses, lambda c: c.metadata(topics))


def partitions_of(cluster, topic):
    return metadata(cluster, [topic]).topics[topic]


def wait_full_isr(cluster, timeout=90):
    """Every broker says of every partition that all replicas are in sync and one leads."""
    def full():
        for b in cluster.brokers:
            with raw.Connection(*cluster.address(b)) as c:
                topics = c.metadata(None).topics
            short = [(name, p.index, p.leader, p.isr) for name, parts in topics.items() for p in parts.values()
                     if sorted(p.isr) != sorted(p.replicas) or p.leader < 0]
            if short:
                raise ValueError(f"broker {b} shows not in sync: {short[:5]} of {len(short)}")
        return True
    wait_until(full, timeout, "full ISR everywhere", every=0.2)


def ask_leader(cluster, topic, partition, question, timeout=30):
    """question(connection) at the partition's leader."""
    def once():
        m = metadata(cluster, [topic])
        with raw.Connection(*m.brokers[m.topics[topic][partition].leader]) as c:
            return question(c)
    return wait_until(lambda: (once(),), timeout, f"an answer of {topic}-{partition}'s leader")[0]


def end_offset(cluster, topic, partition):
    def ask(c):
        error, _, offset = c.list_offsets(topic, {partition: raw.LATEST})[partition]
        if error:
            raise raw.KafkaError(error, f"end of {topic}-{partition}")
        return offset
    return ask_leader(cluster, topic, partition, ask)


def read_partition(cluster, topic, partition, check_crc=True, start=0):
    """All records from start up to the end that its leader names now."""
    end, offset, records = end_offset(cluster, topic, partition), start, []

    def ask(c):
        nonlocal offset
        while offset < end:
            got = c.fetch(topic, {partition: offset})[partition]
            if got.error:
                raise raw.KafkaError(got.error, f"fetch of {topic}-{partition} at {offset}")
            for b in batch.parse(got.data, check_crc):
                records.extend(r for r in b.records() if r.offset >= offset)
                offset = b.last_offset + 1
        return True
    ask_leader(cluster, topic, partition, ask)
    return records


def assert_dense(records, where=""):
    for expected, r in enumerate(records, records[0].offset if records else 0):
        assert r.offset == expected, f"{where}: offset {r.offset} where {expected} should be"


def replica_dir(cluster, broker, topic, partition):
    """Where a replica lies, whichever of its broker's log directories that is."""
    found = list(cluster.data(str(broker)).parent.glob(f"*/{topic}-{partition}"))
    if len(found) != 1:
        raise ValueError(f"{topic}-{partition} of broker {broker} is in {found}")
    return found[0]


def assert_replicas_identical(cluster, topic, timeout=60):
    """The log files of all replicas of every partition hold the same batches up to the high watermark."""
    for index, p in partitions_of(cluster, topic).items():
        hw = end_offset(cluster, topic, index)
        dirs = [replica_dir(cluster, b, topic, index) for b in p.replicas]

        def same():
            difference = batch.replica_difference(dirs, hw)
            if difference:
                raise ValueError(difference)
            return True
        wait_until(same, timeout, f"identical replicas of {topic}-{index} below {hw}", every=0.2)


def assert_epochs_are_told(cluster, topic):
    """Each partition's leader says of every leader epoch where its records end in its log, and they never go back."""
    for index in partitions_of(cluster, topic):
        def ask(c, index=index):
            ends = batch.epoch_ends(batch.partition_batches(replica_dir(cluster, str(leader), topic, index)))
            for epoch, end in ends.items():
                error, _, _, told = c.epoch_end(topic, index, epoch)
                assert error == 0, f"{topic}-{index}: epoch {epoch}: error {error}"
                assert told == end, f"{topic}-{index}: epoch {epoch} ends at {end}, broker {leader} says at {told}"
            return True
        leader = partitions_of(cluster, topic)[index].leader
        ask_leader(cluster, topic, index, ask)


def coordinator(cluster, group, timeout=30):
    """The broker that coordinates the group."""
    def ask():
        error, node, _, _ = raw.ask_any(cluster.addresses, lambda c: raw_groups.find_coordinator(c, group))[group]
        if error:
            raise raw.KafkaError(error, f"coordinator of {group}")
        return str(node)
    return wait_until(ask, timeout, f"a coordinator of {group}")
