// ReaderExample BOOTSTRAP [RECOMMENDATIONS]: keeps the newest list of each user, prints changes. SCHEMAS: folder of *.avsc.
import java.io.File;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.message.BinaryMessageDecoder;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

public class ReaderExample {
  record Held(int partition, long version, List<String> items) {}

  public static void main(String[] arguments) throws Exception {
    String topic = arguments.length > 1 ? arguments[1] : "recommendations";
    String folder = System.getenv().getOrDefault("SCHEMAS", "/usr/share/freshet/schemas");
    Schema ours = new Schema.Parser().parse(Path.of(folder, "RecommendationList.avsc").toFile());
    var decoder = new BinaryMessageDecoder<GenericRecord>(GenericData.get(), ours);
    for (File former : Path.of(folder, "former").toFile().listFiles((d, n) -> n.startsWith("RecommendationList-")))
      decoder.addSchema(new Schema.Parser().parse(former));
    Map<String, Held> newest = new HashMap<>();
    Map<String, Object> settings = Map.of("bootstrap.servers", arguments[0], "enable.auto.commit", false);
    try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new ByteArrayDeserializer())) {
      // The topic is the table: it is read from its beginning.
      var partitions = consumer.partitionsFor(topic).stream().map(p -> new TopicPartition(topic, p.partition())).toList();
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      while (true)
        for (var record : consumer.poll(Duration.ofSeconds(1))) {
          String user = record.key();
          if (record.value() == null) { // the user was erased
            if (newest.remove(user) != null) System.out.println(user + ": erased");
            continue;
          }
          GenericRecord list = decoder.decode(record.value());
          Held held = newest.getOrDefault(user, new Held(-1, -1, null));
          int partition = (Integer) list.get("version_partition");
          long version = (Long) list.get("version_offset");
          // An older list, whenever it arrives. Offsets of two partitions cannot be compared: there the later record counts.
          if (partition == held.partition() && version < held.version()) continue;
          List<String> items = ((List<?>) list.get("items")).stream()
              .map(entry -> ((GenericRecord) entry).get("item_id").toString()).toList();
          newest.put(user, new Held(partition, version, items));
          if (!items.equals(held.items())) System.out.println(user + ": " + String.join(" ", items));
        }
    }
  }
}
