"""A consumer of confluent-kafka that says where it stands: BOOTSTRAP TOPIC RACK. Prints the offset of each record."""
import sys

from confluent_kafka import Consumer, TopicPartition

consumer = Consumer({"bootstrap.servers": sys.argv[1], "group.id": "rack", "client.rack": sys.argv[3],
                     "enable.auto.commit": False})
consumer.assign([TopicPartition(sys.argv[2], 0, 0)])
while True:
    m = consumer.poll(1)
    if m is not None and m.error() is None:
        print(m.offset(), flush=True)
