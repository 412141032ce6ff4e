/** A lane for each topic that handlers produce to, so that a topic that is missing or forbidden holds up no other. */
import type { Clock } from "../../core/clock.ts";
import type { TopicPartition } from "../../core/messages/message.ts";
import { type Parcel, RecordLane } from "./record-lane.ts";

/** The records of one topic, and the state of the topic. */
export interface TopicLane {
	readonly topic: string;
	readonly records: RecordLane;
	/** new -> trying <-> open. New: nobody has asked yet whether the topic exists. Trying: that is asked, or records go one by one. */
	state: "new" | "open" | "trying";
	/** A record failed: nothing more is handed over. When the client has none of the lane, tries begin. */
	isStopped: boolean;
	/** Records up to this number are tried one by one; -1: only the next one. */
	suspectUntil: number;
	/** Why its records can't be produced, and since when (wall clock, ms). */
	trouble: { message: string; sinceMs: number } | null;
	/** When the oldest parcel came in or made progress; monotonic. */
	movedAtMs: number;
	/** Why it makes no progress, if that is known. */
	silence: string | null;
}

/** A topic is silent if nothing of its oldest parcel was acknowledged for longer than this. */
const SILENT_MS = 10_000;

/** From so many lanes on, idle ones are forgotten: a handler may take topic names from messages. */
const MANY_LANES = 100;

/** All lanes, by topic. */
export class TopicLanes implements Iterable<TopicLane> {
	readonly #clock: Pick<Clock, "monotonic">;
	readonly #lanes = new Map<string, TopicLane>();
	/** Records that were dropped while the client had them. It holds them until it reports them or is closed. */
	#left = { records: 0, bytes: 0 };

	constructor(clock: Pick<Clock, "monotonic">) {
		this.#clock = clock;
	}

	/** Bytes of what the client holds for nobody. An upper bound: they count until all of it is reported. */
	get leftBytes(): number {
		return this.#left.bytes;
	}

	/** The client reported a record that no lane has any more. */
	leftReported(): void {
		this.#left.records--;
		if (this.#left.records <= 0) this.clientGone();
	}

	/** The client is closed, and holds nothing. */
	clientGone(): void {
		this.#left = { records: 0, bytes: 0 };
	}

	[Symbol.iterator](): Iterator<TopicLane> {
		return this.#lanes.values();
	}

	get(topic: string): TopicLane | undefined {
		return this.#lanes.get(topic);
	}

	/** The topic's lane; makes one if there is none. */
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

	/** A new client begins: no topic counts as silent yet. */
	begin(): void {
		for (const lane of this.#lanes.values()) this.#moved(lane);
	}

	/** For how many ms a silent topic has been silent; null if it is not. */
	silentMs({ records, movedAtMs }: TopicLane): number | null {
		const ms = this.#clock.monotonic() - movedAtMs;
		return records.isEmpty || ms <= SILENT_MS ? null : ms;
	}

	/**
	 * Whether records of this source partition make progress, or stopped less than 10 s ago. Each parcel counts by itself: while one waits
	 * for a leader, others of the same topic go on.
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

	/** Whether the client has any record that it has not reported. */
	get hasHanded(): boolean {
		for (const { records } of this.#lanes.values()) if (records.handed > 0) return true;
		return false;
	}

	/** What the client has of the lanes that share a limit with this one. A silent lane has a limit to itself; all others share one. */
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

	/** Forgets a parcel that nobody waits for; returns the bytes that this frees. */
	drop(records: RecordLane, parcel: Parcel): number {
		const { handed, handedBytes } = records;
		const bytes = records.drop(parcel);
		this.#left.records += handed - records.handed;
		this.#left.bytes += handedBytes - records.handedBytes;
		return bytes;
	}

	/** Forgets the records of partitions that were revoked or lost; returns the bytes that this frees. */
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
