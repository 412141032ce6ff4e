import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.common.TopicPartition;

/** What node-rdkafka's admin client can't do: `delete-group BROKERS GROUP`, `delete-records BROKERS TOPIC PARTITION OFFSET`. */
public class Admin {
	public static void main(String[] args) throws Exception {
		Properties properties = new Properties();
		properties.put("bootstrap.servers", args[1]);
		try (org.apache.kafka.clients.admin.Admin admin = org.apache.kafka.clients.admin.Admin.create(properties)) {
			switch (args[0]) {
				case "delete-group" -> admin.deleteConsumerGroups(List.of(args[2])).all().get();
				case "delete-records" -> {
					TopicPartition partition = new TopicPartition(args[2], Integer.parseInt(args[3]));
					admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(Long.parseLong(args[4])))).all().get();
				}
				default -> throw new IllegalArgumentException(args[0]);
			}
		}
	}
}
