/** One name for failures of one kind at one place of the code. */

/** What of a failure names it. */
export interface NamedFailure {
	readonly kind: string;
	readonly error: { readonly name: string; readonly message: string; readonly stack: string | null };
}

/** The same for failures of one kind at one place; without a stack the message stands for the place. */
export function failureName({ kind, error }: NamedFailure): string {
	const place = error.stack?.split("\n").find((line) => /^\s+at /.test(line)) ?? error.message;
	return `${kind} ${error.name} ${place}`;
}
