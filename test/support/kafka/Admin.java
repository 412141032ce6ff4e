import java.io.FileReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * What node-rdkafka can't do: `delete-group BROKERS GROUP`, `delete-records BROKERS TOPIC PARTITION OFFSET`, and a member of another
 * kind, which commits nothing and stays for so long once it has partitions: `join BROKERS GROUP TOPIC MS`. As whom the file of
 * properties says: `set-password BROKERS PROPERTIES USER PASSWORD`, for SCRAM-SHA-256. Records as they are, to partition 0: `produce
 * BROKERS TOPIC TIMESTAMP KEY,VALUE,NAME,VALUE… …`, where each part is in base64, or `-` for null.
 */
public class Admin {
	private static final Duration LONGEST_JOIN = Duration.ofMinutes(1);

	public static void main(String[] args) throws Exception {
		Properties properties = new Properties();
		properties.put("bootstrap.servers", args[1]);
		if (args[0].equals("set-password")) properties.load(new FileReader(args[2]));
		try (org.apache.kafka.clients.admin.Admin admin = org.apache.kafka.clients.admin.Admin.create(properties)) {
			switch (args[0]) {
				case "delete-group" -> admin.deleteConsumerGroups(List.of(args[2])).all().get();
				case "delete-records" -> {
					TopicPartition partition = new TopicPartition(args[2], Integer.parseInt(args[3]));
					admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(Long.parseLong(args[4])))).all().get();
				}
				case "set-password" -> {
					ScramCredentialInfo how = new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096);
					admin.alterUserScramCredentials(List.of(new UserScramCredentialUpsertion(args[3], how, args[4]))).all().get();
				}
				case "produce" -> produce(properties, args);
				case "join" -> join(properties, args[2], args[3], Duration.ofMillis(Long.parseLong(args[4])));
				default -> throw new IllegalArgumentException(args[0]);
			}
		}
	}

	private static void produce(Properties properties, String[] args) throws Exception {
		try (var producer = new KafkaProducer<>(properties, new ByteArraySerializer(), new ByteArraySerializer())) {
			for (String each : Arrays.asList(args).subList(4, args.length)) {
				String[] parts = each.split(",", -1);
				var record = new ProducerRecord<>(args[2], 0, Long.valueOf(args[3]), bytes(parts[0]), bytes(parts[1]));
				for (int i = 2; i < parts.length; i += 2) record.headers().add(new String(bytes(parts[i]), StandardCharsets.UTF_8), bytes(parts[i + 1]));
				producer.send(record).get();
			}
		}
	}

	private static byte[] bytes(String part) {
		return part.equals("-") ? null : Base64.getDecoder().decode(part);
	}

	private static void join(Properties properties, String group, String topic, Duration time) {
		properties.put("group.id", group);
		properties.put("enable.auto.commit", "false");
		properties.put("partition.assignment.strategy", CooperativeStickyAssignor.class.getName());
		try (var consumer = new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
			consumer.subscribe(List.of(topic));
			boolean isAssigned = false;
			boolean hasRead = false;
			for (long end = System.nanoTime() + LONGEST_JOIN.toNanos(); System.nanoTime() < end; ) {
				hasRead |= !consumer.poll(Duration.ofMillis(100)).isEmpty();
				if (isAssigned || consumer.assignment().isEmpty()) continue;
				isAssigned = true;
				end = System.nanoTime() + time.toNanos();
			}
			System.out.println(hasRead ? "read" : "nothing");
		}
	}
}
