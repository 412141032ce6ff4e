/**
 * Where the group's offsets are kept (`offsets.store`): in Kafka, or in the database with Kafka's following for the tools that show lag.
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

/** Longest a start waits for a commit that is under way: as long as a slow coordinator may take. */
const COMMIT_UNDER_WAY_MS = 2_000;

/** A store. Promises reject with the store's error; then nothing may be taken for granted, and the call may be repeated. */
export interface OffsetStore {
	/** Whose offsets decide where a partition begins. */
	readonly keptIn: "kafka" | "table";
	/** What is stored, changing nothing. */
	stored(partitions: readonly TopicPartition[]): Promise<readonly StoredOffset[]>;
	/**
	 * Takes over partitions that were assigned, and says what is stored: from here on a former owner can store nothing where the store
	 * fences.
	 */
	claim(partitions: readonly TopicPartition[]): Promise<readonly StoredOffset[]>;
	/**
	 * Stores where claimed partitions begin, whatever was stored; returns what holds (another member may have begun in the same moment),
	 * and leaves out what is not this member's any more.
	 */
	begin(starts: readonly ReachedPosition[]): Promise<readonly ReachedPosition[]>;
	/** Partitions go on where they are kept: what follows the store does too. Not before it is known that they are of this log. */
	goOn(starts: readonly ReachedPosition[]): Promise<void>;
	/** What has to be durable before a commit; returns those that must not be committed. A partition is never in two calls at a time. */
	note(positions: readonly ReachedPosition[]): Promise<readonly TopicPartition[]>;
	/** Stores offsets; a partition is never in two calls at a time. */
	commit(offsets: readonly ReachedPosition[]): Promise<void>;
	/** Looks whether what is stored of the assigned partitions is still what this member stored last, and tells where it is not. */
	look(assigned: () => readonly TopicPartition[]): Promise<void>;
	/** Those of which Kafka had an offset of this group, by this member's knowledge, and has none any more: their topic was deleted. */
	forgotten(partitions: readonly TopicPartition[]): Promise<readonly TopicPartition[]>;
	/** What is kept of these belongs to a log that was deleted, and no id says so: from here on it does, to whoever claims them next. */
	forget(partitions: readonly TopicPartition[]): Promise<void>;
	/** Where else offsets of this group may be, for partitions that this store has none of. */
	elsewhere?(partitions: readonly TopicPartition[]): Promise<readonly StoredOffset[]>;
}

/**
 * Offsets in Kafka's own `__consumer_offsets`. Fenced by the group's generation. Which log they are of the notes say, and whether the
 * database is as old as they are.
 */
export class KafkaOffsetStore implements OffsetStore {
	readonly keptIn = "kafka";
	readonly #client: () => GroupClient | null;
	readonly #notes: Pick<PositionNotes, "reach" | "compare" | "forget">;
	readonly #displaced: (partitions: readonly DisplacedOffset[]) => void;
	readonly #clock: Clock;
	/** The commit that was asked for last, whether or not it was answered. Never rejects. */
	#underWay: Promise<void> = Promise.resolve();
	/** Partitions of which Kafka has an offset, as far as this member knows. */
	readonly #known = new Set<string>();

	/**
	 * `client` is the connected one, null while there is none; `displaced` is told of partitions whose note was put back to another time.
	 */
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

