/**
 * Where the group's offsets are kept (`offsets.store`): in Kafka; or in the database, which Kafka's offsets follow for tools that show lag.
 *
 * Step 10 of a message's way (docs/architecture.md).
 */
import type { Clock } from "../../core/clock.ts";
import { messageOf } from "../../core/errors.ts";
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import type { DisplacedOffset } from "../../core/offsets/displaced-offset.ts";
import type { ReachedPosition } from "../../core/offsets/position-note.ts";
import type { GroupClient, StoredOffset } from "../client/group-client.ts";
import type { PositionNotes } from "./position-notes.ts";

/** Maximum wait of a start for a commit under way: as long as a slow coordinator may take. */
const COMMIT_UNDER_WAY_MS = 2_000;

/** A store of offsets. Promises reject with the store's error; then nothing is certain, and the call may be repeated. */
export interface OffsetStore {
	/** Whose offsets decide where a partition begins. */
	readonly keptIn: "kafka" | "table";
	/** Reads the stored offsets; changes nothing. */
	stored(partitions: readonly TopicPartition[]): Promise<readonly StoredOffset[]>;
	/** Claims assigned partitions, and returns what is stored. If the store fences, a former owner can store nothing from now on. */
	claim(partitions: readonly TopicPartition[]): Promise<readonly StoredOffset[]>;
	/**
	 * Stores where claimed partitions begin, whatever was stored. Returns the offsets that hold (another member may have begun at the same
	 * moment), without partitions that no longer belong to this member.
	 */
	begin(starts: readonly ReachedPosition[]): Promise<readonly ReachedPosition[]>;
	/**
	 * Partitions go on at their stored offsets, and whatever follows the store is set too. Call it only when they are known to be of this
	 * log.
	 */
	goOn(starts: readonly ReachedPosition[]): Promise<void>;
	/**
	 * Makes durable what must be so before a commit. Returns partitions that must not be committed. A partition is never in two calls at a
	 * time.
	 */
	note(positions: readonly ReachedPosition[]): Promise<readonly TopicPartition[]>;
	/** Stores offsets; a partition is never in two calls at a time. */
	commit(offsets: readonly ReachedPosition[]): Promise<void>;
	/** Checks whether the stored offsets of the assigned partitions are still what this member stored last, and reports where not. */
	look(assigned: () => readonly TopicPartition[]): Promise<void>;
	/**
	 * Partitions for which Kafka had an offset of this group, as far as this member knows, and has none any more: their topic was deleted.
	 */
	forgotten(partitions: readonly TopicPartition[]): Promise<readonly TopicPartition[]>;
	/**
	 * The stored offsets of these partitions belong to a deleted log, though no id says so. From now on whoever claims them next is told so.
	 */
	forget(partitions: readonly TopicPartition[]): Promise<void>;
	/** Another place that may have offsets of this group, for partitions without one in this store. */
	elsewhere?(partitions: readonly TopicPartition[]): Promise<readonly StoredOffset[]>;
}

/**
 * Offsets in Kafka's own `__consumer_offsets`, fenced by the group's generation. The notes say which log they belong to, and whether the
 * database is as old as they are.
 */
export class KafkaOffsetStore implements OffsetStore {
	readonly keptIn = "kafka";
	readonly #client: () => GroupClient | null;
	readonly #notes: Pick<PositionNotes, "reach" | "compare" | "forget">;
	readonly #displaced: (partitions: readonly DisplacedOffset[]) => void;
	readonly #clock: Clock;
	/** The last commit, answered or not. Never rejects. */
	#underWay: Promise<void> = Promise.resolve();
	/** Partitions for which Kafka has an offset, as far as this member knows. */
	readonly #known = new Set<string>();

	/** `client` returns the connected one, or null; `displaced` gets partitions whose note was restored to an earlier time. */
	constructor(
		client: () => GroupClient | null,
		notes: Pick<PositionNotes, "reach" | "compare" | "forget">,
		displaced: (partitions: readonly DisplacedOffset[]) => void,
		clock: Clock,
	) {
		this.#client = client;
		this.#clock = clock;
		this.#notes = notes;
		this.#displaced = displaced;
	}

