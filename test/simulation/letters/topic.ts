/** A dead-letter topic, simulated: records take effect and are answered in their time, also of who is dead by then. */
import type { ReceivedMessage } from "../../../src/core/messages/message.ts";
import { KafkaError } from "../../../src/kafka/client/kafka-error.ts";
import type { TopicProducer } from "../../../src/kafka/dead-letters/dead-letter-topic.ts";
import type { LetterReader } from "../../../src/kafka/dead-letters/dead-letter-topic-store.ts";
import type { DeliveryReport, ProducerRecord } from "../../../src/kafka/producer.ts";
import { type SimProcess, WALL_START, type World } from "../world.ts";

export const LETTERS = "orders.dead";
const LATENCY_MS = 20;

/** See the file's header. */
export class SimLetterTopic {
	readonly world: World;
	readonly partitions: ReceivedMessage[][];
	/** A record is refused without effect, or takes effect and is not answered well. */
	faults = { refused: 0, answerLost: 0 };
	readonly #appended: (record: ReceivedMessage) => void;

	constructor(world: World, partitions: number, appended: (record: ReceivedMessage) => void) {
		this.world = world;
		this.partitions = Array.from({ length: partitions }, () => []);
		this.#appended = appended;
	}

	/** A producer of a process. */
	produce(process: SimProcess): TopicProducer {
		return {
			produce: (record) => process.request(this.#latency, () => this.#append(record)),
			gaveUp: false,
			topics: async () => new Map([[LETTERS, this.partitions.length]]),
			topicSettings: async () => new Map([[LETTERS, new Map()]]),
			close: async () => {},
			async [Symbol.asyncDispose]() {},
		};
	}

	/** A reader of a process. */
	read(process: SimProcess): LetterReader {
		const { partitions, world } = this;
		const latency = this.#latency;
		return {
			metadata: { brokers: [], topics: [{ name: LETTERS, partitions: partitions.map((_, id) => ({ id })) }] } as never,
			watermarks: ({ partition }) =>
				process.request(latency, () => ({ low: 0, high: (partitions[partition] as readonly ReceivedMessage[]).length })),
			topicIds: async () => new Map(),
			async *read(ranges) {
				for (const { topic, partition, from, to } of ranges) {
					const stored = partitions[partition] as readonly ReceivedMessage[];
					for (let at = from; at < to; ) {
						const end = Math.min(to, at + world.between(1, 20));
						const messages = await process.request(latency, () => stored.slice(at, end));
						yield [{ topic, partition }, [...messages]];
						at = end;
					}
				}
			},
			async [Symbol.asyncDispose]() {},
		};
	}

	readonly #latency = () => this.world.random() * LATENCY_MS;

	#append({ partition = 0, key, value, headers = [] }: ProducerRecord): DeliveryReport {
		if (this.world.chance(this.faults.refused)) throw new KafkaError("refused by chance", -1);
		const stored = this.partitions[partition] as ReceivedMessage[];
		const bytes = (content: Buffer | string | null) => (content === null ? null : Buffer.from(content as string));
		const record: ReceivedMessage = {
			topic: LETTERS,
			partition,
			offset: stored.length,
			timestamp: WALL_START + Math.round(this.world.now),
			key: bytes(key),
			value: bytes(value),
			headers: headers.map(([name, content]) => [name, bytes(content)]),
		};
		stored.push(record);
		this.#appended(record);
		if (this.world.chance(this.faults.answerLost)) throw new KafkaError("the answer is lost", -1);
		return { partition, offset: record.offset, timestamp: record.timestamp };
	}
}
