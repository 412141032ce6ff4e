/** Removes messages' values from texts for the log. Pure. */

/**
 * An error's words without the piece of text that JavaScript itself quotes when it can't read it: that is a part of the message's value.
 * The handler's own words stay.
 */
export function withoutValues<T extends string | null>(text: T): T {
	return (text
		?.replaceAll(/Unexpected (?:token|non-whitespace character) [\s\S]*? is not valid JSON/g, "the text is not valid JSON")
		.replaceAll(/(?:\.{3})?"[\s\S]*?"(?:\.{3})? is not valid JSON/g, "the text is not valid JSON")
		.replaceAll(/Cannot convert [\s\S]*? to a BigInt/g, "the text is no BigInt") ?? null) as T;
}
