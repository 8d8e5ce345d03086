import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.TaskMetadata;
import org.apache.kafka.streams.ThreadMetadata;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.JoinWindows;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.StreamJoined;

/**
 * An instance of a Kafka Streams application: BOOTSTRAP APP STATE_DIR WINDOW_MS.
 *
 * <p>It counts the words of APP.lines into APP.counts, by way of a repartition topic and a store with a changelog, and
 * joins APP.left with APP.right by key into APP.pairs when their times are at most WINDOW_MS apart. Prints
 * {"owns":[tasks],"standby":[tasks]} whenever that changes. See test_streams.py.
 */
public final class Streams {
    private static Topology topology(String app, long windowMs) {
        StreamsBuilder builder = new StreamsBuilder();
        KStream<String, String> lines = builder.stream(app + ".lines");
        lines.flatMapValues(line -> Arrays.asList(line.split(" ")))
            .groupBy((key, word) -> word, Grouped.as("words"))
            .count(Materialized.as("counts"))
            .toStream()
            .mapValues(String::valueOf)
            .to(app + ".counts");
        KStream<String, String> left = builder.stream(app + ".left");
        KStream<String, String> right = builder.stream(app + ".right");
        left.join(right, (l, r) -> l + "+" + r,
                JoinWindows.ofTimeDifferenceAndGrace(Duration.ofMillis(windowMs), Duration.ofHours(1)),
                StreamJoined.<String, String, String>as("pairs").withName("pairs"))
            .to(app + ".pairs");
        return builder.build();
    }

    private static String quoted(Set<String> tasks) {
        return tasks.stream().map(t -> "\"" + t + "\"").collect(Collectors.joining(",", "[", "]"));
    }

    private static String tasks(KafkaStreams streams) {
        Set<String> active = new TreeSet<>();
        Set<String> standby = new TreeSet<>();
        for (ThreadMetadata thread : streams.metadataForLocalThreads()) {
            for (TaskMetadata task : thread.activeTasks()) {
                active.add(task.taskId().toString());
            }
            for (TaskMetadata task : thread.standbyTasks()) {
                standby.add(task.taskId().toString());
            }
        }
        return "{\"owns\":" + quoted(active) + ",\"standby\":" + quoted(standby) + "}";
    }

    public static void main(String[] args) throws Exception {
        Properties p = new Properties();
        p.put("bootstrap.servers", args[0]);
        p.put("application.id", args[1]);
        p.put("state.dir", Path.of(args[2]).toAbsolutePath().toString());
        p.put("processing.guarantee", StreamsConfig.AT_LEAST_ONCE);
        p.put("default.key.serde", Serdes.StringSerde.class.getName());
        p.put("default.value.serde", Serdes.StringSerde.class.getName());
        p.put("replication.factor", "3");
        p.put("num.stream.threads", "2");
        p.put("num.standby.replicas", "1");
        p.put("commit.interval.ms", "200");
        p.put("repartition.purge.interval.ms", "1000");
        p.put("auto.offset.reset", "earliest");
        p.put("session.timeout.ms", "6000");
        p.put("heartbeat.interval.ms", "500");

        KafkaStreams streams = new KafkaStreams(topology(args[1], Long.parseLong(args[3])), p);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(20))));
        streams.start();
        String said = "";
        while (streams.state() != KafkaStreams.State.ERROR) {
            String now = tasks(streams);
            if (!now.equals(said)) {
                System.out.println(now);
                said = now;
            }
            Thread.sleep(50);
        }
        System.exit(1);
    }
}
