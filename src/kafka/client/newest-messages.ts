/** Reads the newest messages of a topic with a client of its own that joins no group. */
import type { Config } from "../../config/config.ts";
import type { Clock } from "../../core/clock.ts";
import { partitionName, type ReceivedMessage, type TopicPartitionOffset } from "../../core/messages/message.ts";
import { kafkaClientSettings } from "./client-settings.ts";
import { ConsumerClient } from "./consumer-client.ts";

const POLL_MS = 100;

/**
 * Reads from these offsets to the end of each log, for `withinMs` at most. `group`: the group whose rights are used; it is not joined.
 * Rejects with Kafka's error.
 */
export async function newestMessages(
	kafka: Config["kafka"],
	clock: Clock,
	from: readonly TopicPartitionOffset[],
	{ group, withinMs }: { readonly group: string; readonly withinMs: number },
): Promise<ReceivedMessage[]> {
	const settings = { ...kafkaClientSettings(kafka), "group.id": group, "enable.auto.commit": false, "enable.partition.eof": true };
	const client = new ConsumerClient(settings, { "auto.offset.reset": "error" }, clock);
	const open = new Set(from.map(partitionName));
	const read: ReceivedMessage[] = [];
	try {
		await client.connect(withinMs);
		client.assign(from, false);
		for (const startedAt = clock.monotonic(); open.size > 0 && clock.monotonic() - startedAt < withinMs; ) {
			const { messages, ends } = await client.consume(100, POLL_MS);
			read.push(...messages);
			for (const end of ends) open.delete(partitionName(end));
		}
		return read;
	} finally {
		await client.close({ withinMs });
	}
}
