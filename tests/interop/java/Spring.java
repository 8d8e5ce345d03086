import java.util.Collection;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.CountDownLatch;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.kafka.annotation.EnableKafka;
import org.springframework.kafka.annotation.KafkaListener;
import org.springframework.kafka.config.ConcurrentKafkaListenerContainerFactory;
import org.springframework.kafka.core.DefaultKafkaConsumerFactory;
import org.springframework.kafka.core.DefaultKafkaProducerFactory;
import org.springframework.kafka.core.KafkaTemplate;
import org.springframework.kafka.listener.ConsumerAwareRebalanceListener;
import org.springframework.kafka.listener.DeadLetterPublishingRecoverer;
import org.springframework.kafka.listener.DefaultErrorHandler;
import org.springframework.util.backoff.FixedBackOff;

/**
 * A Spring application that listens to a topic and gives up on records that say poison: BOOTSTRAP GROUP TOPIC TRIES.
 *
 * <p>A poisoned record is tried TRIES times, then it goes to TOPIC-dlt (the partition of the same number). Prints
 * {"owns":[partitions]} and {"p","o","v"} for each record that the listener is given. See test_spring.py.
 */
@Configuration
@EnableKafka
public class Spring {
    private static final TreeSet<Integer> OWNED = new TreeSet<>();

    /** What the listener makes of poison. */
    public static final class Poisoned extends RuntimeException {
        private static final long serialVersionUID = 1;

        Poisoned(String value) {
            super("cannot stomach " + value);
        }
    }

    private static final ConsumerAwareRebalanceListener REBALANCES = new ConsumerAwareRebalanceListener() {
        @Override
        public void onPartitionsAssigned(Consumer<?, ?> consumer, Collection<TopicPartition> assigned) {
            own(assigned, true);
        }

        @Override
        public void onPartitionsRevokedAfterCommit(Consumer<?, ?> consumer, Collection<TopicPartition> revoked) {
            own(revoked, false);
        }

        @Override
        public void onPartitionsLost(Consumer<?, ?> consumer, Collection<TopicPartition> lost) {
            own(lost, false);
        }
    };

    private static void own(Collection<TopicPartition> changed, boolean mine) {
        synchronized (OWNED) {
            for (TopicPartition tp : changed) {
                if (mine) {
                    OWNED.add(tp.partition());
                } else {
                    OWNED.remove(tp.partition());
                }
            }
            System.out.println("{\"owns\":["
                + OWNED.stream().map(String::valueOf).collect(Collectors.joining(",")) + "]}");
        }
    }

    @Bean
    KafkaTemplate<String, String> template() {
        return new KafkaTemplate<>(new DefaultKafkaProducerFactory<>(Map.of(
            "bootstrap.servers", System.getProperty("bootstrap"), "acks", "all"),
            new StringSerializer(), new StringSerializer()));
    }

    @Bean
    ConcurrentKafkaListenerContainerFactory<String, String> kafkaListenerContainerFactory(
            KafkaTemplate<String, String> template) {
        ConcurrentKafkaListenerContainerFactory<String, String> factory =
            new ConcurrentKafkaListenerContainerFactory<>();
        factory.setConsumerFactory(new DefaultKafkaConsumerFactory<>(Map.of(
            "bootstrap.servers", System.getProperty("bootstrap"), "auto.offset.reset", "earliest",
            "session.timeout.ms", "6000", "heartbeat.interval.ms", "500"),
            new StringDeserializer(), new StringDeserializer()));
        factory.setConcurrency(2);
        factory.getContainerProperties().setConsumerRebalanceListener(REBALANCES);
        factory.setCommonErrorHandler(new DefaultErrorHandler(
            new DeadLetterPublishingRecoverer(template), new FixedBackOff(20, Long.getLong("tries") - 1)));
        return factory;
    }

    @KafkaListener(groupId = "${group}", topics = "${topic}")
    void listen(ConsumerRecord<String, String> r) {
        System.out.println("{\"p\":" + r.partition() + ",\"o\":" + r.offset() + ",\"v\":\"" + r.value() + "\"}");
        if (r.value().startsWith("poison")) {
            throw new Poisoned(r.value());
        }
    }

    public static void main(String[] args) throws Exception {
        System.setProperty("bootstrap", args[0]);
        System.setProperty("group", args[1]);
        System.setProperty("topic", args[2]);
        System.setProperty("tries", args[3]);
        AnnotationConfigApplicationContext context = new AnnotationConfigApplicationContext(Spring.class);
        context.registerShutdownHook();
        new CountDownLatch(1).await();
    }
}
