/** Parses the values of options and arguments for commander, with errors that say what is expected. */
import { InvalidArgumentError } from "commander";
import type { SetTo } from "../../kafka/offsets/offset-plan.ts";

const DIGITS = /^\d+$/;

/** A whole number above 0, for options. */
export function parseWholeNumber(text: string): number {
	return digits(text, 1, "Wanted: a whole number above 0.");
}

/** The number of a partition. */
export function partitionNumber(text: string): number {
	return digits(text, 0, "Wanted: a partition's number, 0 or more.");
}

/** An offset. */
export function offsetNumber(text: string): number {
	return digits(text, 0, "Wanted: an offset, 0 or more.");
}

/** An option that may be given once: a second value would silently take the first one's place. */
export function once(text: string, before: string | undefined): string {
	if (before !== undefined) throw new InvalidArgumentError("It may be given once: run the command again for another.");
	return text;
}

/** An option that may be repeated: collects all values. */
export function each(text: string, before: readonly string[] | undefined): readonly string[] {
	return [...(before ?? []), text];
}

/** A place in a log. Digits are an offset: a time is written as a date. */
export function whereTo(text: string): SetTo {
	if (text === "earliest" || text === "latest") return { kind: text };
	if (DIGITS.test(text) && Number.isSafeInteger(Number(text))) return { kind: "offset", offset: Number(text) };
	const timestampMs = Date.parse(text);
	if (Number.isNaN(timestampMs) || !/^\d{4}-/.test(text))
		throw new InvalidArgumentError("Wanted: earliest, latest, a time such as 2024-05-01T12:00:00Z, or an offset.");
	return { kind: "time", timestampMs };
}

/** JavaScript also accepts "" (0), "0x10", "1e3" and " 5 " as numbers: in a script these are more likely mistakes. */
function digits(text: string, least: number, wanted: string): number {
	const value = DIGITS.test(text) ? Number(text) : Number.NaN;
	if (!Number.isSafeInteger(value) || value < least) throw new InvalidArgumentError(wanted);
	return value;
}
