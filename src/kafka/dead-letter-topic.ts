/**
 * The dead-letter topic: produces letters, for ever trying, each for itself. A letter goes to the partition of its message's number,
 * so that the letters of a partition stay in order. A redelivery of the same message appends another letter, which takes the place of
 * the first for whoever reads.
 *
 * A side way of a message's way (README).
 */

import { EventEmitter } from "eventemitter3";
import type { Config } from "../config/config.ts";
import { fullJitter } from "../core/back-off.ts";
import type { Clock } from "../core/clock.ts";
import type { DeadLetter, DeadLetterEvents, DeadLetterTarget } from "../core/dead-letter.ts";
import { messageOf, PocKaffeError } from "../core/errors.ts";
import { lifetime } from "../core/lifetime.ts";
import { isTopicMeant, partitionName, type TopicPartition } from "../core/message.ts";
import type { Random } from "../core/random.ts";
import { type LetterOrigin, letterHeaders } from "./dead-letter-record.ts";
import { Producer } from "./producer.ts";
import { awaitTopic, createTopic } from "./topics.ts";

/** What the topic is reached with. */
export interface DeadLetterTopicParts extends LetterOrigin {
	readonly kafka: Config["kafka"];
	readonly topic: string;
	readonly clock: Clock;
	readonly random: Random;
}

const RETRY = { minMs: 100, maxMs: 5_000 };
const CONNECT_TIMEOUT_MS = 5_000;
/** Then the record is given back and tried anew, and the target counts as blocked. */
const DELIVERY_TIMEOUT_MS = 5_000;
/** librdkafka's codes after which a producer is of no use any more, and that of a record that is too large. */
const codes = { fatal: "kafka_-150", state: "kafka_-172", tooLarge: "kafka_10" };

interface Connection {
	readonly producer: Producer;
	/** Partitions of the topic. */
	readonly partitions: number;
}

/** See the file's header. */
export class DeadLetterTopic extends EventEmitter<DeadLetterEvents> implements DeadLetterTarget {
	readonly #parts: DeadLetterTopicParts;
	readonly #ended = lifetime();
	#connection: Promise<Connection> | null = null;
	readonly #storing = new Set<DeadLetter>();
	/** Letters whose last try failed. */
	readonly #failing = new Set<DeadLetter>();
	/** The topic could not be reached when it was last tried without a letter. */
	#unreachable = false;

	constructor(parts: DeadLetterTopicParts) {
		super();
		this.#parts = parts;
	}

	get blocked(): boolean {
		return this.#failing.size > 0 || this.#unreachable;
	}

	isMoving({ topic, partition }: TopicPartition): boolean {
		const isIts = (letter: DeadLetter) => letter.topic === topic && letter.partition === partition;
		return !this.#unreachable && [...this.#storing].some((letter) => isIts(letter) && !this.#failing.has(letter));
	}

	/** Begins to connect and doesn't wait: what the broker refuses is told as soon as it is known, not with the first letter. */
	async prepare(): Promise<void> {
		void this.#prepareInBackground();
	}

