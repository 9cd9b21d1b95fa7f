// ProducerExample BOOTSTRAP [EVENTS ITEMS]: announces three items and lets two users buy. SCHEMAS: folder of *.avsc.
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Map;
import java.util.UUID;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecordBuilder;
import org.apache.avro.message.BinaryMessageEncoder;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;

public class ProducerExample {
  static Schema schema(String name) throws Exception {
    String folder = System.getenv().getOrDefault("SCHEMAS", "/usr/share/freshet/schemas");
    return new Schema.Parser().parse(Path.of(folder, name + ".avsc").toFile());
  }

  /** Avro's single-object encoding: C3 01, the schema's fingerprint, the record. Fields left out have their default. */
  static byte[] encode(Schema schema, Map<String, Object> fields) throws Exception {
    GenericRecordBuilder record = new GenericRecordBuilder(schema);
    fields.forEach(record::set);
    ByteBuffer bytes = new BinaryMessageEncoder<GenericData.Record>(GenericData.get(), schema).encode(record.build());
    byte[] value = new byte[bytes.remaining()];
    bytes.get(value);
    return value;
  }

  public static void main(String[] arguments) throws Exception {
    String events = arguments.length > 1 ? arguments[1] : "events";
    String items = arguments.length > 2 ? arguments[2] : "items";
    Schema item = schema("Item"), purchase = schema("Purchase");
    Map<String, Object> settings = Map.of("bootstrap.servers", arguments[0], "enable.idempotence", true);
    try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new ByteArraySerializer())) {
      for (String id : new String[] {"tea", "cup", "pot"}) {
        byte[] value = encode(item, Map.of("item_id", id, "title", "A " + id));
        producer.send(new ProducerRecord<>(items, id, value)).get();
      }
      for (String[] bought : new String[][] {{"java-1", "tea"}, {"java-1", "pot"}, {"java-2", "tea"}}) {
        // A retry has the same event_id: it is learned once.
        Map<String, Object> event = Map.of("event_id", UUID.randomUUID().toString(), "user_id", bought[0], "item_id",
            bought[1], "occurred_at", System.currentTimeMillis(), "quantity", 1, "price", 2.5);
        producer.send(new ProducerRecord<>(events, bought[0], encode(purchase, event))).get();
      }
    }
  }
}
