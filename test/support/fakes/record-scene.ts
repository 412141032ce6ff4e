/** The daemon's record producer on clients that the test plays: each record is noted, and reported when the test says so. */
import type { TopicPartition } from "../../../src/core/messages/message.ts";
import { packMessages } from "../../../src/core/messages/message-codec.ts";
import { recordAt } from "../../../src/core/messages/records.ts";
import type { RowFault } from "../../../src/core/rows/rows.ts";
import { unlessAborted } from "../../../src/core/waiting/unless-aborted.ts";
import { KafkaError } from "../../../src/kafka/client/kafka-error.ts";
import type { RecordClient, Reported } from "../../../src/kafka/producing/record-client.ts";
import type { Part } from "../../../src/kafka/producing/record-lane.ts";
import { RecordProducer } from "../../../src/kafka/producing/record-producer.ts";
import type { ProducedFact, SingleRecords } from "../../../src/kafka/producing/record-producer-parts.ts";
import { RecordPacker } from "../../../src/worker/inside/rows/record-packer.ts";
import { ManualClock, settle } from "./manual-clock.ts";

/** A client for many records. */
export class FakeRecordClient implements RecordClient {
	/** Values in the order in which they were handed over. */
	readonly taken: string[] = [];
	readonly #open: { topic: string; number: number; value: string }[] = [];
	readonly #reported: Reported;
	readonly #scene: RecordScene;
	room = Number.POSITIVE_INFINITY;
	error: KafkaError | null = null;
	isClosed = false;
	gaveUp: KafkaError | null = null;

	constructor(scene: RecordScene, reported: Reported) {
		this.#scene = scene;
		this.#reported = reported;
	}

