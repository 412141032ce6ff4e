/**
 * Joins texts into one: values with a separator in between, which the server (`string_to_array`) or PocKaffe splits again. Costs a fifth of
 * an array literal, and a column of a thousand rows crosses a thread's boundary as one string. The separator and the mark for null are
 * chosen so that no value contains them. Pure.
 */

/** How texts are joined. */
export interface Separators {
	readonly separator: string;
	readonly nullMark: string;
}

/** The separators for nearly all texts. */
export const usualSeparators: Separators = { separator: "\x1e", nullMark: "\x1d" };

/** The usual separators, or longer ones if a value contains one of those. */
export function separatorsFor(columns: readonly (readonly (string | null)[])[]): Separators {
	let candidate = usualSeparators;
	for (let attempt = 0; columns.some((values) => values.some((value) => value !== null && collides(value, candidate))); attempt++) {
		candidate = { separator: `\x1e${attempt.toString(36)}\x1f`, nullMark: `\x1d${attempt.toString(36)}\x1f` };
	}
	return candidate;
}

/** True if the value can't be joined with these. */
export function collides(value: string, { separator, nullMark }: Separators): boolean {
	return value.includes(separator) || value === nullMark;
}

/** Joins all values. A single empty value gives the same text as no value: the reader has to know the count. */
export function joinTexts(values: readonly (string | null)[], { separator, nullMark }: Separators): string {
	let joined = "";
	for (let i = 0; i < values.length; i++) joined += (i === 0 ? "" : separator) + (values[i] ?? nullMark);
	return joined;
}

/** Splits the text into its `count` values. */
export function splitTexts(joined: string, count: number, { separator, nullMark }: Separators): (string | null)[] {
	if (count === 0) return [];
	const values = joined.split(separator);
	return joined.includes(nullMark) ? values.map((value) => (value === nullMark ? null : value)) : values;
}

/** The same value `count` times. */
export function repeatText(value: string, count: number, { separator }: Separators): string {
	return count === 0 ? "" : (value + separator).repeat(count - 1) + value;
}
