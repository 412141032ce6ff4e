/** Records of handlers on their way to a broker, by the real client: librdkafka's own mock cluster. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { packMessages } from "../../src/core/messages/message-codec.ts";
import { systemRandom } from "../../src/core/random.ts";
import { buildRecords } from "../../src/daemon/daemon-parts.ts";
import { type MockCluster, startMockCluster } from "../../src/kafka/mock-cluster.ts";
import type { RecordProducer } from "../../src/kafka/producing/record-producer.ts";
import { RecordPacker } from "../../src/worker/inside/rows/record-packer.ts";
import { loadConfigAt } from "../support/kafka/load-topic.ts";
import { waitFor } from "../support/wait-for.ts";

const source = { topic: "orders", partition: 2 };

describe("records by the real client", () => {
	let cluster: MockCluster;
	let producer: RecordProducer;
	const settled: number[] = [];

	beforeEach(async () => {
		settled.length = 0;
		cluster = await startMockCluster({ topics: ["out"] });
		producer = buildRecords({ config: loadConfigAt(cluster.brokers.join()), clock: systemClock, random: systemRandom });
	});

	afterEach(async () => {
		await producer.dispose();
		await cluster[Symbol.asyncDispose]();
	});

	/** A message each, with `each` records. */
	function produce(count: number, each: number): void {
		const messages = Array.from({ length: count }, (_, offset) => ({
			...source,
			offset,
			timestamp: 7,
			key: null,
			value: null,
			headers: [],
		}));
		const packer = new RecordPacker({ topics: null, keeps: true });
		const records = Array.from({ length: each }, (_, i) => ({ topic: "out", key: `k${i}`, value: "v", headers: [["a", "1"]] }));
		for (let message = 0; message < count; message++) packer.add(message, records, 0, 7, 1e9);
		producer.produce({
			...source,
			batch: packMessages(messages),
			blocks: packer.take()?.blocks ?? [],
			receivedAtMs: systemClock.monotonic(),
			released: false,
			settledAll: (of) => settled.push(...Array.from(of)),
			refused: (message, { message: words }) => {
				throw new Error(`${message}: ${words}`);
			},
		});
	}

	it("are acknowledged, each once", async () => {
		produce(500, 3);
		produce(500, 3);
		await waitFor("all acknowledgements", () => settled.length === 3_000);
		expect(producer.bytes).toBe(0);
		expect(producer.problems).toEqual([]);
	});

	it("go on by a new client", async () => {
		produce(10, 1);
		await waitFor("acknowledgements", () => settled.length === 10);
		await producer.renew();
		produce(10, 1);
		await waitFor("acknowledgements", () => settled.length === 20);
	});
});
