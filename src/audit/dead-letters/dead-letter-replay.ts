/**
 * Dead letters through the handler again, under their original coordinates: page by page, log by log (replayed-log.ts), so that order,
 * isolation and CAS hold here too (a row that is newer by now is not moved back). What becomes of them is told in batches as it comes.
 */
import { tableLayouts } from "../../config/table-layouts.ts";
import type { DeadLetter, StoredLetter } from "../../core/dead-letters/dead-letter.ts";
import { ExitError, exitCodes } from "../../core/errors.ts";
import { lifetime } from "../../core/lifetime.ts";
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import { unlessAborted } from "../../core/unless-aborted.ts";
import { buildRecords, buildWriter, threadOptions } from "../../daemon/daemon-parts.ts";
import type { RecordProducer } from "../../kafka/producing/record-producer.ts";
import { newerRows } from "../../sink/comparison/newer-rows.ts";
import type { Database } from "../../sink/database/database.ts";
import type { BatchWriter } from "../../sink/writer/batch-writer.ts";
import type { ThreadLease } from "../../worker/thread/handler-thread.ts";
import { createHandlerThreads } from "../../worker/thread/worker-thread.ts";
import { ReplayedLog, type ReplayedLogParts, type ReplayOutcome, type WrittenRow } from "./replayed-log.ts";

/** What a replay is given. */
export interface ReplayParts extends Pick<ReplayedLogParts, "config" | "clock" | "random"> {
	readonly database: Database;
	/** Ends the replay; what was not told yet stays as it is. */
	readonly signal: AbortSignal;
	/** Told each letter that is handed over, and when none is any more (null): whoever hears it may outlive the process. */
	readonly inHand?: NonNullable<ReplayedLogParts["inHand"]>;
	/** A partition's threads; real ones where it is left out. */
	readonly threads?: (partition: TopicPartition) => ThreadLease;
}

/** What became of one letter. */
export interface ReplayedLetter {
	readonly letter: StoredLetter;
	/** What it met; null where it went through, or was left unfinished. */
	readonly failure: DeadLetter | null;
	/** The handler left it unfinished (`finishedTo`), and no letter came to finish it: nothing is known of it. */
	readonly isLeft: boolean;
	/** It went through, and another message's newer row is there in the place of this one of its rows. */
	readonly newer: WrittenRow | null;
}

/**
 * Replays letters as a store reads them; calls back with those whose fate is known, one call at a time. Rejects where the handler can't be
 * loaded or a table can't be written, with the signal's end, and with what a call back rejects with: what is known by then is told before.
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

class Replay {
	readonly #parts: ReplayParts;
	readonly #told: (letters: readonly ReplayedLetter[]) => Promise<void>;
	readonly #writer: BatchWriter;
	readonly #records: RecordProducer;
	readonly #ended = lifetime();
	readonly #onAbort = () => this.#fail(new ExitError(exitCodes.found, "interrupted", "the replay was interrupted"));
	/** Of one topic, partition and id; several where offsets come twice, for nothing tells their logs apart. */
	#logs: ReplayedLog[] = [];
	#name = "";
	#known: ReplayOutcome[] = [];
	#telling: Promise<void> = Promise.resolve();
	#isTelling = false;
	#toldCount = 0;

	constructor(parts: ReplayParts, told: (letters: readonly ReplayedLetter[]) => Promise<void>) {
		this.#parts = parts;
		this.#told = told;
		this.#writer = buildWriter(parts, tableLayouts(parts.config));
		this.#writer.on("table:blocked", ({ table, message, hint }) => {
			const remedy = hint ? `; ${hint}` : "";
			this.#fail(
				new ExitError(
					exitCodes.found,
					"database",
					`rows of ${table} can't be written: ${message}${remedy}. Letters without a word stay as they are`,
				),
			);
		});
		this.#records = buildRecords(parts);
		this.#records.on("changed", () => {
			const [problem] = this.#records.problems;
			if (problem) this.#fail(new ExitError(exitCodes.found, "produce", `${problem.message}. Letters without a word stay as they are`));
		});
		if (parts.signal.aborted) this.#onAbort();
		parts.signal.addEventListener("abort", this.#onAbort, { once: true });
	}

	/** Letters of one log. */
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
		this.#parts.signal.removeEventListener("abort", this.#onAbort);
		// What went through is said so, also where the rest has no chance.
		await this.#telling.catch(() => {});
		await Promise.all(this.#logs.map((log) => log.kill()));
		await this.#records.dispose();
		await this.#writer.dispose();
	}

	/** A worker handles one log's messages, in offset order. Where no topic id tells two logs apart, offsets come twice. */
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
	 * What the handler left unfinished is tried once more with a new state, as a restart of the daemon does, while that finishes any of it.
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
		// Whoever takes the next letters meets it.
		this.#telling.catch((error) => this.#fail(error));
	}

	/** While some are being told others come, and go together. */
	async #tellKnown(): Promise<void> {
		// Letters of one turn go together.
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

	async #newerRows(known: readonly ReplayOutcome[]): Promise<Map<StoredLetter, WrittenRow>> {
		const found = new Map<StoredLetter, WrittenRow>();
		const through = known.filter(({ failure }) => failure === null);
		for (const layout of tableLayouts(this.#parts.config)) {
			const rows = through.flatMap((outcome) => outcome.rows.flatMap(({ table, id }) => (table === layout.name ? [{ outcome, id }] : [])));
			const sent = rows.map(({ outcome: { letter }, id }) => ({
				topic: letter.topic,
				partition: letter.partition,
				offset: letter.offset,
				id,
			}));
			for (const { offset, partition, topic, id } of await newerRows(this.#parts.database, layout, sent)) {
				for (const { letter } of through) {
					if (letter.offset === offset && letter.partition === partition && letter.topic === topic)
						found.set(letter, { table: layout.name, id });
				}
			}
		}
		return found;
	}

	async #within<T>(promise: Promise<T>): Promise<T> {
		return await unlessAborted(promise, this.#ended.signal);
	}

	#fail(error: unknown): void {
		this.#ended.abort(error);
	}
}

/** A page cut where another log begins. */
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
