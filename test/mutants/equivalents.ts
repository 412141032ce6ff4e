/**
 * Mutants that no test can notice, and why: the change makes no difference that anybody could see. By file and line's text, for lines move.
 */
export interface Equivalent {
	readonly file: string;
	/** The mutated line, trimmed, as the mutant makes it. */
	readonly line: string;
	readonly why: string;
}

export const equivalents: readonly Equivalent[] = [];
