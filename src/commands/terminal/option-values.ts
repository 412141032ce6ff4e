/** Values of options and arguments, as commander wants them: parsed, or an error that says what is wanted. */
import { InvalidArgumentError } from "commander";
import type { SetTo } from "../../kafka/offsets/offset-plan.ts";

/** A whole number above 0, for options. */
export function wholeNumber(text: string): number {
	const value = Number(text);
	if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError("a whole number above 0.");
	return value;
}

/** The number of a partition. */
export function partitionNumber(text: string): number {
	const value = Number(text);
	if (!Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError("a partition's number, 0 or more.");
	return value;
}

/** An offset. */
export function offsetNumber(text: string): number {
	const value = Number(text);
	if (!Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError("an offset, 0 or more.");
	return value;
}

/** An option that may be said several times: all that was said. */
export function each(text: string, before: readonly string[] | undefined): readonly string[] {
	return [...(before ?? []), text];
}

/** A place in a log. Digits are an offset: a time is written as a date. */
export function whereTo(text: string): SetTo {
	if (text === "earliest" || text === "latest") return { kind: text };
	if (/^\d+$/.test(text) && Number.isSafeInteger(Number(text))) return { kind: "offset", offset: Number(text) };
	const timestampMs = Date.parse(text);
	if (Number.isNaN(timestampMs) || !/^\d{4}-/.test(text))
		throw new InvalidArgumentError("earliest, latest, a time such as 2024-05-01T12:00:00Z, or an offset.");
	return { kind: "time", timestampMs };
}
