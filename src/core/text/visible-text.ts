/**
 * Makes text from outside safe for a terminal: characters that would control it, or begin a line of their own, are shown as escapes
 * (`\u001b`). Pure.
 */

/** C0 except tab and line feed, DEL, C1, marks of direction, separators of lines and paragraphs. */
const steering = /(?![\t\n])[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu;

/** Keeps the lines. JSON stays the same JSON. */
export function visibleText(text: string): string {
	return text.replaceAll(steering, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** The text as one line. */
export function visibleLine(text: string): string {
	return visibleText(text).replaceAll("\n", "\\n").replaceAll("\t", "\\t");
}

/** Indents the lines after the first, so that none looks like a record of its own. */
export function indentedText(text: string): string {
	return visibleText(text).replaceAll("\n", "\n    ");
}
