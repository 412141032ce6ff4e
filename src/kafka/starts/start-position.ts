/**
 * Resolves where assigned partitions begin: claims them in the store, reads the facts, and lets start-decision.ts decide. `StartQueries`
 * are the requests to the broker.
 *
 * The facts are read in this order: the note, the stored offset, the log's id, the log's bounds. The note comes first because it is
 * replaced only as it was read: whoever begins the partition meanwhile changes it, and then nothing is noted from an offset that is out of
 * date. If the log is replaced in between, its id shows that later; in another order its bounds could be taken for the older log's.
 */
import { type HandNote, type Suspicion, suspicionAt } from "../../core/messages/hand-note.ts";
import { partitionName, type TopicPartition, type TopicPartitionOffset } from "../../core/messages/message.ts";
import { compareLogIds, type LogId, type LogIdentity, unknownLog, type Witness } from "../../core/offsets/log-identity.ts";
import {
	type NoteChange,
	type PositionNote,
	restoredAt,
	type StoredNote,
	stretchesBefore,
	withStretch,
} from "../../core/offsets/position-note.ts";
import type { StoredOffset } from "../client/group-client.ts";
import { KafkaError, kafkaErrors } from "../client/kafka-error.ts";
import { type OffsetPlan, planOffset } from "../offsets/offset-plan.ts";
import type { OffsetStore } from "../offsets/offset-store.ts";
import type { PositionNotes } from "../offsets/position-notes.ts";
import type { FirstStart } from "./first-start.ts";
import { decidePosition, decideStart, type LogBounds, type OutOfRange, type OutOfRangePolicy } from "./start-decision.ts";

/** Requests to the broker. All reject with the broker's error; offsets are numbers, null if there is none. */
export interface StartQueries {
	/** Ids of topics that exist; null if an id can't be known. */
	topicIds(topics: readonly string[]): Promise<ReadonlyMap<string, LogId>>;
	watermarks(partition: TopicPartition): Promise<LogBounds>;
	/** The first offset with this timestamp (ms) or a later one; null if there is none. */
	offsetForTime(partition: TopicPartition, timestampMs: number): Promise<number | null>;
	/** The first record at or after this offset; null if there is none. */
	recordAt(position: TopicPartitionOffset): Promise<Witness | null>;
}

/** `kafka.startFrom`: a number is a timestamp in ms. */
export type StartFrom = "earliest" | "latest" | number;

/**
 * The origin of a start. committed: the stored offset · kafka: Kafka's copy, the table has none · earliest, latest, timestamp:
 * `kafka.startFrom` · beginning: a partition that appeared later · noted: Kafka forgot, the note knows · new_log: the topic was deleted and
 * created again · out_of_range: the stored offset is outside the log, and `kafka.onOffsetOutOfRange` decides · set: somebody set it.
 */
export type StartReason =
	| "committed"
	| "kafka"
	| "earliest"
	| "latest"
	| "timestamp"
	| "beginning"
	| "noted"
	| "new_log"
	| "out_of_range"
	| "set";

/** How many offsets a set offset reads again and passes over. */
export type SetCounts = Pick<OffsetPlan, "again" | "passedOver">;

/** A resolved start. */
export interface StartPosition extends TopicPartition {
	readonly offset: number;
	/** The offset stored by now; null if the start has yet to be stored. */
	readonly committed: number | null;
	readonly from: StartReason;
	/** The log that the position belongs to. */
	readonly logId: LogId;
	/** The stored or noted position, if the start differs from it. */
	readonly kept: number | null;
	/** Set if the position is outside the log; parked: nothing is fetched until somebody decides. */
	readonly outOfRange: (OutOfRange & { readonly log: LogBounds }) | null;
	readonly note: NoteChange;
	/** Why it has to be handled carefully: the process died, or may have died, with this partition's messages in hand. */
	readonly suspicion: Suspicion | null;
	/** Only if a person set it. */
	readonly counts?: SetCounts;
}

/** What resolving starts needs. */
export interface StartResolution {
	readonly startFrom: StartFrom;
	readonly onOffsetOutOfRange: OutOfRangePolicy;
	readonly firstStart: FirstStart;
	readonly queries: StartQueries;
	readonly store: Pick<OffsetStore, "claim" | "elsewhere" | "keptIn">;
	readonly notes: Pick<PositionNotes, "read" | "owner">;
	/** Offsets that a person wants, by partition name. */
	readonly set?: ReadonlyMap<string, number>;
}

/** A partition whose start can't be resolved now. */
export interface StartFailure {
	readonly partition: TopicPartition;
	readonly error: unknown;
}

/**
 * Resolves the start of each partition, and claims it in the store. A partition that the broker can't answer for fails alone. Rejects if
 * the store or the notes can't be read: then nothing may start.
 */
