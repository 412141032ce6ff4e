/** `pockaffe:log`: prints each message and `key: value`, and makes no row. The only code that prints values. */
import type { Message, Outcome } from "../../handler-api.ts";

/** Prints the message map, then `key: value`. */
export function handleMessage(message: Message): Outcome {
	const { key, value, headers, ...rest } = message;
	const shown = { ...rest, key: textOf(key), value: textOf(value), headers: headers.map(([name, content]) => [name, textOf(content)]) };
	process.stdout.write(`${JSON.stringify(shown)}\n${textOf(key)}: ${textOf(value)}\n`);
	return null;
}

function textOf(bytes: Buffer | null): string | null {
	return bytes === null ? null : bytes.toString("utf8");
}
