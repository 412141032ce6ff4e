/** Turns anything that was thrown into data for the main thread. Never throws itself, however strange the value is. */
import type { HandlerFailure } from "../thread/handler-thread.ts";

const LONGEST = 8_000;

/** A failure of the given kind from anything that was thrown. */
export function failureOf(kind: HandlerFailure["kind"], thrown: unknown): HandlerFailure {
	const isError = safely(() => thrown instanceof Error, false);
	if (!isError) return { kind, name: "NonError", message: `threw ${shown(thrown)} instead of an Error`, stack: null };
	const error = thrown as Error;
	return {
		kind,
		name: cut(safely(() => String(error.name), "Error")),
		message: cut(safely(() => withCauses(error), "an error whose message can't be read")),
		stack: safely(() => (typeof error.stack === "string" ? cut(error.stack) : null), null),
	};
}

function withCauses(error: Error): string {
	const { cause } = error;
	return cause instanceof Error ? `${error.message} (caused by ${cause.name}: ${cause.message})` : String(error.message);
}

function shown(thrown: unknown): string {
	if (typeof thrown === "string") return "a string";
	if (typeof thrown === "object" && thrown !== null) return "an object";
	return safely(() => String(thrown), "something");
}

function safely<T>(read: () => T, otherwise: T): T {
	try {
		return read();
	} catch {
		return otherwise;
	}
}

function cut(text: string): string {
	return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
}
