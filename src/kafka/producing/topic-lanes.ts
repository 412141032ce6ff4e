/** A lane for each topic that handlers produce to: a topic that is missing or forbidden holds up nobody else. */
import type { Clock } from "../../core/clock.ts";
import type { TopicPartition } from "../../core/messages/message.ts";
import { type Parcel, RecordLane } from "./record-lane.ts";

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
	/** When its first records moved, monotonic. */
	movedAtMs: number;
	/** Why they don't, as far as it is known. */
	silence: string | null;
}

/** Nothing of the first records was acknowledged for so long: told. */
const SILENT_MS = 10_000;

/** From so many on, lanes that have nothing are forgotten: a handler may name topics by what messages hold. */
const MANY_LANES = 100;

/** See the file's header. */
export class TopicLanes implements Iterable<TopicLane> {
	readonly #clock: Pick<Clock, "monotonic">;
	readonly #lanes = new Map<string, TopicLane>();
	/** Of records that were dropped while the client had them: it keeps them until they are reported, or it is closed. */
	leftBytes = 0;

	constructor(clock: Pick<Clock, "monotonic">) {
		this.#clock = clock;
	}

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
			lane = this.#make(topic);
			this.#lanes.set(topic, lane);
		}
		return lane;
	}

	#make(topic: string): TopicLane {
		const lane: TopicLane = {
			...{ topic, state: "new", isStopped: false, suspectUntil: -1, trouble: null, silence: null },
			records: new RecordLane((parcel, isFirst) => {
				parcel.movedAtMs = this.#clock.monotonic();
				if (isFirst) this.#moved(lane);
			}),
			movedAtMs: this.#clock.monotonic(),
		};
		return lane;
	}

	#moved(lane: TopicLane): void {
		lane.movedAtMs = this.#clock.monotonic();
		lane.silence = null;
	}

	/** From now on nobody is silent yet: there is another client. */
	begin(): void {
		for (const lane of this.#lanes.values()) this.#moved(lane);
	}

	/** How long nothing of the lane's first records has moved, ms; null where that is no matter. */
	silentMs({ records, movedAtMs }: TopicLane): number | null {
		const ms = this.#clock.monotonic() - movedAtMs;
		return records.isEmpty || ms <= SILENT_MS ? null : ms;
	}

	/**
	 * Whether something of the partition moves, or has not stood for long. Each parcel is looked at by itself: behind one that waits for a
	 * leader, others of its topic go on.
	 */
	isMoving({ topic, partition }: TopicPartition): boolean {
		const since = this.#clock.monotonic() - SILENT_MS;
		for (const lane of this.#lanes.values()) {
			if (lane.trouble) continue;
			const isSilent = this.silentMs(lane) !== null;
			for (const { source, movedAtMs } of lane.records.parcels())
				if (source.topic === topic && source.partition === partition && (!isSilent || movedAtMs >= since)) return true;
		}
		return false;
	}

	/** Whether the client has any record. */
	get hasHanded(): boolean {
		for (const { records } of this.#lanes.values()) if (records.handed > 0) return true;
		return false;
	}

	/** What the client has of those that share its room: all lanes but silent ones, each of which is counted by itself. */
	handedBeside(lane: TopicLane): { readonly records: number; readonly bytes: number } {
		const isAlone = this.silentMs(lane) !== null;
		let [count, bytes] = [0, 0];
		for (const each of this.#lanes.values()) {
			if (isAlone ? each !== lane : this.silentMs(each) !== null) continue;
			count += each.records.handed;
			bytes += each.records.handedBytes;
		}
		return { records: count, bytes };
	}

	/** Nobody waits for it any more; returns the bytes that are free by that. */
	drop(records: RecordLane, parcel: Parcel): number {
		const before = records.handedBytes;
		const bytes = records.drop(parcel);
		this.leftBytes += before - records.handedBytes;
		return bytes;
	}

	/** Partitions that were given away leave what was not sent behind; returns the bytes that are free by that. */
	dropReleased(): number {
		let bytes = 0;
		for (const { records } of this.#lanes.values())
			for (const parcel of [...records.parcels()]) if (parcel.source.released) bytes += this.drop(records, parcel);
		return bytes;
	}

	#forgetIdle(): void {
		for (const [topic, { state, isStopped, records }] of this.#lanes)
			if (state === "open" && !isStopped && records.isEmpty && records.handed === 0) this.#lanes.delete(topic);
	}
}
