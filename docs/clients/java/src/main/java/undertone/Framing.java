package undertone;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.avro.message.BinaryMessageDecoder;
import org.apache.avro.message.BinaryMessageEncoder;

/**
 * The two framings of Undertone's values: Avro single-object encoding, and with SCHEMA_REGISTRY_URL the registry's.
 * One object is for one record type; it is not thread-safe.
 */
final class Framing {
    private final Schema schema;
    private final BinaryMessageEncoder<GenericRecord> encoder;
    private final BinaryMessageDecoder<GenericRecord> decoder;
    private final String registry = System.getenv("SCHEMA_REGISTRY_URL");
    private final HttpClient http = HttpClient.newHttpClient();
    private final Map<Integer, Schema> written = new HashMap<>();
    private final Map<String, Integer> ids = new HashMap<>();

    /** schemas: the folder `schemas/avro`; name: the record's file in it, such as `risk_alert`. */
    Framing(Path schemas, String name) throws IOException {
        schema = new Schema.Parser().parse(schemas.resolve(name + ".avsc").toFile());
        encoder = new BinaryMessageEncoder<>(GenericData.get(), schema);
        decoder = new BinaryMessageDecoder<>(GenericData.get(), schema);
        try (DirectoryStream<Path> released = Files.newDirectoryStream(schemas.resolve("history"), name + ".*.avsc")) {
            for (Path each : released) {
                decoder.addSchema(new Schema.Parser().parse(each.toFile()));
            }
        }
    }

    Schema schema() {
        return schema;
    }

    /** The value of a record on `topic`. */
    byte[] encode(GenericRecord record, String topic) throws IOException, InterruptedException {
        if (registry == null) {
            ByteBuffer value = encoder.encode(record);
            byte[] bytes = new byte[value.remaining()];
            value.get(bytes);
            return bytes;
        }
        ByteArrayOutputStream value = new ByteArrayOutputStream();
        value.write(ByteBuffer.allocate(5).put((byte) 0).putInt(idOf(topic + "-value")).array());
        BinaryEncoder body = EncoderFactory.get().binaryEncoder(value, null);
        new GenericDatumWriter<GenericRecord>(schema).write(record, body);
        body.flush();
        return value.toByteArray();
    }

    /** The record in a value of either framing, as the newest schema has it. */
    GenericRecord decode(byte[] value) throws IOException, InterruptedException {
        if (value[0] != 0) {
            return decoder.decode(value);
        }
        Schema writer = schemaOf(ByteBuffer.wrap(value, 1, 4).getInt());
        GenericDatumReader<GenericRecord> reader = new GenericDatumReader<>(writer, schema);
        return reader.read(null, DecoderFactory.get().binaryDecoder(value, 5, value.length - 5, null));
    }

    private int idOf(String subject) throws IOException, InterruptedException {
        if (!ids.containsKey(subject)) {
            byte[] body = new ObjectMapper().writeValueAsBytes(Map.of("schema", schema.toString()));
            HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(registry + "/subjects/" + subject + "/versions"))
                .header("Content-Type", "application/vnd.schemaregistry.v1+json")
                .POST(HttpRequest.BodyPublishers.ofByteArray(body));
            ids.put(subject, (Integer) answer(request).get("id"));
        }
        return ids.get(subject);
    }

    private Schema schemaOf(int id) throws IOException, InterruptedException {
        if (!written.containsKey(id)) {
            HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(registry + "/schemas/ids/" + id)).GET();
            written.put(id, new Schema.Parser().parse((String) answer(request).get("schema")));
        }
        return written.get(id);
    }

    private Map<?, ?> answer(HttpRequest.Builder request) throws IOException, InterruptedException {
        HttpResponse<byte[]> response = http.send(request.build(), HttpResponse.BodyHandlers.ofByteArray());
        if (response.statusCode() != 200) {
            throw new IOException("the schema registry answers " + response.statusCode());
        }
        return new ObjectMapper().readValue(response.body(), Map.class);
    }
}
