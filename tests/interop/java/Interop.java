import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * The common round of tests/interop for the Java client: BOOTSTRAP PREFIX CODECS COUNT BASE_TIME.
 * See test_clients.py for what is expected on standard output.
 */
public final class Interop {
    private static final int PARTITIONS = 3;
    private static final long SECONDS = 30;

    private static String json(byte[] text) {
        return text == null ? "null" : "\"" + new String(text, StandardCharsets.UTF_8) + "\"";
    }

    public static void main(String[] args) throws Exception {
        Properties common = new Properties();
        common.put("bootstrap.servers", args[0]);
        int count = Integer.parseInt(args[3]);
        long base = Long.parseLong(args[4]);
        try (Admin admin = Admin.create(common)) {
            int brokers = admin.describeCluster().nodes().get().size();
            System.out.println("{\"brokers\":" + brokers + "}");
            for (String codec : args[2].split(",")) {
                String topic = args[1] + "-" + codec;
                admin.createTopics(List.of(new NewTopic(topic, PARTITIONS, (short) 3))).all().get();
                produce(common, topic, codec, count, base);
                consume(common, topic, count, base);
                listed(admin, topic, base);
            }
        }
    }

    private static void produce(Properties common, String topic, String codec, int count, long base)
            throws Exception {
        Properties p = new Properties();
        p.putAll(common);
        p.put("compression.type", codec);
        p.put("linger.ms", "20");
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<String, String> producer =
                new KafkaProducer<>(p, new StringSerializer(), new StringSerializer())) {
            for (int i = 0; i < count; i++) {
                ProducerRecord<String, String> r = new ProducerRecord<>(
                    topic, i % PARTITIONS, base + i * 10L, "k" + i, "value-" + i + "-" + "x".repeat(80));
                r.headers().add("h", ("" + i).getBytes(StandardCharsets.UTF_8));
                sent.add(producer.send(r));
            }
            producer.flush();
            for (int i = 0; i < count; i++) {
                long offset = sent.get(i).get().offset();
                if (offset != i / PARTITIONS) {
                    throw new IllegalStateException("record " + i + " got offset " + offset);
                }
            }
        }
    }

    private static void consume(Properties common, String topic, int count, long base) {
        Properties p = new Properties();
        p.putAll(common);
        p.put("enable.auto.commit", "false");
        try (KafkaConsumer<byte[], byte[]> consumer =
                new KafkaConsumer<>(p, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            List<TopicPartition> all = new ArrayList<>();
            Map<TopicPartition, Long> times = new HashMap<>();
            for (int i = 0; i < PARTITIONS; i++) {
                all.add(new TopicPartition(topic, i));
                times.put(all.get(i), base + 305);
            }
            consumer.assign(all);
            consumer.seekToBeginning(all);
            long end = System.nanoTime() + SECONDS * 1_000_000_000L;
            for (int n = 0; n < count && System.nanoTime() < end;) {
                for (ConsumerRecord<byte[], byte[]> r : consumer.poll(Duration.ofMillis(500))) {
                    n++;
                    System.out.println("{\"topic\":\"" + topic + "\",\"p\":" + r.partition() + ",\"o\":" + r.offset()
                        + ",\"t\":" + r.timestamp() + ",\"k\":" + json(r.key()) + ",\"v\":" + json(r.value())
                        + ",\"h\":" + json(r.headers().lastHeader("h").value()) + "}");
                }
            }
            Map<TopicPartition, OffsetAndTimestamp> found = consumer.offsetsForTimes(times);
            for (TopicPartition tp : all) {
                System.out.println("{\"topic\":\"" + topic + "\",\"p\":" + tp.partition() + ",\"at\":"
                    + found.get(tp).offset() + ",\"begin\":" + consumer.beginningOffsets(all).get(tp)
                    + ",\"end\":" + consumer.endOffsets(all).get(tp) + "}");
            }
        }
    }

    private static void listed(Admin admin, String topic, long base) throws Exception {
        Map<Integer, Long> at = new TreeMap<>();
        for (int i = 0; i < PARTITIONS; i++) {
            TopicPartition tp = new TopicPartition(topic, i);
            at.put(i, admin.listOffsets(Map.of(tp, OffsetSpec.forTimestamp(base + 305)))
                .partitionResult(tp).get().offset());
            long newest = admin.listOffsets(Map.of(tp, OffsetSpec.maxTimestamp()))
                .partitionResult(tp).get().offset();
            long end = admin.listOffsets(Map.of(tp, OffsetSpec.latest())).partitionResult(tp).get().offset();
            if (newest != end - 1) {
                throw new IllegalStateException("max timestamp at " + newest + ", end " + end);
            }
            System.out.println("{\"topic\":\"" + topic + "\",\"p\":" + i + ",\"at\":" + at.get(i) + "}");
        }
        admin.describeTopics(Arrays.asList(topic)).allTopicNames().get();
    }
}
