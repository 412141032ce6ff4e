/** A problem that a part of the daemon has: a reason of `/readyz` for as long as the part has it. */

/** One problem of a part. `Code` is one of the codes of `/readyz`. */
export interface Problem<Code extends string = string> {
	readonly code: Code;
	/** The topic or partition that it concerns; null if it concerns the whole daemon. */
	readonly where: { readonly topic: string; readonly partition: number | null } | null;
	/** What is wrong, in the words of whoever reported it, and what corrects it. */
	readonly message: string;
	/** When it began (wall clock, ms). */
	readonly sinceMs: number;
}