	async store(letter: DeadLetter, signal: AbortSignal): Promise<void> {
		const ended = AbortSignal.any([signal, this.#ended.signal]);
		this.#storing.add(letter);
		try {
			for (let failures = 1; ; failures++) {
				ended.throwIfAborted();
				try {
					return await abortable(this.#produce(letter), ended);
				} catch (error) {
					ended.throwIfAborted();
					this.#failed(letter, error);
				}
				await this.#parts.clock.sleep(fullJitter(failures, RETRY, this.#parts.random), ended);
			}
		} finally {
			this.#storing.delete(letter);
			this.#changed(() => this.#failing.delete(letter));
		}
	}

	async dispose(): Promise<void> {
		this.#ended.abort(new Error("the dead letters were ended"));
		await this.#disconnect();
	}

	async #prepareInBackground(): Promise<void> {
		for (let failures = 0; !this.#ended.signal.aborted; ) {
			try {
				await this.#connected();
				this.#changed(() => (this.#unreachable = false));
				return;
			} catch (error) {
				failures++;
				this.#changed(() => (this.#unreachable = true), messageOf(error));
			}
			await this.#parts.clock.sleep(fullJitter(failures, RETRY, this.#parts.random), this.#ended.signal).catch(() => {});
		}
	}

	async #produce(letter: DeadLetter): Promise<void> {
		const { topic } = this.#parts;
		const { producer, partitions } = await this.#connected();
		const partition = letter.partition % partitions;
		await producer.produce({ topic, partition, key: letter.key, value: letter.value, headers: letterHeaders(letter, this.#parts) });
	}

	#failed(letter: DeadLetter, error: unknown): void {
		const code = error instanceof PocKaffeError ? error.code : "";
		if (code === codes.fatal || code === codes.state) void this.#disconnect();
		const bytes = (letter.key?.length ?? 0) + (letter.value?.length ?? 0);
		const hint =
			code === codes.tooLarge ? `; raise the topic's max.message.bytes (key and value have ${bytes} bytes, headers come on top)` : "";
		this.#changed(() => this.#failing.add(letter), `${messageOf(error)}${hint} (${partitionName(letter)} offset ${letter.offset})`);
	}

	/** Tells when `change` blocks or unblocks the target. */
	#changed(change: () => void, message = ""): void {
		const before = this.blocked;
		change();
		if (this.blocked === before) return;
		if (this.blocked) this.emit("target:blocked", { message: `dead letters can't be stored in topic ${this.#parts.topic}: ${message}` });
		else this.emit("target:unblocked");
	}

	#connected(): Promise<Connection> {
		this.#connection ??= this.#connect().catch((error) => {
			this.#connection = null;
			throw error;
		});
		return this.#connection;
	}

	async #connect(): Promise<Connection> {
		const producer = await Producer.connect(this.#parts.kafka, { timeoutMs: CONNECT_TIMEOUT_MS, deliveryTimeoutMs: DELIVERY_TIMEOUT_MS });
		try {
			return { producer, partitions: await this.#existing(producer) };
		} catch (error) {
			await producer[Symbol.asyncDispose]();
			throw error;
		}
	}

	/** Partitions of the topic; it is created where it is missing, with as many as the largest of the topics that are read has. */
	async #existing(producer: Producer): Promise<number> {
		const { kafka, topic, clock } = this.#parts;
		const found = await producer.topics();
		const present = found.get(topic);
		if (present !== undefined) return present;
		const sources = [...found]
			.filter(([name]) => kafka.topics.some((entry) => isTopicMeant(entry, name)))
			.map(([, partitions]) => partitions);
		const partitions = sources.length > 0 ? Math.max(...sources) : -1;
		try {
			await createTopic(kafka, { name: topic, partitions, replication: -1 });
			await awaitTopic(kafka, clock, topic, Math.max(1, partitions));
		} catch (error) {
			// Who may not create topics may still be served by a broker that does; another daemon may have been faster.
			const made = (await producer.topics(topic)).get(topic);
			if (made === undefined) throw error;
		}
		const made = (await producer.topics(topic)).get(topic);
		if (made === undefined) throw new PocKaffeError("no_topic", `topic ${topic} is missing: pockaffe topic create ${topic} -p 1`);
		return made;
	}

	async #disconnect(): Promise<void> {
		const connection = this.#connection;
		this.#connection = null;
		const { producer } = (await connection?.catch(() => null)) ?? {};
		// Letters still under way are given up by their callers or tried again by the next connection.
		await producer?.close(0);
	}
}

/** The promise's end, or the signal's if that is sooner. */
function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
	return new Promise((resolve, reject) => {
		const onAbort = () => reject(signal.reason);
		signal.addEventListener("abort", onAbort, { once: true });
		promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
	});
}
