// Prints what Kafka's own Java client reads of a topic, one record a line, as a subscriber in Java would get it:
//   java -cp "<jars>/*" Subscriber.java <bootstrap servers> <topic> <how many records>
// Fields are separated by tabs: partition, the partition that the Java client would choose, key, value, headers.

import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.StringJoiner;

import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.utils.Utils;

public class Subscriber {
    public static void main(String[] arguments) {
        Map<String, Object> settings = Map.of(
            "bootstrap.servers", arguments[0],
            "group.id", "a-java-subscriber",
            "auto.offset.reset", "earliest",
            "key.deserializer", ByteArrayDeserializer.class,
            "value.deserializer", ByteArrayDeserializer.class);
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        int left = Integer.parseInt(arguments[2]);
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings)) {
            consumer.subscribe(List.of(arguments[1]));
            while (left > 0) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofSeconds(1))) {
                    if (record.key() == null) {
                        continue; // a watermark, which concerns no customer
                    }
                    int partitions = consumer.partitionsFor(record.topic()).size();
                    StringJoiner line = new StringJoiner("\t");
                    line.add(Integer.toString(record.partition()));
                    line.add(Integer.toString(Utils.toPositive(Utils.murmur2(record.key())) % partitions));
                    line.add(text(record.key()));
                    line.add(text(record.value()));
                    for (Header header : record.headers()) {
                        line.add(header.key() + "=" + text(header.value()));
                    }
                    out.println(line);
                    left--;
                }
            }
            consumer.commitSync();
        }
    }

    private static String text(byte[] bytes) {
        return new String(bytes, StandardCharsets.UTF_8);
    }
}
