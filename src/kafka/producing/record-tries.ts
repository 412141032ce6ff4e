/**
 * Records of a topic one by one, each until the broker has it or refuses it for good: so it is found which of a batch is refused, and a
 * missing topic or right is met by one record and not by all. A few clients for all topics; who waits for the next try has none.
 */
import { fullJitter } from "../../core/back-off.ts";
import type { Clock } from "../../core/clock.ts";
import { PocKaffeError } from "../../core/errors.ts";
import { sizeOfRecord } from "../../core/messages/records.ts";
import type { Random } from "../../core/random.ts";
import { KafkaError, kafkaErrors } from "../client/kafka-error.ts";
import { Places } from "./places.ts";
import type { Part } from "./record-lane.ts";
import { RETRY, type SingleRecords } from "./record-producer-parts.ts";

/** A topic whose records are tried. */
export interface TriedTopic {
	/** The next record that somebody waits for; null where there is none. */
	next(): Part | null;
	/** No more have to be tried behind this one. */
	isLast(part: Part): boolean;
	acknowledged(part: Part): void;
	refused(part: Part, error: KafkaError): void;
	/** It is tried again. */
	blocked(error: unknown): void;
}

/** What tries are made with. */
export interface RecordTriesParts {
	readonly clock: Clock;
	readonly random: Random;
	readonly signal: AbortSignal;
	readonly connect: (bytes: number) => Promise<SingleRecords>;
}

/** Topics that are tried at a time: each has a native client meanwhile. */
const MOST_TRIES = 4;
/**
 * Never, whoever tries: too large (10, 18), no name of a topic (17), its timestamp (32), refused by a policy of the broker (44), what is in
 * it (87), a partition that is not there (-190).
 */
const INVALID_RECORD = 87;
const REFUSED: readonly number[] = [10, kafkaErrors.invalidTopic, 18, 32, 44, INVALID_RECORD, kafkaErrors.unknownPartition];

/** Whether the broker never takes what it answers so. */
export function isRefusedForGood({ kafkaCode }: KafkaError): boolean {
	return REFUSED.includes(kafkaCode);
}

/** See the file's header. */
export class RecordTries {
	readonly #parts: RecordTriesParts;
	readonly #places = new Places(MOST_TRIES);
	readonly #clients = new Set<SingleRecords>();

	constructor(parts: RecordTriesParts) {
		this.#parts = parts;
	}

	/** Resolves when the topic's last record is tried, or the signal is aborted. */
	async run(topic: TriedTopic): Promise<void> {
		const { clock, random, signal } = this.#parts;
		for (let failures = 0; !signal.aborted; ) {
			const failed = await this.#byOneClient(topic);
			if (!failed || signal.aborted) return;
			failures = failed.hasMoved ? 1 : failures + 1;
			topic.blocked(failed.error);
			await clock.sleep(fullJitter(failures, RETRY, random), signal).catch(() => {});
		}
	}

	/** Ends what is under way: nobody looks for it any more. */
	async close(): Promise<void> {
		const clients = [...this.#clients];
		this.#clients.clear();
		await Promise.all(clients.map((client) => client.close()));
	}

	/** Until the last record, or the first that does not go now: then why, and whether any went. */
	async #byOneClient(topic: TriedTopic): Promise<{ error: unknown; hasMoved: boolean } | null> {
		const leave = await this.#places.enter();
		let client: SingleRecords | null = null;
		let hasMoved = false;
		try {
			for (let next = this.#nextOf(topic); next; next = topic.isLast(next) ? null : this.#nextOf(topic)) {
				client ??= await this.#connect(next);
				if (this.#parts.signal.aborted) break;
				await this.#one(client, topic, next);
				hasMoved = true;
			}
			return null;
		} catch (error) {
			return { error, hasMoved };
		} finally {
			// Else it is closed already.
			if (client && this.#clients.delete(client)) await client.close();
			leave();
		}
	}

	#nextOf(topic: TriedTopic): Part | null {
		return this.#parts.signal.aborted ? null : topic.next();
	}

	async #connect({ parcel, from }: Part): Promise<SingleRecords> {
		const client = await this.#parts.connect(sizeOfRecord(parcel.block, from));
		this.#clients.add(client);
		return client;
	}

	/** Throws where it may go through later. */
	async #one(client: SingleRecords, topic: TriedTopic, part: Part): Promise<void> {
		try {
			await client.produce(part);
		} catch (error) {
			const refusal = refusalOf(error);
			if (!refusal) throw error;
			if (!this.#parts.signal.aborted) topic.refused(part, refusal);
			return;
		}
		topic.acknowledged(part);
	}
}

/** Null where it may go through later. What the client itself can't send is refused, too: no waiting changes it. */
function refusalOf(error: unknown): KafkaError | null {
	if (error instanceof KafkaError) return isRefusedForGood(error) ? error : null;
	if (!(error instanceof PocKaffeError) || error.code !== "header_nul") return null;
	return new KafkaError(error.message, INVALID_RECORD, { cause: error });
}
