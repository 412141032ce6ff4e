/**
 * What was found so far: counted, and the first differences kept. A row that is newer than expected, or not expected at all, may have an
 * origin that explains it; one past the end of the log as it was at first is held back until the end is known anew, for a running daemon
 * and its producers go on meanwhile.
 */
import type { DeadLetter } from "../core/dead-letter.ts";
import { partitionName, type TopicPartition } from "../core/message.ts";
import type { RowFinding, RowOrigin } from "../sink/table-comparison.ts";
import type { LogCoverage } from "./log-coverage.ts";

/** A message that the handler can't get through now, and that is no dead letter. */
export interface FailedMessage extends TopicPartition {
	readonly kind: "failed";
	readonly offset: number;
	readonly reason: DeadLetter["reason"];
	readonly error: string;
}

/**
 * An offset is committed that the log doesn't reach: it lost its end, or somebody set the offset. Messages up to there would never be
 * read.
 */
export interface OffsetBeyond extends TopicPartition {
	readonly kind: "beyond";
	/** The one that is committed. */
	readonly offset: number;
	/** The log's end. */
	readonly high: number;
}

/** Something that should not be. */
export type Difference = RowFinding | FailedMessage | OffsetBeyond;

/** How many ids or messages of each kind. */
export interface VerificationCounts {
	/** Ids whose row is what the log says. */
	matched: number;
	/** Deletes whose tombstone is gone: as good as a match. */
	purged: number;
	/** Ids with a row of a message at or past the end and in the log: newer than what was looked at. */
	ahead: number;
	/** Ids with a row of a message that the log doesn't hold. */
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

/** More count as ahead: a table that runs ahead of its log by so many rows is one that is being written. */
const MAX_HELD = 100_000;

const differenceKinds = ["missing", "older", "newer", "different", "extra", "unwritable", "failed", "beyond"] as const;

/** How findings are judged and kept. */
export interface FindingsParts {
	readonly coverage: LogCoverage;
	/** The topic of rows that don't tell theirs. */
	readonly onlyTopic: string;
	/** At most so many differences are kept; all are counted. */
	readonly maxDifferences: number;
	/** Default 100,000. */
	readonly maxHeld?: number;
}

interface Held {
	readonly finding: RowFinding;
	readonly origin: TopicPartition & RowOrigin;
}

/** See the file's header. */
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

	constructor(parts: FindingsParts) {
		this.#parts = parts;
	}

	get counts(): Readonly<VerificationCounts> {
		return this.#counts;
	}

	get differences(): readonly Difference[] {
		return this.#differences;
	}

	/** True without any difference. */
	get verified(): boolean {
		return differenceKinds.every((kind) => this.#counts[kind] === 0);
	}

	/** So many ids are as they must be, or gone as deletes that were purged. */
	count(kind: "matched" | "purged", ids: number): void {
		this.#counts[kind] += ids;
	}

	failed(message: FailedMessage): void {
		this.#differ(message);
	}

	beyond(offset: OffsetBeyond): void {
		this.#differ(offset);
	}

	/** A difference, unless the stored row's origin explains it. */
	found(finding: RowFinding): void {
		const { kind, stored } = finding;
		if (!stored || (kind !== "newer" && kind !== "extra")) {
			this.#differ(finding);
			return;
		}
		const origin = { ...stored, topic: stored.topic ?? this.#parts.onlyTopic };
		const standing = this.#parts.coverage.standingOf(origin);
		if (standing === "inside") this.#differ(finding);
		else if (standing !== "past") this.#counts[standing]++;
		else if (this.#held.length < (this.#parts.maxHeld ?? MAX_HELD)) this.#held.push({ finding, origin });
		else this.#counts.ahead++;
	}

	/** Judges what was held back, when nothing more is compared: `highOf` asks for the end of a partition as it is now. */
	async judgeHeld(highOf: (partition: TopicPartition) => Promise<number>): Promise<void> {
		const highs = new Map<string, number>();
		for (const { finding, origin } of this.#held) {
			const name = partitionName(origin);
			const high = highs.get(name) ?? (await highOf({ topic: origin.topic, partition: origin.partition }));
			highs.set(name, high);
			if (origin.offset >= high) this.#differ(finding);
			else this.#counts.ahead++;
		}
		this.#held = [];
	}

	#differ(difference: Difference): void {
		this.#counts[difference.kind]++;
		if (this.#differences.length < this.#parts.maxDifferences) this.#differences.push(difference);
	}
}
