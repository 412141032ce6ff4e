/**
 * The dead-letter topic as the commands use it. It is read each time from its beginning to its present end, without joining a group. The
 * records of each letter are folded (letter-fold.ts), keeping only their places; whole letters are read a second time, page by page. A
 * letter's new state is appended as a record: a mark, or the letter again. Letters can't be deleted, except by the topic's retention.
 */
import type { Config } from "../../config/config.ts";
import type { Clock } from "../../core/clock.ts";
import {
	type LetterCount,
	type LetterFate,
	type LetterFilter,
	type LetterIdentity,
	type LetterPosition,
	type LetterStore,
	type ReplayFailure,
	refusedRowsOf,
	type StoredLetter,
} from "../../core/dead-letters/dead-letter.ts";
import { letterVerbs } from "../../core/dead-letters/letter-state.ts";
import { contentBytes } from "../../core/dead-letters/omitted-parts.ts";
import { ExitError, exitCodes } from "../../core/errors.ts";
import { kafkaCodeOf, kafkaErrors } from "../client/kafka-error.ts";
import { LogReader } from "../log-reader.ts";
import { Producer, type ProducerRecord } from "../producer.ts";
import { absentTopic } from "../watches/absent-topic.ts";
import { refused } from "../watches/rights.ts";
import { type LetterOrigin, type LetterRecord, letterHeaders, markHeaders, readLetterRecord } from "./dead-letter-record.ts";
import { type FoldedLetter, LetterFold } from "./letter-fold.ts";
import { LetterPages, type LetterPlace } from "./letter-pages.ts";

/** What the store needs. */
export interface DeadLetterTopicStoreParts extends LetterOrigin {
	readonly kafka: Config["kafka"];
	readonly topic: string;
	readonly clock: Clock;
	/** Aborted to end a read. */
	readonly signal: AbortSignal;
	/** Connects the reader. Default: by the configuration. */
	readonly connectReader?: () => Promise<LetterReader>;
	/** Connects the producer. Default: by the configuration. */
	readonly connectProducer?: () => Promise<LetterProducer>;
}

/** What the store needs from a reader. */
export type LetterReader = Pick<LogReader, "metadata" | "watermarks" | "topicIds" | "read"> & AsyncDisposable;
/** What it needs from a producer. */
export type LetterProducer = Pick<Producer, "produce" | "topics"> & AsyncDisposable;

/** A letter without its contents: only the place of its newest record. */
type Found = FoldedLetter<LetterPlace>;

/** Maximum records under way at a time. */
const AT_ONCE = 1_000;
/** Lists, reads and marks letters of the topic. */
export class DeadLetterTopicStore implements LetterStore {
	readonly #parts: DeadLetterTopicStoreParts;
	#producer: Promise<LetterProducer> | null = null;
	/** The records of the letters that were returned. */
	readonly #folded = new WeakMap<StoredLetter, Found>();

	constructor(parts: DeadLetterTopicStoreParts) {
		this.#parts = parts;
	}

	async count(filter: LetterFilter): Promise<LetterCount[]> {
		await using reader = await this.#connect();
		const counts = new Map<string, LetterCount>();
		for (const { topic, state } of await this.#find(reader, filter)) {
			const name = JSON.stringify([topic, state]);
			counts.set(name, { topic, state, letters: (counts.get(name)?.letters ?? 0) + 1 });
		}
		return [...counts.values()].sort((left, right) => compareTexts(left.topic, right.topic) || compareTexts(left.state, right.state));
	}

	async *read(filter: LetterFilter, most = Number.POSITIVE_INFINITY): AsyncGenerator<readonly StoredLetter[]> {
		await using reader = await this.#connect();
		const found = (await this.#find(reader, filter)).sort(byPosition);
		const pages = new LetterPages(reader, this.#parts.topic);
		for await (const page of pages.read(found.slice(0, most))) {
			yield page.map(([folded, content]) => {
				const { content: _, homes: __, firstAtMs, lastAtMs, ...standing } = folded;
				const times = { firstAt: new Date(firstAtMs).toISOString(), lastAt: new Date(lastAtMs).toISOString() };
				const letter = { ...content, ...standing, ...times };
				this.#folded.set(letter, folded);
				return letter;
			});
		}
	}

	/** Keeps positions only: the letters hold whole messages, and there may be many of them. */
	async unreplayed(): Promise<LetterPosition[]> {
		await using reader = await this.#connect();
		const fold = new LetterFold((letter) => ({ reason: letter.reason, rows: refusedRowsOf(letter), rowsLeftOut: letter.rowsLeftOut }));
		await this.#take(reader, (record) => fold.take(record));
		const positions: LetterPosition[] = [];
		for (const { topic, partition, offset, topicId, timestamp, state, content } of fold.letters()) {
			if (state !== "replayed") positions.push({ topic, partition, offset, topicId, timestamp, state, ...content });
		}
		return positions;
	}

	async settle(fates: readonly LetterFate[]): Promise<void> {
		await this.#produceAll(fates, async ({ letter, failure }) => {
			const folded = this.#folded.get(letter);
			if (!folded) return;
			if (failure === null) await this.#mark(folded, "replayed", letter.key);
			else await this.#renew(letter, folded, failure);
		});
	}

	async discard(filter: LetterFilter): Promise<number> {
		await using reader = await this.#connect();
		const found = await this.#find(reader, filter);
		const open = found.filter(({ state }) => letterVerbs.discard.from.includes(state));
		await this.#produceAll(open, (folded) => this.#mark(folded, "discarded", null));
		return open.length;
	}

	async purge(): Promise<never> {
		const { topic } = this.#parts;
		const rule = `the letters of topic ${topic} can't be deleted one by one: only the topic's retention (retention.ms) deletes them`;
		throw new ExitError(exitCodes.usage, "letters_in_topic", rule);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		const producer = await this.#producer?.catch(() => null);
		await producer?.[Symbol.asyncDispose]();
	}

