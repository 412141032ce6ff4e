/** A log record as text for a person: a few lines, whatever was thrown. The JSON log has all of it. Pure. */
import { indentedText } from "../../core/text/visible-text.ts";

const MOST_LINES = 4;
/** Maximum frames of a stack. */
const MOST_FRAMES = 3;

/** Renders `record` on one line (its message may have a few) and `below` under it. */
export function textRecord({ msg, error, stack, ...rest }: Readonly<Record<string, unknown>>): {
	readonly record: Readonly<Record<string, unknown>>;
	readonly below: readonly string[];
} {
	const message = typeof msg === "string" ? firstLines(msg) : msg;
	const { stack: ofError, ...facts } = isObject(error) ? error : {};
	const trace = [stack, ofError].find((each) => typeof each === "string") as string | undefined;
	return {
		record: { ...rest, ...shown(error, facts, String(msg)), msg: message },
		below: trace === undefined ? [] : framesOf(trace).map((line) => `    ${indentedText(line)}`),
	};
}

/** The error without what the message already says. */
function shown(error: unknown, facts: Readonly<Record<string, unknown>>, msg: string): { readonly error?: unknown } {
	if (error === undefined) return {};
	if (!isObject(error)) return { error };
	const { message, ...more } = facts;
	return { error: typeof message === "string" && msg.includes(message) ? more : facts };
}

function firstLines(text: string): string {
	const lines = text.split("\n");
	if (lines.length <= MOST_LINES) return text;
	return [...lines.slice(0, MOST_LINES - 1), `… ${lines.length - MOST_LINES + 1} more lines`].join("\n");
}

function framesOf(stack: string): string[] {
	const all = stack.split("\n").filter((line) => /^\s+at /.test(line));
	const frames = all.map((line) => line.trim());
	const outside = frames.filter((line) => !line.includes("node:internal"));
	const kept = (outside.length > 0 ? outside : frames).slice(0, MOST_FRAMES);
	return kept.length < frames.length ? [...kept, `… ${frames.length - kept.length} more (log.format: json has all)`] : kept;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}
