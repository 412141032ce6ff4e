/**
 * Produces dead letters to the topic, each by itself, and tries for ever. A letter goes to the partition with its message's number, so that
 * the letters of a partition stay in order. A redelivered message appends another letter, which replaces the first for readers. A letter
 * that is too large for the topic is stored without the part that makes it so large.
 *
 * Beside a message's way (docs/architecture.md).
 */

import { EventEmitter } from "eventemitter3";
import type { Config } from "../../config/config.ts";
import type { Clock } from "../../core/clock.ts";
import type { DeadLetter, DeadLetterEvents, DeadLetterTarget } from "../../core/dead-letters/dead-letter.ts";
import { LetterTrial } from "../../core/dead-letters/letter-trial.ts";
import { contentBytes } from "../../core/dead-letters/omitted-parts.ts";
import { messageOf, PocKaffeError } from "../../core/errors.ts";
import { fullJitter } from "../../core/exponential-back-off.ts";
import { isTopicMeant, partitionName, type TopicPartition } from "../../core/messages/message.ts";
import type { Random } from "../../core/random.ts";
import { missingTopicHint } from "../../core/text/missing-topic.ts";
import { eitherSignal } from "../../core/waiting/either-signal.ts";
import { lifetime } from "../../core/waiting/lifetime.ts";
import { unlessAborted } from "../../core/waiting/unless-aborted.ts";
import { KafkaError, kafkaCodeOf, kafkaErrors } from "../client/kafka-error.ts";
import { Producer } from "../producer.ts";
import { awaitTopic, createTopic, type NewTopic } from "../topics.ts";
import { refused, withRight } from "../watches/rights.ts";
import { type LetterOrigin, letterHeaders } from "./dead-letter-record.ts";
import { letterTopicPolicy } from "./letter-topic-policy.ts";

/** What storing letters needs. */
export interface DeadLetterTopicParts extends LetterOrigin {
	readonly kafka: Config["kafka"];
	readonly topic: string;
	readonly clock: Clock;
	readonly random: Random;
	/** Connects the producer. Default: by the configuration. */
	readonly connectProducer?: () => Promise<TopicProducer>;
}

/** What storing letters needs from a producer. */
export type TopicProducer = Pick<Producer, "produce" | "topics" | "topicSettings" | "close" | "gaveUp"> & AsyncDisposable;

const RETRY = { minMs: 100, maxMs: 5_000 };
const CONNECT_TIMEOUT_MS = 5_000;
/** Delivery timeout: then the record is given back and tried again, and the target counts as blocked. */
const DELIVERY_TIMEOUT_MS = 5_000;
/** The same for a large record. */
const LARGE_DELIVERY_TIMEOUT_MS = 120_000;
/** librdkafka's 30 s are for a new topic that not all brokers know yet. This one was there when the client connected. */
const ABSENT_TOPIC_MS = 5_000;
/**
 * From this size on a record may exceed 100 MiB as a request. By default no broker accepts that, and it hangs up instead of saying so.
 * Compressed, such a record may be smaller.
 */
const HUGE_BYTES = 64 * 2 ** 20;
/** `max.message.bytes` of a topic that PocKaffe creates: by default brokers accept requests of up to 100 MiB. */
const MAX_MESSAGE_BYTES = 100_000_000;
/** The cluster refuses a setting of the topic. */
const REFUSED_CONFIG: readonly number[] = [kafkaErrors.invalidConfig, kafkaErrors.policyViolation];
/** Codes of a record whose topic was deleted. The topic is looked up again, and created if it is missing. */
const GONE: readonly number[] = [kafkaErrors.unknownTopic, kafkaErrors.unknownPartition, kafkaErrors.unknownTopicOrPartition];

interface Connection {
	readonly producer: TopicProducer;
	/** Partitions of the topic. */
	readonly partitions: number;
	/** The offset of the last letter, by partition. */
	readonly offsets: Map<number, number>;
	/** A request is under way that asks whether the topic still exists. */
	isAsking: boolean;
}

/** Stores letters in the topic, and tries until they are durable. */
export class DeadLetterTopic extends EventEmitter<DeadLetterEvents> implements DeadLetterTarget {
	readonly #parts: DeadLetterTopicParts;
	readonly #ended = lifetime();
	/** Connections; the key says whether it is the one for large records. */
	readonly #connections = new Map<boolean, Promise<Connection>>();
	/** Clients that are closing: the process must not end before they have closed. */
	readonly #closing = new Set<Promise<void>>();
	readonly #storing = new Set<DeadLetter>();
	/** Letters whose last attempt failed. */
	readonly #failing = new Set<DeadLetter>();
	/** Doubts about the topic that were reported. */
	readonly #told = new Set<string>();
	/** The last attempt in the background could not reach the topic. */
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

	/** Begins to connect without waiting, so that a refusal is reported as soon as it is known, and not with the first letter. */
	async prepare(): Promise<void> {
		void this.#prepareInBackground();
	}

