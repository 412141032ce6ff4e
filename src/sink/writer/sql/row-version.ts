/** Decides which of two rows of one id is newer, exactly as the statement does on the server. Pure. */
import type { VersionStrategy } from "../../../core/rows/rows.ts";

/** A row's version: the parts that the strategies compare. `field` is canonical text; null if the table has no version column. */
export interface RowVersion {
	readonly field: string | null;
	/** ms; -1 (no timestamp) counts as 0. */
	readonly timestamp: number;
	readonly offset: number;
	readonly partition: number;
	readonly topic: string;
}

/** Negative if `left` is older than `right`, 0 if they are equal. */
export function compareVersions(left: RowVersion, right: RowVersion, strategy: VersionStrategy): number {
	const { kind } = strategy;
	if (kind === "field") {
		const byField =
			strategy.type === "timestamptz"
				? compareText(left.field ?? "", right.field ?? "")
				: compareDecimals(left.field ?? "0", right.field ?? "0");
		if (byField !== 0) return byField;
	}
	if (kind !== "offset" && left.timestamp !== right.timestamp) return left.timestamp - right.timestamp;
	if (left.offset !== right.offset) return left.offset - right.offset;
	if (left.partition !== right.partition) return left.partition - right.partition;
	// Topic names are ASCII and the statement compares their bytes, which agrees with comparing code units.
	return compareText(left.topic, right.topic);
}

/** Compares canonical decimals (no exponent, no leading zeros, no -0) of any length exactly; trailing zeros do not matter. */
export function compareDecimals(left: string, right: string): number {
	const leftNegative = left.startsWith("-");
	if (leftNegative !== right.startsWith("-")) return leftNegative ? -1 : 1;
	const [a, b] = leftNegative ? [right.slice(1), left.slice(1)] : [left, right];
	const [aWhole = "", aFraction = ""] = a.split(".");
	const [bWhole = "", bFraction = ""] = b.split(".");
	return aWhole.length - bWhole.length || compareText(aWhole, bWhole) || compareFractions(aFraction, bFraction);
}

function compareFractions(left: string, right: string): number {
	const length = Math.max(left.length, right.length);
	return compareText(left.padEnd(length, "0"), right.padEnd(length, "0"));
}

function compareText(left: string, right: string): number {
	return left < right ? -1 : left > right ? 1 : 0;
}
