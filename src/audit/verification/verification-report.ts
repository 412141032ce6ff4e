/** The result of a verification. Pure. */
import type { CoveredPartition, LogCoverage } from "../log/log-coverage.ts";
import type { Difference, Findings, VerificationCounts } from "./findings.ts";
import { type LookedAt, lookedAt, type Requirement, unmet } from "./requirements.ts";

/** The result. */
export interface VerificationReport {
	readonly group: string;
	readonly partitions: readonly CoveredPartition[];
	/** Messages read. */
	readonly messages: number;
	/** True if the handler gave records: they were left out, only rows are compared. */
	readonly recordsLeftOut: boolean;
	/** Offsets after the committed ones, as the log was at the beginning: not covered. */
	readonly behind: number;
	/** Offsets that the log does not have: nothing is known about them. */
	readonly absentOffsets: number;
	/** Offsets that the group passed over unread: its position was outside the log, or somebody set it forward. */
	readonly passedOver: number;
	/** Dead letters of the covered part, by state. */
	readonly letters: Readonly<Record<string, number>>;
	/** Dead letters of earlier logs of these topics: they explain nothing here. */
	readonly lettersOfOtherLogs: number;
	/** The table or topic of dead letters, if it is missing: then no letters are known. */
	readonly lettersMissing: string | null;
	readonly counts: Readonly<VerificationCounts>;
	/** How many ids were compared, of how many. */
	readonly lookedAt: LookedAt;
	/** Partitions in which a daemon noted a beginning, but nothing is committed: none of their messages is covered. */
	readonly begunOnly: number;
	/** The first differences. */
	readonly differences: readonly Difference[];
	/** True without any difference, unless ids were met and none could be compared. */
	readonly verified: boolean;
	/** Which requirements don't hold, in words. */
	readonly unmet: readonly string[];
}

/** What the report is made from. */
export interface ReportParts {
	readonly group: string;
	readonly messages: number;
	readonly recordsLeftOut: boolean;
	readonly lettersMissing: string | null;
	readonly coverage: LogCoverage;
	readonly findings: Findings;
	readonly requirements: readonly Requirement[];
}

export function reportOf({
	group,
	messages,
	recordsLeftOut,
	lettersMissing,
	coverage,
	findings,
	requirements,
}: ReportParts): VerificationReport {
	const { ranges: partitions, behind, absentOffsets, passedOver, letters, lettersOfOtherLogs } = coverage;
	const { counts, differences, differing } = findings;
	const looked = lookedAt(counts);
	return {
		group,
		partitions,
		messages,
		recordsLeftOut,
		behind,
		absentOffsets,
		passedOver,
		letters,
		lettersOfOtherLogs,
		lettersMissing,
		counts,
		lookedAt: looked,
		begunOnly: partitions.filter(({ hasBegun }) => hasBegun).length,
		differences,
		verified: differing === 0 && (looked.ids > 0 || counts.ahead === 0),
		unmet: unmet(requirements, { counts, behind, passedOver, letters, lettersMissing }),
	};
}
