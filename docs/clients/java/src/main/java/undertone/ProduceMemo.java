package undertone;

import java.nio.file.Path;
import java.time.Instant;
import java.util.Properties;
import java.util.UUID;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.generic.GenericRecordBuilder;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Publishes one memo: SCHEMAS USER AUDIO_URI RECORDED_AT, the last in RFC 3339. Prints the memo's id. */
public final class ProduceMemo {
    public static void main(String[] arguments) throws Exception {
        Framing framing = new Framing(Path.of(arguments[0]), "memo_uploaded");
        String user = arguments[1];
        GenericRecord memo = new GenericRecordBuilder(framing.schema())
            .set("memo_id", UUID.randomUUID().toString()) // keep it: a memo that is sent again has the same id
            .set("user_id", user) // a pseudonym
            .set("recorded_at", Instant.parse(arguments[3]).toEpochMilli())
            .set("uploaded_at", Instant.now().toEpochMilli())
            .set("audio_uri", arguments[2])
            .build();
        Properties settings = new Properties();
        settings.put("bootstrap.servers", System.getenv("KAFKA_BOOTSTRAP"));
        settings.put("acks", "all");
        settings.put("key.serializer", StringSerializer.class.getName());
        settings.put("value.serializer", ByteArraySerializer.class.getName());
        try (KafkaProducer<String, byte[]> producer = new KafkaProducer<>(settings)) {
            byte[] value = framing.encode(memo, "memos.uploaded");
            producer.send(new ProducerRecord<>("memos.uploaded", user, value)).get(); // the key is the pseudonym
        }
        System.out.println(memo.get("memo_id"));
    }
}
