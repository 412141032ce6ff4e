/** Collects acknowledgements, and tells the records' sources in the next turn of the event loop: reports come by the hundred. */
import type { Clock } from "../../core/clock.ts";
import type { TopicPartition } from "../../core/messages/message.ts";
import { sizeOfRecord } from "../../core/messages/records.ts";
import type { Parcel, Part } from "./record-lane.ts";
import type { ProducedFact } from "./record-producer-parts.ts";

/** Acknowledged records of one parcel: the message of each, and their bytes. */
interface Told {
	readonly messages: number[];
	bytes: number;
}

/** Acknowledgements that the records' sources have not heard of yet. */
export class Acknowledgements {
	readonly #clock: Clock;
	readonly #produced: (fact: ProducedFact) => void;
	#told = new Map<Parcel, Told>();

	constructor(clock: Clock, produced: (fact: ProducedFact) => void) {
		this.#clock = clock;
		this.#produced = produced;
	}

	/** The broker has the part's first record. */
	add({ parcel, from }: Part): void {
		if (this.#told.size === 0) this.#clock.after(0, () => this.tell());
		let told = this.#told.get(parcel);
		if (!told) {
			told = { messages: [], bytes: 0 };
			this.#told.set(parcel, told);
		}
		told.messages.push(parcel.block.messages[from] as number);
		told.bytes += sizeOfRecord(parcel.block, from);
	}

	/** Whether any is for this source partition. */
	hasSome({ topic, partition }: TopicPartition): boolean {
		for (const { source } of this.#told.keys()) if (source.topic === topic && source.partition === partition) return true;
		return false;
	}

	/** Tells all of them now. */
	tell(): void {
		const all = this.#told;
		this.#told = new Map();
		const now = this.#clock.monotonic();
		for (const [{ source, block }, { messages, bytes }] of all) {
			const agesMs = new Float64Array(messages.length).fill(now - source.receivedAtMs);
			this.#produced({ topic: block.topic, result: "acknowledged", records: messages.length, bytes, agesMs });
			source.settledAll(messages);
		}
	}
}
