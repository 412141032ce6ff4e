/**
 * The findings so far: all counted, the first differences kept. A row that is newer than expected, or not expected at all, may have an
 * origin that explains it. A running daemon and its producers go on meanwhile, so a row past the end that the log had at the beginning is
 * held back until the present end is known.
 */
import type { DeadLetter } from "../../core/dead-letters/dead-letter.ts";
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import type { RowFinding, RowOrigin } from "../../sink/comparison/table-comparison.ts";
import type { LogCoverage } from "../log/log-coverage.ts";

/** A message at which the handler fails now, and that is no dead letter. */
export interface FailedMessage extends TopicPartition {
	readonly kind: "failed";
	readonly offset: number;
	readonly reason: DeadLetter["reason"];
	readonly error: string;
}

/**
 * The committed offset is past the log's end: the log lost its end, or somebody set the offset. Messages up to there would never be read.
 */
export interface OffsetBeyond extends TopicPartition {
	readonly kind: "beyond";
	/** The committed offset. */
	readonly offset: number;
	/** The log's end. */
	readonly high: number;
}

/** A difference between table and log. */
export type Difference = RowFinding | FailedMessage | OffsetBeyond;

/** How many ids or messages of each kind. */
export interface VerificationCounts {
	/** Ids whose row is as the log says. */
	matched: number;
	/** Deletes whose tombstone is gone: as good as a match. */
	purged: number;
	/** Ids with a row of a message in the log, at or past the covered end: newer than what was covered. */
	ahead: number;
	/** Ids with a row of a message that the log does not have. */
	unchecked: number;
	/** Ids with a row of a message that is a dead letter (its other rows were good, or it went through another time). */
	lettered: number;
	missing: number;
	older: number;
	newer: number;
	different: number;
	extra: number;
	unwritable: number;
	failed: number;
	beyond: number;
}

/** Maximum rows held back; more count as ahead: a table so far ahead of its log is being written now. */
const MAX_HELD = 100_000;
/** Maximum ids remembered as ahead; further ones stay ahead. */
const MAX_AHEAD = 200_000;

const differenceKinds = ["missing", "older", "newer", "different", "extra", "unwritable", "failed", "beyond"] as const;

/** How findings are judged and kept. */
export interface FindingsParts {
	readonly coverage: LogCoverage;
	/** The topic of rows in tables without a topic column. */
	readonly onlyTopic: string;
	/** Maximum differences kept; all are counted. */
	readonly maxDifferences: number;
	/** Default 100,000. */
	readonly maxHeld?: number;
}

interface Held {
	readonly finding: RowFinding;
	readonly origin: TopicPartition & RowOrigin;
}

/** Counts findings, and keeps the first differences. */
export class Findings {
	readonly #parts: FindingsParts;
	readonly #differences: Difference[] = [];
	readonly #counts: VerificationCounts = {
		matched: 0,
		purged: 0,
		ahead: 0,
		unchecked: 0,
		lettered: 0,
		missing: 0,
		older: 0,
		newer: 0,
		different: 0,
		extra: 0,
		unwritable: 0,
		failed: 0,
		beyond: 0,
	};
	#held: Held[] = [];
	/** Messages that failed before an interruption: some are handed over again. */
	readonly #restored = new Set<string>();
	/** Names of ids counted as ahead, which are compared again later. */
	readonly #ahead = new Set<string>();

	constructor(parts: FindingsParts) {
		this.#parts = parts;
	}

	get counts(): Readonly<VerificationCounts> {
		return this.#counts;
	}

	get differences(): readonly Difference[] {
		return this.#differences;
	}

	/** Restores an interrupted verification's findings about messages. */
	restore(failed: number, differences: readonly Difference[]): void {
		this.#counts.failed = failed;
		for (const difference of differences) {
			if (difference.kind === "failed") this.#restored.add(placeOf(difference));
			if (this.#differences.length < this.#parts.maxDifferences) this.#differences.push(difference);
		}
	}

	/** Number of differences. */
	get differing(): number {
		return differenceKinds.reduce((sum, kind) => sum + this.#counts[kind], 0);
	}

	/** True if the id's row was ahead at the last comparison. */
	isAhead(table: string, id: string): boolean {
		return this.#ahead.has(nameOf(table, id));
	}

	/** Number of ids that can be compared again. */
	get comingBack(): number {
		return this.#ahead.size;
	}

	/** These ids are as they must be, or were deleted and purged. */
	count(kind: "matched" | "purged", table: string, ids: readonly string[]): void {
		this.#counts[kind] += ids.length;
		if (this.#ahead.size > 0) for (const id of ids) this.#noLongerAhead(table, id);
	}

	failed(message: FailedMessage): void {
		const name = placeOf(message);
		if (this.#restored.has(name)) return;
		this.#differ(message);
	}

	beyond(offset: OffsetBeyond): void {
		this.#differ(offset);
	}

	/** A difference, unless the stored row's origin explains it; `isOptional` as in the comparison. */
	found(finding: RowFinding, isOptional = false): void {
		const { kind, stored, table, id } = finding;
		this.#noLongerAhead(table, id);
		if (!stored || (kind !== "newer" && kind !== "extra")) {
			this.#differ(finding);
			return;
		}
		const origin = { ...stored, topic: stored.topic ?? this.#parts.onlyTopic };
		const standing = this.#parts.coverage.standingOf(origin, isOptional);
		if (standing === "inside") this.#differ(finding);
		else if (standing === "ahead") this.#countAhead(finding);
		else if (standing !== "past") this.#counts[standing]++;
		else if (this.#held.length < (this.#parts.maxHeld ?? MAX_HELD)) this.#held.push({ finding, origin });
		else this.#countAhead(finding);
	}

	/** Judges what was held back, after all comparisons. `highOf` returns the present end of a partition. */
	async judgeHeld(highOf: (partition: TopicPartition) => Promise<number>): Promise<void> {
		const highs = new Map<string, number>();
		for (const { finding, origin } of this.#held) {
			const name = partitionName(origin);
			const high = highs.get(name) ?? (await highOf({ topic: origin.topic, partition: origin.partition }));
			highs.set(name, high);
			if (origin.offset >= high) this.#differ(finding);
			else this.#countAhead(finding);
		}
		this.#held = [];
	}

	#countAhead({ table, id }: RowFinding): void {
		this.#counts.ahead++;
		if (this.#ahead.size < MAX_AHEAD) this.#ahead.add(nameOf(table, id));
	}

	#noLongerAhead(table: string, id: string): void {
		if (this.#ahead.delete(nameOf(table, id))) this.#counts.ahead--;
	}

	#differ(difference: Difference): void {
		this.#counts[difference.kind]++;
		if (this.#differences.length < this.#parts.maxDifferences) this.#differences.push(difference);
	}
}

function nameOf(table: string, id: string): string {
	return `${table}\0${id}`;
}

function placeOf(message: FailedMessage): string {
	return `${partitionName(message)}@${message.offset}`;
}
