/**
 * The dead-letter topic as people work with it: read from its beginning to its present end each time, without joining a group. The
 * records of a letter are folded (letter-fold.ts); a replay appends one that says so. What is discarded ends by the topic's retention.
 */
import type { Config } from "../config/config.ts";
import type { Clock } from "../core/clock.ts";
import {
	type LetterFilter,
	type LetterIdentity,
	type LetterPosition,
	type LetterStore,
	letterName,
	rowsOf,
	type StoredLetter,
} from "../core/dead-letter.ts";
import { ExitError, exitCodes } from "../core/errors.ts";
import { absentTopic } from "./absent-topic.ts";
import { type LetterOrigin, type LetterRecord, markHeaders, readLetterRecord } from "./dead-letter-record.ts";
import { type Home, LetterFold } from "./letter-fold.ts";
import { LogReader } from "./log-reader.ts";
import { Producer } from "./producer.ts";
import { refused } from "./rights.ts";

/** What the topic is read with. */
export interface DeadLetterTopicStoreParts extends LetterOrigin {
	readonly kafka: Config["kafka"];
	readonly topic: string;
	readonly clock: Clock;
	/** Ends a reading. */
	readonly signal: AbortSignal;
}

/** See the file's header. */
export class DeadLetterTopicStore implements LetterStore {
	readonly #parts: DeadLetterTopicStoreParts;
	#producer: Promise<Producer> | null = null;
	/** Of the letters found what the records that mark them need. */
	readonly #found = new Map<string, { readonly key: Buffer | null; readonly homes: readonly Home[] }>();

	constructor(parts: DeadLetterTopicStoreParts) {
		this.#parts = parts;
	}

	async find({ state, limit, ...wanted }: LetterFilter): Promise<StoredLetter[]> {
		// What can't match is not kept: the state alone may still change.
		const fold = await this.#fold((letter) => (matchesAll(letter, wanted) ? letter : null));
		const found: StoredLetter[] = [];
		for (const { content, homes, firstAtMs, lastAtMs, ...folded } of fold.letters()) {
			if (content === null || (state !== undefined && folded.state !== state)) continue;
			const times = { firstAt: new Date(firstAtMs).toISOString(), lastAt: new Date(lastAtMs).toISOString() };
			found.push({ ...content, ...folded, ...times });
			this.#found.set(letterName(folded), { key: content.key, homes });
		}
		return found.sort(byPosition).slice(0, limit);
	}

	/** Keeps positions only: the letters hold whole messages, and there may be many of them. */
	async unreplayed(): Promise<LetterPosition[]> {
		const fold = await this.#fold((letter) => ({ reason: letter.reason, rows: rowsOf(letter), rowsLeftOut: letter.rowsLeftOut }));
		const positions: LetterPosition[] = [];
		for (const { topic, partition, offset, topicId, timestamp, state, content } of fold.letters()) {
			if (state !== "replayed") positions.push({ topic, partition, offset, topicId, timestamp, state, ...content });
		}
		return positions;
	}

	/** The letter has to be one that was found. */
	async replayed(letter: LetterIdentity, error: string | null): Promise<void> {
		// A letter that fails again stays as it is.
		if (error !== null) return;
		const found = this.#found.get(letterName(letter));
		if (!found) return;
		const { topic, kafka } = this.#parts;
		this.#producer ??= Producer.connect(kafka);
		const producer = await this.#producer;
		const headers = markHeaders(letter, "replayed", this.#parts);
		// Where its records are, so that it comes behind them: the topic may have got more partitions since.
		for (const { partition, state } of found.homes) {
			if (state === "replayed") continue;
			await producer.produce({ topic, partition, key: found.key, value: null, headers }).catch(refused(kafka, { topic: ["Write", topic] }));
		}
	}

	async discard(): Promise<never> {
		throw this.#refusal("discarded");
	}

	async purge(): Promise<never> {
		throw this.#refusal("deleted");
	}

	async [Symbol.asyncDispose](): Promise<void> {
		const producer = await this.#producer?.catch(() => null);
		await producer?.[Symbol.asyncDispose]();
	}

	#refusal(what: string): ExitError {
		const { topic } = this.#parts;
		const rule = `the letters of topic ${topic} can't be ${what}: they end by the topic's retention (retention.ms)`;
		return new ExitError(exitCodes.usage, "letters_in_topic", rule);
	}

	/** Reads all partitions up to where they end now, this group's records in each partition's order. */
	async #fold<T>(keep: (letter: StoredLetter) => T): Promise<LetterFold<T>> {
		const { kafka, topic } = this.#parts;
		const fold = new LetterFold(keep);
		await this.#read((record) => fold.take(record)).catch(refused(kafka, { topic: ["Read", topic] }));
		return fold;
	}

	async #read(take: (record: LetterRecord) => void): Promise<void> {
		const { kafka, topic, consumerGroup, clock, signal } = this.#parts;
		await using reader = await LogReader.connect(kafka, clock, `${consumerGroup}-dead-letters`, signal);
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

/** What is undefined in `wanted` matches everything. */
function matchesAll(letter: StoredLetter, wanted: Omit<LetterFilter, "limit">): boolean {
	const names = Object.keys(wanted) as (keyof typeof wanted)[];
	return names.every((name) => wanted[name] === undefined || letter[name] === wanted[name]);
}

function byPosition(left: StoredLetter, right: StoredLetter): number {
	const logs = compareTexts(left.topicId ?? "", right.topicId ?? "") || left.offset - right.offset || left.timestamp - right.timestamp;
	return compareTexts(left.topic, right.topic) || left.partition - right.partition || logs;
}

function compareTexts(left: string, right: string): number {
	return left < right ? -1 : Number(left > right);
}
