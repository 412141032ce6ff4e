/** What may be said of a message in the log. Pure. */

/**
 * An error's words without what the language itself quotes of the text it could not read: that is a piece of the message's value.
 * The handler's own words stay as they are.
 */
export function withoutValues<T extends string | null>(text: T): T {
	return (text
		?.replaceAll(/Unexpected (?:token|non-whitespace character) [\s\S]*? is not valid JSON/g, "the text is not valid JSON")
		.replaceAll(/(?:\.{3})?"[\s\S]*?"(?:\.{3})? is not valid JSON/g, "the text is not valid JSON")
		.replaceAll(/Cannot convert [\s\S]*? to a BigInt/g, "the text is no BigInt") ?? null) as T;
}
