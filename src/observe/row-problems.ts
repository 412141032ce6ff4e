/** Reasons of `/readyz` about single rows, as the writer reports them. */
import type { Problem } from "../core/problem.ts";
import type { AwaitedFact, StuckFact } from "../core/rows/waiting-rows.ts";
import type { ReadinessCode } from "./readiness-codes.ts";
import { stuckWords } from "./stuck-rows-words.ts";
import { awaitedWords, isLongAwaited } from "./waiting-rows-words.ts";

/** What is read from the writer. */
interface RowFacts {
	readonly stuckRows: readonly StuckFact[];
	readonly awaitedParents: readonly AwaitedFact[];
}

/** The problems of stuck rows, and of rows that have waited long for their parents. `now` is the wall clock. */
export function rowProblems({ stuckRows, awaitedParents }: RowFacts, now: number): Problem<ReadinessCode>[] {
	const stuck = stuckRows.map((fact) => problemOf("row_stuck", fact, stuckWords(fact)));
	const awaited = awaitedParents.filter((fact) => isLongAwaited(fact, now));
	return [...stuck, ...awaited.map((fact) => problemOf("parent_missing", fact, awaitedWords(fact)))];
}

function problemOf(code: ReadinessCode, { topic, partition, sinceMs }: StuckFact | AwaitedFact, message: string): Problem<ReadinessCode> {
	return { code, where: { topic, partition }, message, sinceMs };
}
