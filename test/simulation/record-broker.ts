/**
 * Where the simulated handlers' records go: a topic that takes them in the order of each client, and clients that give themselves up. What
 * a client has sent takes effect, whatever becomes of its process.
 */
import { recordAt } from "../../src/core/messages/records.ts";
import { KafkaError, kafkaErrors } from "../../src/kafka/client/kafka-error.ts";
import type { RecordClient, Reported } from "../../src/kafka/producing/record-client.ts";
import type { Part } from "../../src/kafka/producing/record-lane.ts";
import { RecordProducer } from "../../src/kafka/producing/record-producer.ts";
import type { SimProcess, World } from "./world.ts";

const TOPIC = "out";

/** How often things go wrong. */
export interface RecordFaults {
	/** A client gives itself up at a record. */
	gaveUp: number;
	/** The topic is missing, or may not be written to. */
	isMissing: boolean;
	/** Longest time a record or its answer takes, ms. */
	latencyMs: number;
}

/** How it is while nothing goes wrong. */
export const healthy: RecordFaults = { gaveUp: 0, isMissing: false, latencyMs: 30 };

/** See the file's header. */
export class SimRecordBroker {
	readonly world: World;
	readonly faults: RecordFaults = { ...healthy };
	/** Told of each arrival. */
	arrived: (name: string, isFirst: boolean) => void = () => {};
	readonly #names = new Set<string>();

	constructor(world: World) {
		this.world = world;
	}

	/** The broker has the record of this message: its value names it. */
	has(name: string): boolean {
		return this.#names.has(name);
	}

	append(part: Part): void {
		const { value } = recordAt(part.parcel.block, part.from);
		const name = String(value);
		const isFirst = !this.#names.has(name);
		this.#names.add(name);
		this.arrived(name, isFirst);
	}
}

/** The daemon's own producer on it. */
export function simRecords(process: SimProcess, broker: SimRecordBroker): RecordProducer {
	return new RecordProducer({
		clock: process,
		random: () => process.world.random(),
		mostBytes: 20_000,
		connect: async (reported) => {
			await process.request(
				() => process.world.random() * broker.faults.latencyMs,
				() => {},
			);
			return new SimRecordClient(process, broker, reported);
		},
		connectSingle: async () => ({
			produce: (part) =>
				process.request(
					() => process.world.random() * broker.faults.latencyMs,
					() => {
						if (broker.faults.isMissing) throw new KafkaError("no such topic", kafkaErrors.unknownTopicOrPartition);
						broker.append(part);
					},
				),
			close: async () => {},
		}),
		hint: () => null,
	});
}

class SimRecordClient implements RecordClient {
	readonly #process: SimProcess;
	readonly #broker: SimRecordBroker;
	readonly #reported: Reported;
	readonly gaveUp = null;
	#lastAt = 0;
	#gaveUp = false;

	constructor(process: SimProcess, broker: SimRecordBroker, reported: Reported) {
		this.#process = process;
		this.#broker = broker;
		this.#reported = reported;
	}

	produce(part: Part): { taken: number; error: KafkaError | null } {
		for (let index = part.from; index < part.to; index++) {
			if (this.#gaveUp) return { taken: index - part.from, error: new KafkaError("gave up", kafkaErrors.fatal) };
			this.#send({ ...part, from: index, to: index + 1 });
		}
		return { taken: part.to - part.from, error: null };
	}

	async partitions(): Promise<{ count: number; leaderless: number[] }> {
		return { count: this.#broker.faults.isMissing ? 0 : 1, leaderless: [] };
	}

	async close(): Promise<void> {
		this.#gaveUp = true;
	}

	#send(part: Part): void {
		const { world } = this.#process;
		const { latencyMs } = this.#broker.faults;
		this.#lastAt = Math.max(this.#lastAt, world.now + world.random() * latencyMs);
		world.after(this.#lastAt - world.now, () => {
			let error: KafkaError | null = null;
			if (this.#gaveUp) error = new KafkaError("thrown away", kafkaErrors.purgedInQueue);
			else if (this.#broker.faults.isMissing) error = new KafkaError("no such topic", kafkaErrors.unknownTopicOrPartition);
			else this.#broker.append(part);
			if (world.chance(this.#broker.faults.gaveUp)) {
				this.#gaveUp = true;
				// The broker may have it all the same.
				error = new KafkaError("gave up", kafkaErrors.purgedInFlight);
			}
			if (error) this.#gaveUp = true;
			world.after(world.random() * latencyMs, () => this.#process.enter(() => this.#reported(TOPIC, part.parcel.first + part.from, error)));
		});
	}
}
