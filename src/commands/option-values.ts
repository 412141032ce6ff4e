/** Values of options and arguments, as commander wants them: parsed, or an error that says what is wanted. */
import { InvalidArgumentError } from "commander";

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