	async store(letter: DeadLetter, signal: AbortSignal): Promise<void> {
		using either = eitherSignal(signal, this.#ended.signal);
		const ended = either.signal;
		const trial = new LetterTrial(letter);
		this.#storing.add(letter);
		try {
			for (let failures = 1, why = "", isBrief = false; ; failures++) {
				ended.throwIfAborted();
				try {
					await unlessAborted(this.#produce(trial, isBrief), ended);
					if (trial.isCut) this.emit("letter:cut", { letter: trial.next, why });
					return;
				} catch (error) {
					ended.throwIfAborted();
					why = messageOf(error);
					const verdict = verdictOn(trial, kafkaCodeOf(error));
					if (verdict === "lighter") continue;
					if (verdict === "brief" && !isBrief) {
						isBrief = true;
						continue;
					}
					this.#failed(letter, error);
				}
				await this.#parts.clock.sleep(fullJitter(failures, RETRY, this.#parts.random), ended);
			}
		} finally {
			this.#storing.delete(letter);
			this.#changed(() => this.#failing.delete(letter));
		}
	}

	/** The next letter uses a new client, made from the present settings. Letters under way are tried again with it. */
	async renew(): Promise<void> {
		await this.#disconnect();
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

	async #produce({ next, isLarge }: LetterTrial, isBrief: boolean): Promise<void> {
		const { topic } = this.#parts;
		const connecting = this.#connected(isLarge);
		const connection = await connecting;
		const { producer, partitions, offsets } = connection;
		const { key, value } = next;
		const headers = letterHeaders(next, this.#parts, { ageMs: Math.max(0, this.#parts.clock.monotonic() - next.receivedAtMs), isBrief });
		const record = { topic, partition: next.partition % partitions, key, value, headers };
		try {
			const { partition, offset } = await producer.produce(record).catch(refused(this.#parts.kafka, { topic: ["Write", topic] }));
			// The broker gives no offset for a record that it had already.
			if (offset < 0) return;
			// The topic was deleted and created again, perhaps by a broker itself. The new one may not keep letters.
			if (offset <= (offsets.get(partition) ?? -1)) this.#lookAnew(isLarge, connecting, DELIVERY_TIMEOUT_MS);
			else offsets.set(partition, offset);
		} catch (error) {
			const code = kafkaCodeOf(error);
			if (GONE.includes(code)) this.#lookAnew(isLarge, connecting, 0);
			if (code === kafkaErrors.messageTimedOut) void this.#askWhetherGone(isLarge, connecting, connection);
			throw error;
		} finally {
			if (producer.gaveUp) void this.#disconnect();
		}
	}

	/**
	 * A record times out if the topic is gone, but also if only its partition has no leader; letters of other partitions go on then. Asks
	 * once for many letters, and no letter waits for the answer.
	 */
	async #askWhetherGone(forLarge: boolean, connecting: Promise<Connection>, connection: Connection): Promise<void> {
		if (connection.isAsking) return;
		connection.isAsking = true;
		const { producer, partitions } = connection;
		const topics = await producer.topics(undefined, CONNECT_TIMEOUT_MS).catch(() => null);
		connection.isAsking = false;
		const found = topics?.get(this.#parts.topic);
		if (topics && found !== partitions) this.#lookAnew(forLarge, connecting, found === undefined ? 0 : DELIVERY_TIMEOUT_MS);
	}

	/**
	 * The next letter looks for the topic again. If several letters find this out together, only the first closes the client. The client gets
	 * `flushMs` to report the records that it still has.
	 */
	#lookAnew(forLarge: boolean, connecting: Promise<Connection>, flushMs: number): void {
		if (this.#connections.get(forLarge) !== connecting) return;
		this.#connections.delete(forLarge);
		void this.#close(connecting, flushMs);
	}

	#failed(letter: DeadLetter, error: unknown): void {
		const code = kafkaCodeOf(error);
		if (code === kafkaErrors.fatal || code === kafkaErrors.state) void this.#disconnect();
		const hint =
			code === kafkaErrors.messageTooLarge ? "; raise the topic's max.message.bytes: even the letter without its message is too large" : "";
		this.#changed(() => this.#failing.add(letter), `${messageOf(error)}${hint} (${partitionName(letter)} offset ${letter.offset})`);
	}

	/** Makes a change, and reports it if it blocks or unblocks the target. */
	#changed(change: () => void, message = ""): void {
		const before = this.blocked;
		change();
		if (this.blocked === before) return;
		if (this.blocked) this.emit("target:blocked", { message: `dead letters can't be stored in topic ${this.#parts.topic}: ${message}` });
		else this.emit("target:unblocked");
	}

	/** Large records have a client of their own, because the delivery timeout is a setting of the client. */
	#connected(forLarge = false): Promise<Connection> {
		const known = this.#connections.get(forLarge);
		if (known) return known;
		const connecting = this.#connect(forLarge ? LARGE_DELIVERY_TIMEOUT_MS : DELIVERY_TIMEOUT_MS).catch((error) => {
			if (this.#connections.get(forLarge) === connecting) this.#connections.delete(forLarge);
			throw error;
		});
		this.#connections.set(forLarge, connecting);
		return connecting;
	}

	async #connect(deliveryTimeoutMs: number): Promise<Connection> {
		const { kafka, connectProducer } = this.#parts;
		const producer = connectProducer
			? await connectProducer()
			: await Producer.connect(kafka, { timeoutMs: CONNECT_TIMEOUT_MS, deliveryTimeoutMs, absentTopicMs: ABSENT_TOPIC_MS });
		try {
			return { producer, partitions: await this.#existing(producer), offsets: new Map(), isAsking: false };
		} catch (error) {
			await producer[Symbol.asyncDispose]();
			throw error;
		}
	}

	/** Number of the topic's partitions. Creates the topic if it is missing, with as many partitions as the largest topic that is read. */
	async #existing(producer: TopicProducer): Promise<number> {
		const { kafka, topic, clock } = this.#parts;
		const found = await producer.topics();
		const sources = [...found].filter(([name]) => kafka.topics.some((entry) => isTopicMeant(entry, name)));
		const names = sources.map(([name]) => name);
		const present = found.get(topic);
		if (present !== undefined) return this.#judged(producer, names, present);
		const partitions = sources.length > 0 ? Math.max(...sources.map(([, count]) => count)) : -1;
		try {
			await createLetterTopic(kafka, { name: topic, partitions, replication: -1 });
			await awaitTopic(kafka, clock, topic, Math.max(1, partitions));
		} catch (error) {
			// A user who may not create topics may still be served by a broker that does; or another daemon was faster.
			const made = (await producer.topics(topic)).get(topic);
			if (made === undefined) throw withRights(kafka, topic, error);
			return this.#judged(producer, names, made);
		}
		const made = (await producer.topics(topic)).get(topic);
		if (made === undefined) throw new PocKaffeError("no_topic", `there is no topic ${topic}: ${missingTopicHint(topic)}`);
		return made;
	}

