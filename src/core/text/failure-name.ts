/** Names failures: those of one kind at one place of the code get the same name. */

/** The parts of a failure that make its name. */
export interface NamedFailure {
	readonly kind: string;
	readonly error: { readonly name: string; readonly message: string; readonly stack: string | null };
}

/** The name of a failure; without a stack the message stands for the place. */
export function failureName({ kind, error }: NamedFailure): string {
	const place = error.stack?.split("\n").find((line) => /^\s+at /.test(line)) ?? error.message;
	return `${kind} ${error.name} ${place}`;
}
