/** What a part shows of itself that is not as it should be: a reason of `/readyz` for as long as the part shows it. */

/** One problem of a part. `Code` is one of the codes of `/readyz`. */
export interface Problem<Code extends string = string> {
	readonly code: Code;
	/** The topic, or its partition, that it concerns; null where it concerns the whole daemon. */
	readonly where: { readonly topic: string; readonly partition: number | null } | null;
	/** What is wrong, in the words of whoever said so, and what mends it. */
	readonly message: string;
	/** When it began, by the wall clock. */
	readonly sinceMs: number;
}