	async stored(partitions: readonly TopicPartition[]): Promise<readonly StoredOffset[]> {
		return await this.#connected.committed(partitions);
	}

	/**
	 * First waits for a commit under way: one that was queued before a session was lost is sent in the next session, and would overtake the
	 * start that is noted meanwhile. (If another member has begun in between, its note is behind that offset: that is reported as a restored
	 * database, from which nothing tells it apart. Nothing is missing then.)
	 */
	async claim(partitions: readonly TopicPartition[]): Promise<readonly StoredOffset[]> {
		await this.answered();
		const claimed = await this.#connected.committed(partitions);
		for (const each of claimed) {
			if (each.offset === null) this.#known.delete(partitionName(each));
			else this.#known.add(partitionName(each));
		}
		return claimed;
	}

	async begin(starts: readonly ReachedPosition[]): Promise<readonly ReachedPosition[]> {
		await this.commit(starts);
		return starts;
	}

	async goOn(): Promise<void> {}

	async note(positions: readonly ReachedPosition[]): Promise<readonly TopicPartition[]> {
		const { others, displaced } = await this.#notes.reach(positions);
		if (displaced.length > 0) this.#displaced(displaced);
		return [...others, ...displaced];
	}

	async commit(offsets: readonly ReachedPosition[]): Promise<void> {
		const commit = this.#connected.commit(offsets);
		this.#underWay = commit.catch(() => {});
		await commit;
		for (const each of offsets) this.#known.add(partitionName(each));
	}

	/** Needed for partitions without messages: they note nothing, so nothing else would find a changed note. */
	async look(assigned: () => readonly TopicPartition[]): Promise<void> {
		const displaced = stillAssigned(await this.#notes.compare(assigned()), assigned);
		if (displaced.length > 0) this.#displaced(displaced);
	}

	async forgotten(partitions: readonly TopicPartition[]): Promise<readonly TopicPartition[]> {
		if (partitions.length === 0) return [];
		const found = await this.#connected.committed(partitions);
		// Offsets that somebody else committed count too: once seen, their absence is noticed.
		for (const each of found) if (each.offset !== null) this.#known.add(partitionName(each));
		return found.filter((each) => each.offset === null && this.#known.has(partitionName(each)));
	}

	forget(partitions: readonly TopicPartition[]): Promise<void> {
		return this.#notes.forget(partitions);
	}

	/** True if Kafka has, or had, an offset for this partition, as far as this member knows. */
	knows(partition: TopicPartition): boolean {
		return this.#known.has(partitionName(partition));
	}

	/** Resolves when no commit is under way, or after a short wait. */
	answered(): Promise<void> {
		return new Promise((resolve) => {
			const timer = this.#clock.after(COMMIT_UNDER_WAY_MS, resolve);
			void this.#underWay.then(() => {
				timer.cancel();
				resolve();
			});
		});
	}

	get #connected(): GroupClient {
		const client = this.#client();
		if (!client) throw new Error("not connected to Kafka");
		return client;
	}
}

/**
 * What the database's store needs from its table (sink/offsets/offset-table.ts): fenced by an epoch per partition, and by what was stored
 * last.
 */
export interface FencedOffsets {
	stored(partitions: readonly TopicPartition[]): Promise<readonly StoredOffset[]>;
	claim(partitions: readonly TopicPartition[]): Promise<readonly StoredOffset[]>;
	begin(starts: readonly ReachedPosition[]): Promise<readonly ReachedPosition[]>;
	/** Stores offsets of partitions whose row is still the one that this member stored last; returns the other partitions. */
	store(offsets: readonly ReachedPosition[]): Promise<readonly DisplacedOffset[]>;
	/** Returns those of these partitions whose row differs. Changes nothing. */
	look(partitions: readonly TopicPartition[]): Promise<readonly DisplacedOffset[]>;
	/** The stored offsets of these claimed partitions belong to a deleted log. */
	forget(partitions: readonly TopicPartition[]): Promise<void>;
}

