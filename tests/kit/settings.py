"""Settings changed at run time, key by key (IncrementalAlterConfigs), by confluent-kafka or by Kafka's own bytes.

confluent-kafka is in build/venv only, which benchmarks do without: so this speaks the protocol itself.
"""
from tests.kit import ops, raw

TOPIC, BROKER = 2, 4
SET, DELETE = 0, 1


def _body(kind, name, changes):
    w = raw.Writer().carray(1).put("b", kind).cstring(str(name)).carray(len(changes))
    for key, value in changes.items():
        w.cstring(key).put("b", DELETE if value is None else SET).cstring(value).tags()
    return w.tags().put("b", 0).tags().out


def _alter(c, kind, name, changes):
    def resource():
        code, why = r.get("h"), r.cstring()
        r.get("b"), r.cstring(), r.tags()
        return code, why
    r = c.ask(raw.INCREMENTAL_ALTER_CONFIGS, 1, _body(kind, name, changes))
    r.get("i")
    for code, why in r.carray(resource):
        if code:
            raise raw.KafkaError(code, f"{name}: {why}")


def alter_topic(cluster, topic, changes):
    """changes: key -> value, None to take it back."""
    ops.ask_controller(cluster, lambda c: _alter(c, TOPIC, topic, changes))


def alter_broker_by(c, broker, changes):
    """Asked on this connection; broker "": of all of them."""
    _alter(c, BROKER, broker, changes)


def alter_broker(cluster, broker, changes):
    """As alter_topic; asked of the broker itself, as Kafka wants it."""
    with raw.Connection(*cluster.address(str(broker))) as c:
        _alter(c, BROKER, broker, changes)
