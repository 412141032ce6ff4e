/**
 * librdkafka's mock cluster for the embedded profile: a real protocol on loopback, in memory, 4 partitions a topic, 5 MiB each. It
 * lives as long as the client that owns it.
 */
import rdkafka from "node-rdkafka";
import { PocKaffeError } from "../core/errors.ts";

/** What the mock cluster answers as the append time of every record, although it stores the record's own (rdkafka_mock_handlers.c). */
export const MOCK_APPEND_TIME_MS = 1234;

/** A running mock cluster. */
export interface MockCluster extends AsyncDisposable {
	/** Addresses, `127.0.0.1:port`. */
	readonly brokers: readonly string[];
}

/** Starts brokers (default 1) with these topics. Other processes reach them too. */
export async function startMockCluster({ brokers = 1, topics }: { brokers?: number; topics: readonly string[] }): Promise<MockCluster> {
	const owner = new rdkafka.Producer({ "test.mock.num.brokers": brokers, "bootstrap.servers": "mock", log_level: 0 } as never, {});
	const metadata = await new Promise<{ brokers: { host: string; port: number }[] }>((resolve, reject) => {
		owner.connect({ timeout: 10_000 }, (error, found) => (error ? reject(error) : resolve(found as never)));
	});
	for (const topic of topics) await createMockTopic(owner, topic);
	return {
		brokers: metadata.brokers.map(({ host, port }) => `${host}:${port}`),
		[Symbol.asyncDispose]: () => new Promise((resolve) => owner.disconnect(() => resolve())),
	};
}

/** The mock broker has no CreateTopics; it creates a topic when a producer asks for its metadata. */
async function createMockTopic(owner: rdkafka.Producer, topic: string): Promise<void> {
	for (let tries = 0; tries < 20; tries++) {
		const count = await new Promise<number>((resolve) => {
			owner.getMetadata({ topic, timeout: 2_000 }, (error, found) => {
				resolve(error ? 0 : (found.topics.find(({ name }) => name === topic)?.partitions.length ?? 0));
			});
		});
		if (count > 0) return;
	}
	throw new PocKaffeError("mock_topic", `the mock cluster did not create the topic ${topic}`);
}
