/**
 * Where the group's offsets are kept (`offsets.store`): in Kafka, or in the database with Kafka's following for the tools that show lag.
 *
 * Step 10 of a message's way (README).
 */
import type { Clock } from "../core/clock.ts";
import type { DisplacedOffset } from "../core/displaced-offset.ts";
import { messageOf } from "../core/errors.ts";
import { partitionName, type TopicPartition, type TopicPartitionOffset } from "../core/message.ts";
import type { GroupClient, StoredOffset } from "./group-client.ts";
import { KafkaError, kafkaErrors } from "./kafka-error.ts";

/** Longest a commit waits to hear whether its topic is still the same. */
const ASK_MS = 1_000;

/** A store. Promises reject with the store's error; then nothing may be taken for granted, and the call may be repeated. */
export interface OffsetStore {
	/** What is stored, changing nothing. */
	stored(partitions: readonly TopicPartition[]): Promise<readonly StoredOffset[]>;
	/** Takes over partitions that were assigned, and says what is stored: from here on a former owner can store nothing where the store fences. */
	claim(partitions: readonly TopicPartition[]): Promise<readonly StoredOffset[]>;
	/** Stores the first offset of claimed partitions; returns what holds (another member may have begun in the same moment). */
	begin(starts: readonly TopicPartitionOffset[]): Promise<readonly TopicPartitionOffset[]>;
	/** Stores offsets; a partition is never in two calls at a time. */
	commit(offsets: readonly TopicPartitionOffset[]): Promise<void>;
	/**
	 * Rejects where the topic of one of them was deleted: by its name alone Kafka would take a commit for the new topic's, whose messages up
	 * to there would be skipped. To be asked before it is decided what is committed.
	 */
	refuseVanished(partitions: readonly TopicPartition[]): Promise<void>;
	/** Those of which Kafka had an offset of this group, by this member's knowledge, and has none any more: their topic was deleted. */
	vanished(partitions: readonly TopicPartition[]): Promise<readonly TopicPartition[]>;
	/** Looks whether what is stored of the assigned partitions is still what this member stored last, and tells where it is not. */
	look(assigned: () => readonly TopicPartition[]): Promise<void>;
	/** A partition's log is another one now: what is stored is set to its beginning, for whoever claims it next. */
	begunAnew(starts: readonly TopicPartitionOffset[]): Promise<void>;
	/** Where else offsets of this group may be, for partitions that this store has none of. */
	elsewhere?(partitions: readonly TopicPartition[]): Promise<readonly StoredOffset[]>;
}

/** Offsets in Kafka's own `__consumer_offsets`. Fenced by the group's generation. */
export class KafkaOffsetStore implements OffsetStore {
	readonly #client: () => GroupClient | null;
	/** Partitions of which Kafka has an offset, as far as this member knows. */
	readonly #known = new Set<string>();

	readonly #clock: Clock;
	readonly #foundVanished: () => void;

	/** `client` is the connected one, null while there is none; `foundVanished` is told where a commit met a topic that was deleted. */
	constructor(client: () => GroupClient | null, clock: Clock, foundVanished: () => void) {
		this.#client = client;
		this.#clock = clock;
		this.#foundVanished = foundVanished;
	}

	async stored(partitions: readonly TopicPartition[]): Promise<readonly StoredOffset[]> {
		return await this.#connected.committed(partitions);
	}

	async claim(partitions: readonly TopicPartition[]): Promise<readonly StoredOffset[]> {
		const claimed = await this.#connected.committed(partitions);
		for (const each of claimed) this.#note(each, each.offset !== null);
		return claimed;
	}

	async begin(starts: readonly TopicPartitionOffset[]): Promise<readonly TopicPartitionOffset[]> {
		await this.#store(starts);
		return starts;
	}

	async commit(offsets: readonly TopicPartitionOffset[]): Promise<void> {
		await this.#store(offsets);
	}

	/** Where Kafka doesn't answer in a moment nothing is known, and the commit may show. */
	async refuseVanished(partitions: readonly TopicPartition[]): Promise<void> {
		const [gone] = await this.#answerWithin(ASK_MS, this.#gone(partitions));
		if (!gone) return;
		this.#foundVanished();
		throw new KafkaError(`${partitionName(gone)}: its topic was deleted`, kafkaErrors.unknownTopicOrPartition);
	}

	async vanished(partitions: readonly TopicPartition[]): Promise<readonly TopicPartition[]> {
		const gone = await this.#gone(partitions);
		for (const each of gone) this.#note(each, false);
		return gone;
	}

	/** Kafka fences by the group's generation. */
	async look(): Promise<void> {}