/** What the mirrored store reports. */
export interface MirrorListener {
	/**
	 * These partitions belong to another member, or somebody restored or set their offsets: nothing more is stored for them under this claim.
	 */
	displaced(partitions: readonly DisplacedOffset[]): void;
	/** Kafka's copy could not be updated; nothing depends on it, and the next update covers it. */
	mirrorFailed(message: string): void;
}

/**
 * brod's `consumer_managed` offsets: the table decides, so a restored backup goes on from its own offsets. Kafka's committed offsets follow
 * it, also backwards.
 */
export class MirroredOffsetStore implements OffsetStore {
	readonly keptIn = "table";
	readonly #table: FencedOffsets;
	readonly #kafka: KafkaOffsetStore;
	readonly #listener: MirrorListener;

	constructor(table: FencedOffsets, kafka: KafkaOffsetStore, listener: MirrorListener) {
		this.#table = table;
		this.#kafka = kafka;
		this.#listener = listener;
	}

	stored(partitions: readonly TopicPartition[]): Promise<readonly StoredOffset[]> {
		return this.#table.stored(partitions);
	}

	/** Waits for a commit under way, as `KafkaOffsetStore.claim` does: the log that it was meant for may be gone. */
	async claim(partitions: readonly TopicPartition[]): Promise<readonly StoredOffset[]> {
		await this.#kafka.answered();
		// `forgotten` remembers which partitions have an offset in Kafka, so that its disappearance is noticed even if our own copy never gets
		// there. If Kafka does not answer, a later look reads them.
		const [claimed] = await Promise.all([this.#table.claim(partitions), this.#kafka.forgotten(partitions).catch(() => {})]);
		return claimed;
	}

	/** Kafka's copy follows with `goOn`. */
	begin(starts: readonly ReachedPosition[]): Promise<readonly ReachedPosition[]> {
		return this.#table.begin(starts);
	}

	/**
	 * Rejects if Kafka has no copy of a partition whose topic has no id: its disappearance is all that tells that the topic was made again.
	 */
	async goOn(starts: readonly ReachedPosition[]): Promise<void> {
		await this.#mirror(starts);
		const unmarked = starts.filter((start) => start.logId === null && !this.#kafka.knows(start));
		if (unmarked.length > 0) throw new Error(`Kafka has no copy yet of the offsets of ${unmarked.map(partitionName).join(", ")}`);
	}

	/** Stores the offsets. Whether each log is still the same is checked once more before Kafka's copy follows: the table may be slow. */
	async note(positions: readonly ReachedPosition[]): Promise<readonly TopicPartition[]> {
		const displaced = await this.#table.store(positions);
		if (displaced.length > 0) this.#listener.displaced(displaced);
		return displaced;
	}

	/** Kafka's copy follows. Does not reject. */
	commit(offsets: readonly ReachedPosition[]): Promise<void> {
		return this.#mirror(offsets);
	}

	/** Needed for partitions without messages: they store nothing, so nothing else would find a changed offset. */
	async look(assigned: () => readonly TopicPartition[]): Promise<void> {
		const displaced = stillAssigned(await this.#table.look(assigned()), assigned);
		if (displaced.length > 0) this.#listener.displaced(displaced);
	}

	forgotten(partitions: readonly TopicPartition[]): Promise<readonly TopicPartition[]> {
		return this.#kafka.forgotten(partitions);
	}

	forget(partitions: readonly TopicPartition[]): Promise<void> {
		return this.#table.forget(partitions);
	}

	elsewhere(partitions: readonly TopicPartition[]): Promise<readonly StoredOffset[]> {
		return this.#kafka.stored(partitions);
	}

	async #mirror(offsets: readonly ReachedPosition[]): Promise<void> {
		if (offsets.length === 0) return;
		try {
			await this.#kafka.commit(offsets);
		} catch (error) {
			this.#listener.mirrorFailed(messageOf(error));
		}
	}
}

/** Leaves out partitions given away meanwhile: they rightly belong to another member. */
function stillAssigned(found: readonly DisplacedOffset[], assigned: () => readonly TopicPartition[]): DisplacedOffset[] {
	const names = new Set(assigned().map(partitionName));
	return found.filter((each) => names.has(partitionName(each)));
}
