/**
 * Replays dead letters: hands them to the handler again under their original coordinates, page by page and log by log (replayed-log.ts).
 * So order, isolation and CAS hold here too: a stored row that is newer stays. Results are stored in batches as they arrive.
 */
import { tableLayouts } from "../../config/table-layouts.ts";
import type { Timer } from "../../core/clock.ts";
import type { DeadLetter, StoredLetter } from "../../core/dead-letters/dead-letter.ts";
import { ExitError, exitCodes } from "../../core/errors.ts";
import { partitionName, type TopicPartition, type TopicPartitionOffset } from "../../core/messages/message.ts";
import { lifetime } from "../../core/waiting/lifetime.ts";
import { unlessAborted } from "../../core/waiting/unless-aborted.ts";
import { buildRecords, buildWriter, threadOptions } from "../../daemon/daemon-parts.ts";
import type { RecordProducer } from "../../kafka/producing/record-producer.ts";
import { newerRows } from "../../sink/comparison/newer-rows.ts";
import type { Database } from "../../sink/database/database.ts";
import type { BatchWriter } from "../../sink/writer/batch-writer.ts";
import type { ThreadLease } from "../../worker/thread/handler-thread.ts";
import { createHandlerThreads } from "../../worker/thread/worker-thread.ts";
import { ReplayedLog, type ReplayedLogParts, type ReplayOutcome, type WrittenRow } from "./replayed-log.ts";

/** What a replay needs. */
export interface ReplayParts extends Pick<ReplayedLogParts, "config" | "clock" | "random"> {
	readonly database: Database;
	/** Ends the replay; letters without a stored result stay as they are. */
	readonly signal: AbortSignal;
	readonly inHand?: NonNullable<ReplayedLogParts["inHand"]>;
	/** A partition's threads; default: real ones. */
	readonly threads?: (partition: TopicPartition) => ThreadLease;
}

/** The result of one letter. */
export interface ReplayedLetter {
	readonly letter: StoredLetter;
	/** Its failure; null if it went through, or was left unfinished. */
	readonly failure: DeadLetter | null;
	/** True if the handler left it unfinished (`finishedTo`) and no later letter finished it: its result is not known. */
	readonly isLeft: boolean;
	/** Set if it went through, but the table has another message's newer row instead of one of the letter's rows. */
	readonly newer: NewerRow | null;
}

/** A newer row that is stored instead of a letter's row. */
export interface NewerRow extends WrittenRow {
	/** The newer row's message, which may be another letter of the same replay; null if the row has no coordinates. */
	readonly of: TopicPartitionOffset | null;
}

/**
 * Replays letters as a store reads them. Calls `told` with letters whose result is known, one call at a time. Rejects with ExitError if the
 * handler can't be loaded, a table can't be written, or the signal is aborted; and with whatever `told` or `pages` rejects with. Results
 * known by then are reported first.
 */
export async function replayLetters(
	parts: ReplayParts,
	pages: AsyncIterable<readonly StoredLetter[]>,
	told: (letters: readonly ReplayedLetter[]) => Promise<void>,
): Promise<void> {
	const replay = new Replay(parts, told);
	try {
		for await (const page of pages) for (const letters of sameLog(page)) await replay.take(letters);
		await replay.finish();
	} finally {
		await replay.dispose();
	}
}

/** How long records may stay unacknowledged before the replay ends: brokers may be away for a moment, and a large record takes time. */
const LONGEST_SILENCE_MS = 30_000;
const LOOK_MS = 1_000;

class Replay {
	readonly #parts: ReplayParts;
	readonly #told: (letters: readonly ReplayedLetter[]) => Promise<void>;
	readonly #writer: BatchWriter;
	readonly #records: RecordProducer;
	readonly #ended = lifetime();
	readonly #onAbort = () => this.#fail(new ExitError(exitCodes.found, "interrupted", "the replay was interrupted"));
	/** The logs of one topic, partition and topic id. Several if offsets repeat, because no id tells the logs apart. */
	#logs: ReplayedLog[] = [];
	#name = "";
	#known: ReplayOutcome[] = [];
	#telling: Promise<void> = Promise.resolve();
	#isTelling = false;
	#toldCount = 0;
	#look: Timer | null = null;