	produce({ parcel: { block, first }, from, to }: Part): { taken: number; error: KafkaError | null } {
		if (this.#scene.rights === "none") this.gaveUp = nowhere;
		if (this.gaveUp) return { taken: 0, error: new KafkaError("Local: Fatal error", -150) };
		for (let index = from; index < to; index++) {
			if (this.error) return { taken: index - from, error: this.error };
			if (this.#open.length >= this.room) return { taken: index - from, error: null };
			const value = String(recordAt(block, index).value);
			this.taken.push(value);
			this.#open.push({ topic: block.topic, number: first + index, value });
		}
		return { taken: to - from, error: null };
	}

	async partitions(topic: string): Promise<{ count: number; leaderless: number[] }> {
		this.#scene.looks.push(topic);
		return { count: this.#scene.missing.has(topic) ? 0 : 3, leaderless: this.#scene.leaderless.get(topic) ?? [] };
	}

	async close(): Promise<void> {
		this.isClosed = true;
		if (this.gaveUp) await this.#scene.clock.sleep(50);
	}

	/** Reports these records, or all that are open. */
	report(error: KafkaError | null = null, values: readonly string[] = this.#open.map(({ value }) => value)): void {
		for (const value of values) {
			const at = this.#open.findIndex((each) => each.value === value);
			const [found] = this.#open.splice(at, 1);
			if (at < 0 || !found) throw new Error(`${value} is not open`);
			this.#reported(found.topic, found.number, error);
		}
	}
}

/** See the file's header. */
export class RecordScene {
	readonly clock = new ManualClock();
	readonly clients: FakeRecordClient[] = [];
	/** Values that were produced one by one. */
	readonly single: string[] = [];
	/** Topics that are not there. */
	readonly missing = new Set<string>();
	/** Partitions without a leader, by topic. */
	readonly leaderless = new Map<string, number[]>();
	/** Topics that were looked for. */
	readonly looks: string[] = [];
	/** Clients for single records that are open, and the most there were at a time. */
	singles = { open: 0, most: 0 };
	/** Values that the broker never takes. */
	readonly refused = new Set<string>();
	refusal: Error = new KafkaError("too large", 10);
	/** Settled messages by offset, in order; a refused one with its code. */
	readonly fates: string[] = [];
	readonly facts: ProducedFact[] = [];
	/** What a client for single records waits for before each. */
	singleWaits: () => Promise<void> = async () => {};
	/** And before it is connected, and closed: closing rejects what it waits for. */
	singleConnects: () => Promise<void> = async () => {};
	singleCloses: () => Promise<void> = async () => {};
	/** What a client for many records waits for before it is connected. */
	connects: () => Promise<void> = async () => {};
	/** No broker answers. */
	isAway = false;
	/** The user may write to no topic: each client gives itself up with its first record. */
	rights: "all" | "none" = "all";
	readonly replaced: { message: string; records: number }[] = [];
	readonly producer: RecordProducer;
	#offset = 0;

	constructor(mostBytes = 100_000) {
		this.producer = new RecordProducer({
			clock: this.clock,
			random: () => 1,
			mostBytes,
			connect: async (reported) => {
				if (this.isAway) throw new Error("no connection");
				await this.connects();
				const client = new FakeRecordClient(this, reported);
				this.clients.push(client);
				return client;
			},
			connectSingle: async () => this.#single(),
			hint: ({ kafkaCode }, topic) => (kafkaCode === 3 ? `make ${topic}` : null),
		});
		this.producer.on("records:produced", (fact) => this.facts.push(fact));
		this.producer.on("client:replaced", (fact) => this.replaced.push(fact));
	}

	async #single(): Promise<SingleRecords> {
		await this.singleConnects();
		this.singles.open++;
		this.singles.most = Math.max(this.singles.most, this.singles.open);
		const closed = new AbortController();
		return {
			produce: async ({ parcel: { block }, from }) => {
				const value = String(recordAt(block, from).value);
				await unlessAborted(this.singleWaits(), closed.signal);
				if (this.isAway) throw new KafkaError("timed out", -192);
				if (this.rights === "none") throw nowhere;
				if (this.missing.has(block.topic)) throw new KafkaError("no such topic", 3);
				if (this.refused.has(value)) throw this.refusal;
				this.single.push(value);
			},
			close: async () => {
				closed.abort(new Error("closed"));
				await this.singleCloses();
				this.singles.open--;
			},
		};
	}

	/** The newest. */
	get client(): FakeRecordClient {
		return this.clients.at(-1) as FakeRecordClient;
	}

	/** A message each that produces a record of this value; `release` gives its partition away. */
	produce(topic: string, ...values: string[]): Promise<{ release(): void }> {
		return this.produceFrom(orders2, topic, ...values);
	}

	async produceFrom(source: TopicPartition, topic: string, ...values: string[]): Promise<{ release(): void }> {
		const offsets = values.map(() => this.#offset++);
		const messages = offsets.map((offset) => ({ ...source, offset, timestamp: 7, key: null, value: null, headers: [] }));
		const packer = new RecordPacker({ topics: null, keeps: true });
		for (const [message, value] of values.entries()) packer.add(message, [{ topic, key: "k", value }], 0, 7, 1e9);
		let released = false;
		const fates = this.fates;
		this.producer.produce({
			...source,
			batch: packMessages(messages),
			blocks: packer.take()?.blocks ?? [],
			receivedAtMs: this.clock.monotonic(),
			get released() {
				return released;
			},
			settledAll: (settled) => {
				for (const message of Array.from(settled)) fates.push(String(offsets[message]));
			},
			refused: (message: number, fault: RowFault) => fates.push(`${offsets[message]} ${fault.table} ${fault.rowId} ${fault.sqlstate}`),
		});
		await settle();
		return {
			release: () => {
				released = true;
			},
		};
	}

	/** Lets time pass. */
	async pass(ms = 1): Promise<void> {
		await this.clock.advance(ms);
		await settle();
	}
}

const nowhere = new KafkaError("Broker: Cluster authorization failed", 31);
const orders2 = { topic: "orders", partition: 2 };