export async function resolveStartPositions(
	partitions: readonly TopicPartition[],
	resolution: StartResolution,
): Promise<{ starts: StartPosition[]; failed: StartFailure[] }> {
	if (partitions.length === 0) return { starts: [], failed: [] };
	const { store, notes, queries } = resolution;
	const noted = await notes.read();
	const claimed = await store.claim(partitions.map(({ topic, partition }) => ({ topic, partition })));
	const unknown = claimed.filter(({ offset }) => offset === null);
	const others = unknown.length > 0 && store.elsewhere ? await store.elsewhere(unknown) : [];
	const elsewhere = new Map(others.map((each) => [partitionName(each), each.offset]));
	const ids = new Map([...new Set(partitions.map(({ topic }) => topic))].map((topic) => [topic, idOf(topic, queries)]));
	const results = await Promise.allSettled(
		claimed.map((stored) => {
			const name = partitionName(stored);
			const logId = ids.get(stored.topic) as Promise<LogId>;
			return new StartOfOne(stored, noted.get(name) ?? null, elsewhere.get(name) ?? null, resolution).resolve(logId);
		}),
	);
	const starts = results.flatMap((result) => (result.status === "fulfilled" ? result.value : []));
	const failed = results.flatMap((result, index) => {
		const { topic, partition } = claimed[index] as StoredOffset;
		return result.status === "rejected" ? { partition: { topic, partition }, error: result.reason as unknown } : [];
	});
	return { starts, failed };
}

/** Asks for one topic at a time: a topic that this user may not see keeps no other from its start. */
async function idOf(topic: string, queries: StartQueries): Promise<LogId> {
	const id = (await queries.topicIds([topic])).get(topic);
	if (id === undefined) throw new KafkaError(`there is no topic ${topic}`, kafkaErrors.unknownTopicOrPartition);
	return id;
}

/** A start without its note. */
type Resolved = Pick<StartPosition, "offset" | "from" | "outOfRange">;

const nothingHeld = { held: null, deaths: [] };

/** Resolves one partition's start. */
class StartOfOne {
	readonly #where: TopicPartition;
	readonly #stored: StoredOffset;
	readonly #noted: StoredNote | null;
	readonly #elsewhere: number | null;
	readonly #resolution: StartResolution;
	#bounds: Promise<LogBounds> | null = null;

	constructor(stored: StoredOffset, noted: StoredNote | null, elsewhere: number | null, resolution: StartResolution) {
		this.#where = { topic: stored.topic, partition: stored.partition };
		this.#stored = stored;
		this.#noted = noted;
		this.#elsewhere = elsewhere;
		this.#resolution = resolution;
	}

