/**
 * Where the group's offsets are kept (`offsets.store`): in Kafka, or in the database with Kafka's following for the tools that show lag.
 *
 * Step 10 of a message's way (README).
 */
import { messageOf } from "../core/errors.ts";
import { partitionName, type TopicPartition, type TopicPartitionOffset } from "../core/message.ts";
import type { GroupClient, StoredOffset } from "./group-client.ts";

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
	/** Where else offsets of this group may be, for partitions that this store has none of. */
	elsewhere?(partitions: readonly TopicPartition[]): Promise<readonly StoredOffset[]>;
}

/** Offsets in Kafka's own `__consumer_offsets`. Fenced by the group's generation. */
export class KafkaOffsetStore implements OffsetStore {
	readonly #client: () => GroupClient | null;

	/** `client` is the connected one, null while there is none. */
	constructor(client: () => GroupClient | null) {
		this.#client = client;
	}

	async stored(partitions: readonly TopicPartition[]): Promise<readonly StoredOffset[]> {
		return await this.#connected.committed(partitions);
	}

	async claim(partitions: readonly TopicPartition[]): Promise<readonly StoredOffset[]> {
		return await this.#connected.committed(partitions);
	}

	async begin(starts: readonly TopicPartitionOffset[]): Promise<readonly TopicPartitionOffset[]> {
		await this.#connected.commit(starts);
		return starts;
	}

	async commit(offsets: readonly TopicPartitionOffset[]): Promise<void> {
		await this.#connected.commit(offsets);
	}

	get #connected(): GroupClient {
		const client = this.#client();
		if (!client) throw new Error("not connected to Kafka");
		return client;
	}
}

/** What the database's store needs of its table; sink/offset-table.ts is one. Fenced by an epoch per partition. */
export interface FencedOffsets {
	stored(partitions: readonly TopicPartition[]): Promise<readonly StoredOffset[]>;
	claim(partitions: readonly TopicPartition[]): Promise<readonly StoredOffset[]>;
	begin(starts: readonly TopicPartitionOffset[]): Promise<readonly TopicPartitionOffset[]>;
	/** Stores what is still this member's; returns the partitions that are somebody else's by now. */
	store(offsets: readonly TopicPartitionOffset[]): Promise<readonly TopicPartition[]>;
}

/** What the mirrored store tells. */
export interface MirrorListener {
	/** These partitions were taken over by another member, or the table was restored from a backup. */
	lost(partitions: readonly TopicPartition[]): void;
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
		const lost = await this.#table.store(offsets);
		const names = new Set(lost.map(partitionName));
		await this.#mirror(offsets.filter((each) => !names.has(partitionName(each))));
		if (lost.length > 0) this.#listener.lost(lost);
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
