/** The limit of everything that reads with node-rdkafka in one process: messages are received and nothing is done with them. */
import { readTopic } from "./consumer.mjs";

await readTopic({
	handle(messages, done) {
		for (const { partition, offset } of messages) done.set(partition, offset + 1);
	},
});