	/**
	 * Appends the mark to the partitions that have the letter's records, so that it comes after them: the topic may have got more partitions
	 * since.
	 */
	async #mark({ homes, ...of }: Found, state: "replayed" | "discarded", key: Buffer | null): Promise<void> {
		const headers = markHeaders(of, state, this.#parts);
		const standing = homes.filter((home) => home.state !== state && home.state !== "replayed");
		await Promise.all(standing.map(({ partition }) => this.#produce({ partition, key, value: null, headers })));
	}

	/** Appends the letter again with what the replay met, in a partition where its state is the present one. */
	async #renew(letter: StoredLetter, folded: Found, failure: ReplayFailure): Promise<void> {
		const { homes, state } = folded;
		const home = homes.find((each) => each.state === state);
		if (!home || state === "replayed") return;
		const { partition } = home;
		const attempts = letter.attempts + failure.attempts;
		const failed = {
			...letter,
			...failure,
			attempts,
			state: state === "skipped" ? state : "open",
			receivedAtMs: 0,
			rowsLeftOut: 0,
		} as const;
		const write = (isBrief: boolean) => {
			const headers = letterHeaders({ ...failed, reason: failure.reason }, this.#parts, { ageMs: 0, isBrief });
			return this.#produce({ partition, key: letter.key, value: letter.value, headers });
		};
		await write(false).catch((error) => {
			if (kafkaCodeOf(error) !== kafkaErrors.messageTooLarge) throw error;
			return write(true);
		});
		// Until all marks are written the letter stays open: better shown once too often than lost.
		if (state === "discarded")
			await this.#produce({ partition, key: letter.key, value: null, headers: markHeaders(letter, state, this.#parts) });
	}

	async #produceAll<T>(list: readonly T[], each: (entry: T) => Promise<void>): Promise<void> {
		for (let from = 0; from < list.length; from += AT_ONCE) await Promise.all(list.slice(from, from + AT_ONCE).map(each));
	}

	async #produce(record: Omit<ProducerRecord, "topic">): Promise<void> {
		const { topic, kafka, connectProducer = () => Producer.connect(kafka) } = this.#parts;
		this.#producer ??= connectProducer();
		const producer = await this.#producer;
		const produce = () => producer.produce({ topic, ...record });
		await produce()
			.catch(async (error) => {
				if (kafkaCodeOf(error) !== kafkaErrors.unknownPartition) throw error;
				// The partition was added after the producer had connected: it knows the topic's partitions after asking.
				await producer.topics(topic);
				return produce();
			})
			.catch(refused(kafka, { topic: ["Write", topic] }));
	}

	/** Finds matching letters, in no order. */
	async #find(reader: LetterReader, { states, topicId, reason, ...place }: LetterFilter): Promise<Found[]> {
		const fold = new LetterFold((letter, { partition, offset }): LetterPlace | null =>
			reason === undefined || letter.reason === reason ? { partition, offset, bytes: contentBytes(letter) } : null,
		);
		await this.#take(reader, (record) => {
			// Records that can't match are not kept. State, log and reason may still change.
			if (matches(record.type === "letter" ? record.letter : record.of, place)) fold.take(record);
		});
		const found: Found[] = [];
		for (const folded of fold.letters()) {
			const isWanted = (states?.includes(folded.state) ?? true) && (topicId === undefined || folded.topicId === topicId);
			if (isWanted && folded.content) found.push(folded as Found);
		}
		return found;
	}

	#connect(): Promise<LetterReader> {
		const { kafka, consumerGroup, clock, signal, connectReader } = this.#parts;
		return connectReader?.() ?? LogReader.connect(kafka, clock, `${consumerGroup}-dead-letters`, signal);
	}

	/** Reads all partitions up to their present ends: this group's records, in each partition's order. */
	async #take(reader: LetterReader, take: (record: LetterRecord) => void): Promise<void> {
		const { kafka, topic } = this.#parts;
		await this.#takeAll(reader, take).catch(refused(kafka, { topic: ["Read", topic] }));
	}

	async #takeAll(reader: LetterReader, take: (record: LetterRecord) => void): Promise<void> {
		const { kafka, topic, consumerGroup } = this.#parts;
		const found = reader.metadata.topics.find(({ name, partitions }) => name === topic && partitions.length > 0);
		if (!found) throw await absentTopic({ client: reader, kafka, wanted: "Read" }, topic, ": no dead letter was written yet");
		const ranges = await Promise.all(
			found.partitions.map(async ({ id: partition }) => {
				const { low, high } = await reader.watermarks({ topic, partition });
				return { topic, partition, from: low, to: high };
			}),
		);
		for await (const [, messages] of reader.read(ranges)) {
			for (const message of messages) {
				const record = readLetterRecord(message);
				if (record?.consumerGroup === consumerGroup) take(record);
			}
		}
	}
}

/** True if the letter matches; what is undefined in `wanted` matches everything. */
function matches(
	letter: Pick<LetterIdentity, "topic" | "partition" | "offset">,
	wanted: Pick<LetterFilter, "topic" | "partition" | "offset">,
): boolean {
	return (["topic", "partition", "offset"] as const).every((name) => wanted[name] === undefined || letter[name] === wanted[name]);
}

function byPosition(left: LetterIdentity, right: LetterIdentity): number {
	const logs = compareTexts(left.topicId ?? "", right.topicId ?? "") || left.offset - right.offset || left.timestamp - right.timestamp;
	return compareTexts(left.topic, right.topic) || left.partition - right.partition || logs;
}

function compareTexts(left: string, right: string): number {
	return left < right ? -1 : Number(left > right);
}