	/** The partitions of a topic that somebody else created. Rejects if letters would be lost there. */
	async #judged(producer: TopicProducer, sources: readonly string[], partitions: number): Promise<number> {
		const { kafka, topic } = this.#parts;
		const settings = await producer.topicSettings([topic, ...sources]).catch((error: KafkaError) => error);
		const own = settings instanceof KafkaError ? null : settings?.get(topic);
		// The topic is being deleted; the broker that listed it did not know that yet.
		if (own instanceof KafkaError && own.kafkaCode === kafkaErrors.unknownTopicOrPartition) throw own;
		const { refusal, doubts, unknown } = letterTopicPolicy({ kafka, topic, sources, settings });
		if (refusal !== null) throw new PocKaffeError("letters_compacted", refusal);
		for (const doubt of unknown === null ? doubts : [unknown]) {
			if (this.#told.has(doubt)) continue;
			this.#told.add(doubt);
			this.emit("target:doubtful", { message: `dead letters go to topic ${topic}: ${doubt}` });
		}
		return partitions;
	}

	async #disconnect(): Promise<void> {
		// Letters still under way are given up by their callers, or tried again with the next connection.
		for (const connecting of this.#connections.values()) void this.#close(connecting, 0);
		this.#connections.clear();
		await Promise.all(this.#closing);
	}

	#close(connecting: Promise<Connection>, flushMs: number): Promise<void> {
		const closing = connecting
			.then(
				({ producer }) => producer.close(flushMs),
				() => {},
			)
			.finally(() => this.#closing.delete(closing));
		this.#closing.add(closing);
		return closing;
	}
}

/** A user who may not write to a topic can't see whether it exists. */
function withRights(kafka: Config["kafka"], topic: string, error: unknown): unknown {
	if (!(error instanceof KafkaError)) return error;
	const told = withRight(kafka, { topic: ["Write", topic] }, error);
	if (told === error) return error;
	return new KafkaError(`${told.message}; if there is no such topic yet, it needs Create as well as Write`, error.kafkaCode, {
		cause: error,
	});
}

/**
 * Letters are kept until somebody replays or discards them, and are as large as messages: so the topic has no retention, and takes as much
 * as a broker accepts in one request.
 */
async function createLetterTopic(kafka: Config["kafka"], topic: NewTopic): Promise<void> {
	const keep = { "cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1" };
	try {
		await createTopic(kafka, { ...topic, config: { ...keep, "max.message.bytes": String(MAX_MESSAGE_BYTES) } });
	} catch (error) {
		// A cluster may have limits of its own; then a letter that is too large is stored without its value.
		if (!REFUSED_CONFIG.includes(kafkaCodeOf(error))) throw error;
		await createTopic(kafka, { ...topic, config: keep });
	}
}

/** What to try at once: `lighter` with less of the message, `brief` with shorter texts. Null: the same again, later. */
function verdictOn(trial: LetterTrial, code: number): "lighter" | "brief" | null {
	const before = trial.next;
	if (code === kafkaErrors.messageTooLarge) return trial.tooLarge(true) ? "lighter" : "brief";
	if (code === kafkaErrors.messageTimedOut && contentBytes(trial.letter) > HUGE_BYTES) trial.tooLarge(false);
	else trial.failed();
	return trial.isCut && trial.next !== before ? "lighter" : null;
}