	async resolve(asked: Promise<LogId>): Promise<StartPosition> {
		const logId = await asked;
		const to = this.#resolution.set?.get(partitionName(this.#where));
		if (to !== undefined) return await this.#setTo(to, logId);
		const resolved = await this.#resolve(logId);
		const { offset, from } = resolved;
		const kept = this.#stored.offset ?? this.#noted?.note.reached ?? this.#elsewhere;
		// Another log's offset may be the same number, but is another position.
		const isStored = this.#stored.offset === offset && from !== "new_log";
		const noted = noteOf(resolved, logId, this.#identity, this.#noted?.note ?? null);
		const note = this.#resolution.store.keptIn === "table" ? besideTable(noted) : noted;
		const suspicion = from === "new_log" ? null : this.#suspicionAt(offset);
		return {
			...this.#where,
			...resolved,
			committed: isStored ? offset : null,
			logId,
			kept: kept === offset ? null : kept,
			note: this.#noteWith(note, offset, suspicion),
			suspicion,
		};
	}

	/** The start at a set offset, whatever is stored and noted. */
	async #setTo(to: number, logId: LogId): Promise<StartPosition> {
		const { keptIn } = this.#resolution.store;
		const [kept, noted] = [this.#stored.offset, this.#noted?.note ?? null];
		const plan = planOffset({ ...this.#where, kept, keptIn, noted, logId, log: await this.#log() }, to);
		const suspicion = this.#suspicionAt(to);
		return {
			...this.#where,
			offset: to,
			from: "set",
			outOfRange: null,
			committed: null,
			logId,
			kept: plan.kept === to ? null : plan.kept,
			note: this.#noteWith(plan.note, to, suspicion),
			suspicion,
			counts: { again: plan.again, passedOver: plan.passedOver },
		};
	}

	#noteWith(note: PositionNote, began: number, suspicion: Suspicion | null): NoteChange {
		const { held, deaths } = suspicion ?? nothingHeld;
		const hand: HandNote = { by: this.#resolution.notes.owner, began, held, deaths };
		return { ...this.#where, note: { ...note, hand }, replaces: this.#noted };
	}

	/** A note of this same process is no sign of a death. */
	#suspicionAt(offset: number): Suspicion | null {
		const hand = this.#noted?.note.hand ?? null;
		return suspicionAt(hand?.by === this.#resolution.notes.owner ? { ...hand, by: null } : hand, offset);
	}

	async #resolve(logId: LogId): Promise<Resolved> {
		const { onOffsetOutOfRange: policy, store } = this.#resolution;
		const sameLog = await this.#compare(logId);
		const isPlain = this.#stored.offset !== null && sameLog === "same";
		// The first fetch shows whether the log still contains it, and then the same decision is made.
		const log = isPlain ? { low: 0, high: Number.POSITIVE_INFINITY } : await this.#log();
		const facts = {
			kept: this.#stored.offset,
			keptIn: store.keptIn,
			inKafka: store.keptIn === "kafka" ? this.#stored.offset : await this.#copy(sameLog),
			noted: this.#noted?.note ?? null,
			sameLog,
			hasId: logId !== null,
			log,
		};
		const decision = decideStart(facts, policy);
		switch (decision.kind) {
			case "choose":
				return this.#choose(log, policy);
			case "start":
				return { offset: decision.offset, from: decision.from, outOfRange: null };
			default:
				return { offset: decision.offset, from: "out_of_range", outOfRange: { ...decision, log } };
		}
	}

	/** Kafka's copy of the table's offset. Also read if only that can tell whether the log is the same. */
	async #copy(sameLog: "same" | "other" | "unknown"): Promise<number | null> {
		const { store } = this.#resolution;
		if (this.#stored.offset === null || sameLog !== "unknown") return this.#elsewhere;
		const [copy] = (await store.elsewhere?.([this.#where])) ?? [];
		return copy?.offset ?? null;
	}

	/** The log of the stored position, named by the store or the note. */
	get #identity(): LogIdentity {
		const ofStore = this.#stored.log ?? unknownLog;
		const ofNote = this.#noted?.note.log ?? unknownLog;
		return { id: ofStore.id ?? ofNote.id, witness: ofStore.witness ?? ofNote.witness };
	}

	/** Compares the logs by their ids, or else by a record that is known to be in the log. */
	async #compare(logId: LogId): Promise<"same" | "other" | "unknown"> {
		const { id, witness } = this.#identity;
		const byId = compareLogIds(id, logId);
		if (byId !== "unknown" || witness === null) return byId;
		const { low, high } = await this.#log();
		if (witness.offset < low || witness.offset >= high) return "unknown";
		const record = await this.#resolution.queries.recordAt({ ...this.#where, offset: witness.offset });
		if (record?.offset !== witness.offset) return "unknown";
		return record.timestamp === witness.timestamp ? "same" : "other";
	}

	/** Nothing is known: begins as configured, but not past Kafka's copy if the table decides: repeating is harmless, a gap is not. */
	async #choose(log: LogBounds, policy: OutOfRangePolicy): Promise<Resolved> {
		const { firstStart, startFrom } = this.#resolution;
		const chosen = await this.#chosen(firstStart.has(this.#where) ? startFrom : "beginning", log);
		const elsewhere = this.#elsewhere;
		if (elsewhere === null || elsewhere >= chosen.offset) return { ...chosen, outOfRange: null };
		const decision = decidePosition(elsewhere, log, policy);
		if (decision) return { offset: decision.offset, from: "out_of_range", outOfRange: { ...decision, log } };
		return { offset: elsewhere, from: "kafka", outOfRange: null };
	}

	async #chosen(startFrom: StartFrom | "beginning", { low, high }: LogBounds): Promise<Pick<Resolved, "offset" | "from">> {
		if (startFrom === "beginning" || startFrom === "earliest") return { offset: low, from: startFrom };
		if (startFrom === "latest") return { offset: high, from: startFrom };
		return { offset: (await this.#resolution.queries.offsetForTime(this.#where, startFrom)) ?? high, from: "timestamp" };
	}

	#log(): Promise<LogBounds> {
		this.#bounds ??= this.#resolution.queries.watermarks(this.#where);
		return this.#bounds;
	}
}

/** The note that is kept beside a table of offsets: without the offset. The table is trusted even if somebody empties or restores it. */
function besideTable({ restored: _, ...note }: PositionNote): PositionNote {
	return { ...note, reached: null };
}

/** The note of a start in the log with this id, replacing the former note. `kept`: the log that the stored position belongs to. */
function noteOf({ offset, from, outOfRange }: Resolved, logId: LogId, kept: LogIdentity, former: PositionNote | null): PositionNote {
	switch (from) {
		case "committed":
		case "kafka":
		case "noted":
		case "out_of_range": {
			const position = outOfRange?.position ?? offset;
			const known = former ?? { start: position, assumed: true, skipped: [] };
			const skipped = stretchesBefore(known.skipped, Math.min(position, offset));
			return {
				start: Math.min(known.start, offset),
				assumed: known.assumed,
				log: { id: logId ?? kept.id, witness: kept.witness },
				reached: offset,
				skipped: outOfRange ? withStretch(skipped, { from: position, to: offset, reason: outOfRange.reason }) : skipped,
				...restoredAt(former, position),
			};
		}
		default:
			return { start: offset, assumed: false, log: { id: logId, witness: null }, reached: offset, skipped: [] };
	}
}