	/** A commit that was queued before a session was lost is sent in the next one, and would go past the start that is noted meanwhile. */
	async claim(partitions: readonly TopicPartition[]): Promise<readonly StoredOffset[]> {
		await this.#answered();
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

	/** Of a partition without messages nothing is noted that would find out. */
	async look(assigned: () => readonly TopicPartition[]): Promise<void> {
		const displaced = stillAssigned(await this.#notes.compare(assigned()), assigned);
		if (displaced.length > 0) this.#displaced(displaced);
	}

	async forgotten(partitions: readonly TopicPartition[]): Promise<readonly TopicPartition[]> {
		if (partitions.length === 0) return [];
		const found = await this.#connected.committed(partitions);
		// What somebody else committed counts, too: once seen it is missed.
		for (const each of found) if (each.offset !== null) this.#known.add(partitionName(each));
		return found.filter((each) => each.offset === null && this.#known.has(partitionName(each)));
	}

	forget(partitions: readonly TopicPartition[]): Promise<void> {
		return this.#notes.forget(partitions);
	}

	/** Resolves when no commit is under way, or after a moment. */
	#answered(): Promise<void> {
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
 * What the database's store needs of its table; sink/offsets/offset-table.ts is one. Fenced by an epoch per partition, and by what was
 * stored last.
 */
export interface FencedOffsets {
	stored(partitions: readonly TopicPartition[]): Promise<readonly StoredOffset[]>;
	claim(partitions: readonly TopicPartition[]): Promise<readonly StoredOffset[]>;
	begin(starts: readonly ReachedPosition[]): Promise<readonly ReachedPosition[]>;
	/** Stores where that is there which this member stored last; returns the other partitions. */
	store(offsets: readonly ReachedPosition[]): Promise<readonly DisplacedOffset[]>;
	/** Those of these partitions where it is not. Changes nothing. */
	look(partitions: readonly TopicPartition[]): Promise<readonly DisplacedOffset[]>;
	/** What is stored of these claimed partitions belongs to a log that was deleted. */
	forget(partitions: readonly TopicPartition[]): Promise<void>;
}

/** What the mirrored store tells. */
export interface MirrorListener {
	/**
	 * These partitions are another member's, or their offsets were put back or set by somebody: nothing more is stored of them under this
	 * claim.
	 */
	displaced(partitions: readonly DisplacedOffset[]): void;
	/** Kafka's copy could not follow; nothing depends on it, and the next one covers it. */
	mirrorFailed(message: string): void;
}

/**
 * brod's `consumer_managed` offsets: the table decides, and a restored backup so goes on from its own offsets; Kafka's committed offsets
 * follow it, also back.
 */
export class MirroredOffsetStore implements OffsetStore {
	readonly keptIn = "table";
	readonly #table: FencedOffsets;
	readonly #kafka: KafkaOffsetStore;
	readonly #listener: MirrorListener;
	/** How often each partition was claimed. */
	readonly #claims = new Map<string, number>();

	constructor(table: FencedOffsets, kafka: KafkaOffsetStore, listener: MirrorListener) {
		this.#table = table;
		this.#kafka = kafka;
		this.#listener = listener;
	}

	stored(partitions: readonly TopicPartition[]): Promise<readonly StoredOffset[]> {
		return this.#table.stored(partitions);
	}

	async claim(partitions: readonly TopicPartition[]): Promise<readonly StoredOffset[]> {
		for (const name of partitions.map(partitionName)) this.#claims.set(name, (this.#claims.get(name) ?? 0) + 1);
		// What Kafka has by now is missed once it is gone, also where our own copy never gets there; what it had here before, too. Where it
		// gives no answer a look will.
		const [claimed] = await Promise.all([this.#table.claim(partitions), this.#kafka.forgotten(partitions).catch(() => {})]);
		return claimed;
	}

	async begin(starts: readonly ReachedPosition[]): Promise<readonly ReachedPosition[]> {
		const begun = await this.#table.begin(starts);
		await this.#mirror(begun);
		return begun;
	}

	goOn(starts: readonly ReachedPosition[]): Promise<void> {
		return this.#mirror(starts);
	}

	/** The table is the note. */
	async note(): Promise<readonly TopicPartition[]> {
		return [];
	}

	async commit(offsets: readonly ReachedPosition[]): Promise<void> {
		const claims = new Map(this.#claims);
		const displaced = await this.#table.store(offsets);
		const names = new Set(displaced.map(partitionName));
		// What the table took long to answer for may have begun anew meanwhile, with another log: Kafka takes an offset by name.
		const isCurrent = (name: string) => !names.has(name) && this.#claims.get(name) === claims.get(name);
		await this.#mirror(offsets.filter((each) => isCurrent(partitionName(each))));
		if (displaced.length > 0) this.#listener.displaced(displaced);
	}

	/** Of a partition without messages nothing is stored that would find out. */
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

/** What was given away meanwhile is another member's by right. */
function stillAssigned(found: readonly DisplacedOffset[], assigned: () => readonly TopicPartition[]): DisplacedOffset[] {
	const names = new Set(assigned().map(partitionName));
	return found.filter((each) => names.has(partitionName(each)));
}
