/** A lane for each topic that handlers produce to: a topic that is missing or forbidden holds up nobody else. */
import { RecordLane } from "./record-lane.ts";

/** The records of one topic, and how far it is with them. */
export interface TopicLane {
	readonly topic: string;
	readonly records: RecordLane;
	/** new -> open <-> trying. New: is the topic there? Trying: record by record. */
	state: "new" | "open" | "trying";
	/** A record failed: nothing more is handed over until the client has none of the lane. */
	isStopped: boolean;
	/** The records up to this number are tried one by one; -1: only the next. */
	suspectUntil: number;
	trouble: { message: string; sinceMs: number } | null;
}

/** From so many on, lanes that have nothing are forgotten: a handler may name topics by what messages hold. */
const MANY_LANES = 100;

/** See the file's header. */
export class TopicLanes implements Iterable<TopicLane> {
	readonly #lanes = new Map<string, TopicLane>();

	[Symbol.iterator](): Iterator<TopicLane> {
		return this.#lanes.values();
	}

	get(topic: string): TopicLane | undefined {
		return this.#lanes.get(topic);
	}

	/** Made where there is none. */
	of(topic: string): TopicLane {
		let lane = this.#lanes.get(topic);
		if (!lane) {
			if (this.#lanes.size >= MANY_LANES) this.#forgetIdle();
			lane = { topic, records: new RecordLane(), state: "new", isStopped: false, suspectUntil: -1, trouble: null };
			this.#lanes.set(topic, lane);
		}
		return lane;
	}

	/** Records that the client has, of all topics, and their bytes. */
	get handed(): { readonly records: number; readonly bytes: number } {
		let [count, bytes] = [0, 0];
		for (const { records } of this.#lanes.values()) {
			count += records.handed;
			bytes += records.handedBytes;
		}
		return { records: count, bytes };
	}

	/** Partitions that were given away leave what was not sent behind; returns the bytes that are free by that. */
	dropReleased(): number {
		let bytes = 0;
		for (const { records } of this.#lanes.values())
			for (const parcel of [...records.parcels()]) if (parcel.source.released) bytes += records.drop(parcel);
		return bytes;
	}

	#forgetIdle(): void {
		for (const [topic, { state, isStopped, records }] of this.#lanes)
			if (state === "open" && !isStopped && records.isEmpty && records.handed === 0) this.#lanes.delete(topic);
	}
}
