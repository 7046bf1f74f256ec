package undertone;

import java.nio.file.Path;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Properties;
import java.util.Set;
import org.apache.avro.generic.GenericRecord;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Prints every alert once, as JSON lines: SCHEMAS GROUP. Runs until it is ended. */
public final class SubscribeAlerts {
    public static void main(String[] arguments) throws Exception {
        Framing framing = new Framing(Path.of(arguments[0]), "risk_alert");
        Properties settings = new Properties();
        settings.put("bootstrap.servers", System.getenv("KAFKA_BOOTSTRAP"));
        settings.put("group.id", arguments[1]);
        settings.put("auto.offset.reset", "earliest");
        settings.put("enable.auto.commit", "false");
        settings.put("key.deserializer", ByteArrayDeserializer.class.getName());
        settings.put("value.deserializer", ByteArrayDeserializer.class.getName());
        Set<String> seen = new HashSet<>(); // use a database if it must survive a restart
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings)) {
            consumer.subscribe(List.of("risk.alerts"));
            while (true) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofSeconds(1))) {
                    GenericRecord alert = framing.decode(record.value());
                    if (seen.add(alert.get("alert_id").toString())) {
                        System.out.println(alert); // notify your recipients
                    }
                }
                consumer.commitSync(); // only after the notifications
            }
        }
    }
}