	constructor(parts: ReplayParts, told: (letters: readonly ReplayedLetter[]) => Promise<void>) {
		this.#parts = parts;
		this.#told = told;
		this.#writer = buildWriter(parts, tableLayouts(parts.config));
		this.#writer.on("table:blocked", ({ table, message, hint }) => {
			// That is a daemon's: a command ends.
			const remedy = hint ? `; ${hint.replace(/; it goes on by itself| \(it goes on by itself\)/, "")}` : "";
			this.#fail(
				new ExitError(
					exitCodes.found,
					"database",
					`rows of ${table} can't be written: ${message}${remedy}. Letters without a printed result stay as they are`,
				),
			);
		});
		this.#records = buildRecords(parts);
		this.#records.on("changed", () => this.#blockedFor(0));
		this.#lookForSilence();
		if (parts.signal.aborted) this.#onAbort();
		parts.signal.addEventListener("abort", this.#onAbort, { once: true });
	}

	/** Takes letters of one log. */
	async take(letters: readonly StoredLetter[]): Promise<void> {
		const [{ topic, partition, topicId }] = letters as [StoredLetter];
		const name = `${partitionName({ topic, partition })} ${topicId ?? ""}`;
		if (name !== this.#name) await this.#endLogs();
		this.#name = name;
		for (const [log, share] of this.#shares(letters)) await this.#within(log.take(share));
		await this.#within(this.#telling);
	}

	/** No more letters come. */
	async finish(): Promise<void> {
		await this.#endLogs();
		await this.#within(this.#telling);
	}

	async dispose(): Promise<void> {
		this.#look?.cancel();
		this.#parts.signal.removeEventListener("abort", this.#onAbort);
		// Letters that went through are reported even if the rest has no chance.
		await this.#telling.catch(() => {});
		await Promise.all(this.#logs.map((log) => log.kill()));
		await this.#records.dispose();
		await this.#writer.dispose();
	}

	/** Distributes letters to logs. A log takes ascending offsets; an offset that repeats belongs to another log without a topic id. */
	#shares(letters: readonly StoredLetter[]): Map<ReplayedLog, StoredLetter[]> {
		const shares = new Map<ReplayedLog, StoredLetter[]>();
		for (const letter of letters) {
			const lastOf = (log: ReplayedLog) => shares.get(log)?.at(-1)?.offset ?? log.lastOffset;
			let log = this.#logs.find((each) => lastOf(each) < letter.offset);
			if (!log) {
				log = this.#openLog(letter);
				this.#logs.push(log);
			}
			shares.set(log, [...(shares.get(log) ?? []), letter]);
		}
		return shares;
	}

	/**
	 * Letters that the handler left unfinished are tried again with a new state, as after a restart of the daemon, as long as that finishes
	 * any of them.
	 */
	async #endLogs(): Promise<void> {
		const logs = this.#logs;
		for (let log = logs[0]; log; log = logs[0]) {
			const { left } = log;
			await this.#within(log.end());
			logs.shift();
			const [first] = left;
			if (!first) continue;
			const again = this.#openLog(first);
			logs.unshift(again);
			await this.#within(again.take(left));
			if (again.left.length < left.length) continue;
			await this.#within(again.end());
			logs.shift();
			await this.#within(this.#telling);
			await this.#told(left.map((letter) => ({ letter, failure: null, isLeft: true, newer: null })));
		}
	}

	#openLog({ topic, partition, topicId }: StoredLetter): ReplayedLog {
		const { config, clock, random, inHand = null } = this.#parts;
		const threads = this.#parts.threads ?? ((of) => createHandlerThreads(threadOptions(config, tableLayouts(config))).lease(of));
		return new ReplayedLog({ topic, partition }, topicId, {
			config,
			clock,
			random,
			inHand,
			threads: threads({ topic, partition }),
			rows: this.#writer,
			records: this.#records,
			finished: (outcome) => this.#finished(outcome),
			failed: (error) => {
				const isNone = this.#toldCount + this.#known.length === 0;
				const what = isNone ? "nothing was replayed" : "the replay ends here";
				this.#fail(new ExitError(error.exitCode, error.code, `${what}: ${error.message}`));
			},
		});
	}

	#finished(outcome: ReplayOutcome): void {
		this.#known.push(outcome);
		if (this.#isTelling) return;
		this.#isTelling = true;
		this.#telling = this.#tellKnown();
		// The next `take` rejects with it.
		this.#telling.catch((error) => this.#fail(error));
	}

	/** While some results are being stored others arrive, and are stored together. */
	async #tellKnown(): Promise<void> {
		// Letters of one turn of the event loop go together.
		await Promise.resolve();
		try {
			while (this.#known.length > 0) {
				const known = this.#known.splice(0);
				const newer = await this.#newerRows(known);
				this.#toldCount += known.length;
				await this.#told(known.map(({ letter, failure }) => ({ letter, failure, isLeft: false, newer: newer.get(letter) ?? null })));
			}
		} finally {
			this.#isTelling = false;
		}
	}

	async #newerRows(known: readonly ReplayOutcome[]): Promise<Map<StoredLetter, NewerRow>> {
		const found = new Map<StoredLetter, NewerRow>();
		const through = known.filter(({ failure }) => failure === null);
		for (const layout of tableLayouts(this.#parts.config)) {
			const rows = through.flatMap((outcome) => outcome.rows.flatMap(({ table, id }) => (table === layout.name ? [{ outcome, id }] : [])));
			const sent = rows.map(({ outcome: { letter }, id }) => ({
				topic: letter.topic,
				partition: letter.partition,
				offset: letter.offset,
				id,
			}));
			for (const { offset, partition, topic, id, by } of await newerRows(this.#parts.database, layout, sent)) {
				for (const { letter } of through) {
					if (letter.offset === offset && letter.partition === partition && letter.topic === topic)
						found.set(letter, { table: layout.name, id, of: by });
				}
			}
		}
		return found;
	}

	async #within<T>(promise: Promise<T>): Promise<T> {
		return await unlessAborted(promise, this.#ended.signal);
	}

	/** Ends the replay if records have been held up for `ms`. */
	#blockedFor(ms: number): void {
		const now = this.#parts.clock.now();
		const problem = this.#records.problems.find(({ sinceMs }) => now - sinceMs >= ms);
		if (problem)
			this.#fail(new ExitError(exitCodes.found, "produce", `${problem.message}. Letters without a printed result stay as they are`));
	}

	/** Looks again and again: no event says that brokers have gone away. */
	#lookForSilence(): void {
		this.#look = this.#parts.clock.after(LOOK_MS, () => {
			this.#blockedFor(LONGEST_SILENCE_MS);
			this.#lookForSilence();
		});
	}

	#fail(error: unknown): void {
		this.#ended.abort(error);
	}
}

/** Splits a page by log. */
function* sameLog(page: readonly StoredLetter[]): Generator<StoredLetter[]> {
	let letters: StoredLetter[] = [];
	for (const letter of page) {
		const [first] = letters;
		if (first && (first.topic !== letter.topic || first.partition !== letter.partition || first.topicId !== letter.topicId)) {
			yield letters;
			letters = [];
		}
		letters.push(letter);
	}
	if (letters.length > 0) yield letters;
}
