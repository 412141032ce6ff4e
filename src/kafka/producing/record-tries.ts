/**
 * Produces the records of a topic one by one, each until the broker has it or refuses it for good. This finds the bad record of a batch;
 * and only one record at a time meets a missing topic or right. All topics share a few clients; a topic in its back-off has none.
 */

import type { Clock } from "../../core/clock.ts";
import { PocKaffeError } from "../../core/errors.ts";
import { fullJitter, KAFKA_RETRY } from "../../core/exponential-back-off.ts";
import { sizeOfRecord } from "../../core/messages/records.ts";
import type { Random } from "../../core/random.ts";
import { Semaphore } from "../../core/waiting/semaphore.ts";
import { KafkaError, kafkaErrors } from "../client/kafka-error.ts";
import type { Part } from "./record-lane.ts";
import type { SingleRecords } from "./record-producer-parts.ts";

/** A topic whose records are tried, as its lane shows it. */
export interface TriedTopic {
	/** The next record that somebody waits for; null if there is none. */
	next(): Part | null;
	/** True if no record after this one has to be tried. */
	isLast(part: Part): boolean;
	acknowledged(part: Part): void;
	/** The broker never takes it. */
	refused(part: Part, error: KafkaError): void;
	/** The record could not be produced now; it is tried again after a back-off. */
	blocked(error: unknown): void;
}

/** What tries are made with. */
export interface RecordTriesParts {
	readonly clock: Clock;
	readonly random: Random;
	readonly signal: AbortSignal;
	/** `bytes`: size of the first record. */
	readonly connect: (bytes: number) => Promise<SingleRecords>;
}

/** Topics that are tried at the same time. Each has a native client of its own meanwhile. */
const MOST_TRIES = 4;
/** Errors of a record that no later try changes. */
const REFUSED: readonly number[] = [
	kafkaErrors.messageTooLarge,
	kafkaErrors.recordListTooLarge,
	kafkaErrors.invalidTopic,
	kafkaErrors.invalidTimestamp,
	kafkaErrors.policyViolation,
	kafkaErrors.invalidRecord,
	kafkaErrors.unknownPartition,
];

/** Whether this error means that the broker will never take the record. */
export function isRefusedForGood({ kafkaCode }: KafkaError): boolean {
	return REFUSED.includes(kafkaCode);
}

/** Tries records one by one, for several topics at the same time. */
export class RecordTries {
	readonly #parts: RecordTriesParts;
	readonly #places = new Semaphore(MOST_TRIES);
	readonly #clients = new Set<SingleRecords>();

	constructor(parts: RecordTriesParts) {
		this.#parts = parts;
	}

	/** Resolves when the broker has the topic's last record or refuses it, or when the signal is aborted. Never rejects. */
	async run(topic: TriedTopic): Promise<void> {
		const { clock, random, signal } = this.#parts;
		for (let failures = 0; !signal.aborted; ) {
			const failed = await this.#places.run(() => this.#byOneClient(topic));
			if (!failed || signal.aborted) return;
			failures = failed.hasMoved ? 1 : failures + 1;
			topic.blocked(failed.error);
			await clock.sleep(fullJitter(failures, KAFKA_RETRY, random), signal).catch(() => {});
		}
	}

	/** Closes the clients of the tries under way, without waiting for their records. The signal is aborted before. */
	async close(): Promise<void> {
		const clients = [...this.#clients];
		this.#clients.clear();
		await Promise.all(clients.map((client) => client.close()));
	}

	/** Null after the topic's last record. If one can't be produced now: why, and whether any was done before it. */
	async #byOneClient(topic: TriedTopic): Promise<{ error: unknown; hasMoved: boolean } | null> {
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
			// If it is not in the set, `close` closed it.
			if (client && this.#clients.delete(client)) await client.close();
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

	/** Throws if the record may go through later. */
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

/** The error to refuse the record with; null if it may go through later. What the client itself can't send is refused as well. */
function refusalOf(error: unknown): KafkaError | null {
	if (error instanceof KafkaError) return isRefusedForGood(error) ? error : null;
	if (!(error instanceof PocKaffeError) || error.code !== "header_nul") return null;
	return new KafkaError(error.message, kafkaErrors.invalidRecord, { cause: error });
}
