/**
 * Notes where partitions were begun, for `verify` alone. What somebody chose (latest, a timestamp) is noted before the first message, or
 * `verify` would miss what was never meant to arrive. The rest is noted beside the work, for however long the database is away: nothing
 * is finished without it.
 */
import { exponentialBackOff } from "../core/back-off.ts";
import type { Clock } from "../core/clock.ts";
import { lifetime } from "../core/lifetime.ts";
import { partitionName, type TopicPartitionOffset } from "../core/message.ts";
import { problemOf } from "./sql-faults.ts";
import type { StartTable } from "./start-table.ts";

/** Where a partition starts, and why there: kafka/start-position.ts has the words. */
export interface ResolvedStart extends TopicPartitionOffset {
	readonly from: "committed" | "kafka" | "earliest" | "latest" | "timestamp" | "beginning";
}

/** What the recorder is made of. */
export interface StartRecorderParts {
	readonly table: Pick<StartTable, "record" | "assume">;
	readonly clock: Clock;
	/** The database refuses; only `verify` would have read it. */
	readonly notRecorded: (message: string) => void;
}

const RETRY = { minMs: 200, maxMs: 5_000 };

/** See the file's header. */
export class StartRecorder {
	readonly #parts: StartRecorderParts;
	readonly #ended = lifetime();
	/** One after the other: a later start of a partition must not be overtaken by an earlier one. */
	#background: Promise<void> = Promise.resolve();
	/** The last start of a partition that waits there: a caller that tries again comes with the same ones each time. */
	readonly #queued = new Map<string, ResolvedStart>();

	constructor(parts: StartRecorderParts) {
		this.#parts = parts;
	}

	/** Resolves when nothing has to be waited for. Rejects where the database is away and has to be. */
	async record(starts: readonly ResolvedStart[]): Promise<void> {
		const { table } = this.#parts;
		const fresh = starts.filter((start) => !this.#isQueued(start));
		const begun = fresh.filter(({ from }) => from === "earliest" || from === "beginning");
		const met = fresh.filter(({ from }) => from === "committed" || from === "kafka");
		const chosen = starts.filter(({ from }) => from === "latest" || from === "timestamp");
		this.#inBackground(begun, () => table.record(begun));
		this.#inBackground(met, () => table.assume(met));
		if (chosen.length > 0) await this.#tried(() => table.record(chosen));
	}

	/** Gives up what is not noted. Idempotent. */
	dispose(): void {
		this.#ended.abort(new Error("the recorder was ended"));
	}

	#isQueued(start: ResolvedStart): boolean {
		const queued = this.#queued.get(partitionName(start));
		return queued?.offset === start.offset && queued.from === start.from;
	}

	#inBackground(starts: readonly ResolvedStart[], note: () => Promise<void>): void {
		if (starts.length === 0) return;
		const { signal } = this.#ended;
		for (const start of starts) this.#queued.set(partitionName(start), start);
		this.#background = this.#background.then(async () => {
			for (let failures = 1; !signal.aborted; failures++) {
				const isAway = await this.#tried(note).then(
					() => false,
					() => true,
				);
				if (!isAway) break;
				await this.#parts.clock.sleep(exponentialBackOff(failures, RETRY), signal).catch(() => {});
			}
			for (const start of starts) if (this.#queued.get(partitionName(start)) === start) this.#queued.delete(partitionName(start));
		});
	}

	/** Rejects where it should be tried again. */
	async #tried(note: () => Promise<void>): Promise<void> {
		try {
			await note();
		} catch (error) {
			const { fault, message } = problemOf(error);
			if (fault === "transient" || fault === "connection") throw error;
			this.#parts.notRecorded(message);
		}
	}
}
