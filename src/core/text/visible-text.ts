/** Text from outside, for a terminal: what would steer it, or pass for a line of its own, is shown as an escape (`\u001b`). Pure. */

/** C0 but tab and line feed, DEL, C1, marks of direction, separators of lines and paragraphs. */
const steering = /(?![\t\n])[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu;

/** With its lines as they are. What is JSON stays the same JSON. */
export function visibleText(text: string): string {
	return text.replaceAll(steering, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** As one line. */
export function visibleLine(text: string): string {
	return visibleText(text).replaceAll("\n", "\\n").replaceAll("\t", "\\t");
}

/** Lines behind the first stand below it: none begins as a line of somebody else's would. */
export function indentedText(text: string): string {
	return visibleText(text).replaceAll("\n", "\n    ");
}
