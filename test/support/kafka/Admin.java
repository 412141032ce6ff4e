import java.io.FileReader;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * What node-rdkafka can't do: `delete-group BROKERS GROUP`, `delete-records BROKERS TOPIC PARTITION OFFSET`, and a member of another
 * kind, which commits nothing and stays for so long once it has partitions: `join BROKERS GROUP TOPIC MS`. As whom the file of
 * properties says: `set-password BROKERS PROPERTIES USER PASSWORD`, for SCRAM-SHA-256.
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
				case "join" -> join(properties, args[2], args[3], Duration.ofMillis(Long.parseLong(args[4])));
				default -> throw new IllegalArgumentException(args[0]);
			}
		}
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
