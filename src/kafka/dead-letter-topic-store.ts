/**
 * The dead-letter topic as people work with it: read from its beginning to its present end each time, without joining a group. The
 * last record of a message decides; a replay appends a record that says so. What is discarded ends by the topic's retention.
 */
import type { Config } from "../config/config.ts";
import type { Clock } from "../core/clock.ts";
import { type LetterFilter, type LetterPosition, type LetterStore, letterName, rowsOf, type StoredLetter } from "../core/dead-letter.ts";
import { ExitError, exitCodes } from "../core/errors.ts";
import type { TopicPartition } from "../core/message.ts";
import { type LetterOrigin, type LetterRecord, readLetterRecord, replayedHeaders } from "./dead-letter-record.ts";
import { LogReader } from "./log-reader.ts";
import { Producer } from "./producer.ts";

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
	/** Keys of the letters found, for the records that mark them. */
	readonly #keys = new Map<string, Buffer | null>();

	constructor(parts: DeadLetterTopicStoreParts) {
		this.#parts = parts;
	}

	async find({ state, limit, ...wanted }: LetterFilter): Promise<StoredLetter[]> {
		const letters = new Map<string, StoredLetter>();
		// What can't match is not kept: the state alone may still change.
		const matches = (letter: StoredLetter) => matchesAll(letter, wanted);
		await this.#read((record) => {
			const name = letterName(record.type === "letter" ? record.letter : record.of);
			const known = letters.get(name);
			if (record.type === "replayed") {
				if (known) letters.set(name, { ...known, state: "replayed", lastAt: record.at });
			} else if (matches(record.letter)) {
				letters.set(name, { ...record.letter, firstAt: known?.firstAt ?? record.letter.firstAt });
			} else letters.delete(name);
		});
		const found = [...letters.values()].filter((letter) => matchesAll(letter, { state })).sort(byPosition);
		for (const letter of found) this.#keys.set(letterName(letter), letter.key);
		return found.slice(0, limit);
	}

	/** Keeps positions only: the letters hold whole messages, and there may be many of them. */
	async unreplayed(): Promise<LetterPosition[]> {
		const positions = new Map<string, LetterPosition>();
		await this.#read((record) => {
			if (record.type === "replayed") {
				positions.delete(letterName(record.of));
				return;
			}
			const { topic, partition, offset, reason, state } = record.letter;
			positions.set(letterName(record.letter), { topic, partition, offset, reason, state, rows: rowsOf(record.letter) });
		});
		return [...positions.values()];
	}

	async replayed(letter: TopicPartition & { readonly offset: number }, error: string | null): Promise<void> {
		// A letter that fails again stays as it is.
		if (error !== null) return;
		const { topic, kafka } = this.#parts;
		this.#producer ??= Producer.connect(kafka);
		const producer = await this.#producer;
		const partitions = (await producer.topics(topic)).get(topic) ?? 1;
		const key = this.#keys.get(letterName(letter)) ?? null;
		await producer.produce({
			topic,
			partition: letter.partition % partitions,
			key,
			value: null,
			headers: replayedHeaders(letter, this.#parts),
		});
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
	async #read(take: (record: LetterRecord) => void): Promise<void> {
		const { kafka, topic, consumerGroup, clock, signal } = this.#parts;
		await using reader = await LogReader.connect(kafka, clock, `${consumerGroup}-dead-letters`, signal);
		const found = reader.metadata.topics.find(({ name, partitions }) => name === topic && partitions.length > 0);
		if (!found) throw new ExitError(exitCodes.found, "no_topic", `there is no topic ${topic}: no dead letter was written yet`);
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
	if (left.topic !== right.topic) return left.topic < right.topic ? -1 : 1;
	return left.partition - right.partition || left.offset - right.offset;
}