	async #gone(partitions: readonly TopicPartition[]): Promise<readonly TopicPartition[]> {
		const known = partitions.filter((each) => this.#known.has(partitionName(each)));
		if (known.length === 0) return [];
		return (await this.#connected.committed(known)).filter(({ offset }) => offset === null);
	}

	async #store(offsets: readonly TopicPartitionOffset[]): Promise<void> {
		await this.#connected.commit(offsets);
		for (const each of offsets) this.#note(each, true);
	}

	#answerWithin(timeoutMs: number, asked: Promise<readonly TopicPartition[]>): Promise<readonly TopicPartition[]> {
		return new Promise((resolve) => {
			const timer = this.#clock.after(timeoutMs, () => resolve([]));
			asked
				.catch(() => [])
				.then(resolve)
				.finally(() => timer.cancel());
		});
	}

	/** Kafka has forgotten it by itself, but a commit of the old log may have been on its way: this one is behind it. */
	begunAnew(starts: readonly TopicPartitionOffset[]): Promise<void> {
		return this.#store(starts);
	}

	#note(partition: TopicPartition, isKnown: boolean): void {
		if (isKnown) this.#known.add(partitionName(partition));
		else this.#known.delete(partitionName(partition));
	}

	get #connected(): GroupClient {
		const client = this.#client();
		if (!client) throw new Error("not connected to Kafka");
		return client;
	}
}

/** What the database's store needs of its table; sink/offset-table.ts is one. Fenced by an epoch per partition, and by what was stored last. */
export interface FencedOffsets {
	stored(partitions: readonly TopicPartition[]): Promise<readonly StoredOffset[]>;
	claim(partitions: readonly TopicPartition[]): Promise<readonly StoredOffset[]>;
	begin(starts: readonly TopicPartitionOffset[]): Promise<readonly TopicPartitionOffset[]>;
	/** Stores where that is there which this member stored last; returns the other partitions. */
	store(offsets: readonly TopicPartitionOffset[]): Promise<readonly DisplacedOffset[]>;
	/** Those of these partitions where it is not. Changes nothing. */
	look(partitions: readonly TopicPartition[]): Promise<readonly DisplacedOffset[]>;
}

/** What the mirrored store tells. */
export interface MirrorListener {
	/** These partitions are another member's, or their offsets were put back or set by somebody: nothing more is stored of them under this claim. */
	displaced(partitions: readonly DisplacedOffset[]): void;
	/** Kafka's copy could not follow; nothing depends on it, and the next one covers it. */
	mirrorFailed(message: string): void;
}

/**
 * brod's `consumer_managed` offsets: the table decides, and a restored backup so goes on from its own offsets; Kafka's committed offsets
 * follow it, also back.
 */
export class MirroredOffsetStore implements OffsetStore {
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

	async claim(partitions: readonly TopicPartition[]): Promise<readonly StoredOffset[]> {
		const claimed = await this.#table.claim(partitions);
		await this.#mirror(claimed.filter((each): each is TopicPartitionOffset => each.offset !== null));
		return claimed;
	}

	async begin(starts: readonly TopicPartitionOffset[]): Promise<readonly TopicPartitionOffset[]> {
		const begun = await this.#table.begin(starts);
		await this.#mirror(begun);
		return begun;
	}

	async commit(offsets: readonly TopicPartitionOffset[]): Promise<void> {
		const displaced = await this.#table.store(offsets);
		const names = new Set(displaced.map(partitionName));
		await this.#mirror(offsets.filter((each) => !names.has(partitionName(each))));
		if (displaced.length > 0) this.#listener.displaced(displaced);
	}

	/** Of a partition without messages nothing is stored that would find out. */
	async look(assigned: () => readonly TopicPartition[]): Promise<void> {
		const found = await this.#table.look(assigned());
		// What was given away meanwhile is another member's by right.
		const still = new Set(assigned().map(partitionName));
		const displaced = found.filter((each) => still.has(partitionName(each)));
		if (displaced.length > 0) this.#listener.displaced(displaced);
	}

	refuseVanished(partitions: readonly TopicPartition[]): Promise<void> {
		return this.#kafka.refuseVanished(partitions);
	}

	vanished(partitions: readonly TopicPartition[]): Promise<readonly TopicPartition[]> {
		return this.#kafka.vanished(partitions);
	}

	async begunAnew(starts: readonly TopicPartitionOffset[]): Promise<void> {
		await this.#table.store(starts);
		await this.#mirror(starts);
	}

	elsewhere(partitions: readonly TopicPartition[]): Promise<readonly StoredOffset[]> {
		return this.#kafka.stored(partitions);
	}

	async #mirror(offsets: readonly TopicPartitionOffset[]): Promise<void> {
		if (offsets.length === 0) return;
		try {
			await this.#kafka.commit(offsets);
		} catch (error) {
			this.#listener.mirrorFailed(messageOf(error));
		}
	}
}
