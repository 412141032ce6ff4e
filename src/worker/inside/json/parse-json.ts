/** Parses JSON as it is written: numbers reach the server with their own text, and errors are explained in words. Pure. */
import { isUtf8 } from "node:buffer";
import { isLosslessNumber, parse } from "lossless-json";

/**
 * Finds numbers whose text JSON.parse may change: minus zero, an exponent, more than 15 digits, a fraction below a millionth, or a fraction
 * with a 0 at its end. A match inside a string (", 1.50") costs only time; ids and dates don't look like it.
 */
const delicateNumber = /[:,[\s]-?(?:\d+(?:\.\d+)?[eE]|(?:\d\.?){16}|0\.0{6}|\d+\.\d*0[\s,}\]]|(?<=-)0[\s,}\]])/;

/** Maximum nesting of lists and objects: as deep as common parsers go, and small enough for any stack, ours and the server's. */
const DEEPEST = 1_000;

const [LIST, LIST_END, OBJECT, OBJECT_END, QUOTE, BACKSLASH] = [0x5b, 0x5d, 0x7b, 0x7d, 0x22, 0x5c];

/** Parses any JSON value, including a bare number; numbers keep their own text. Throws if the text is not JSON. */
export function parseJson(text: string): unknown {
	return delicateNumber.test(` ${text} `) ? parse(text, null, { onDuplicateKey: ({ newValue }) => newValue }) : JSON.parse(text);
}

/** The object in a message's value, or the reason why there is none. */
export function objectIn(value: Buffer): Record<string, unknown> | string {
	const mark = markOf(value);
	if (mark !== null) return mark;
	const text = textOf(value);
	if (text === null) return "the value is not UTF-8";
	if (isTooDeep(text)) return `the value is nested too deep: more than ${DEEPEST.toLocaleString("en")} levels`;
	let parsed: unknown;
	try {
		parsed = parseJson(text);
	} catch {
		return "the value is not JSON";
	}
	const isObject = typeof parsed === "object" && parsed !== null && !Array.isArray(parsed) && !isLosslessNumber(parsed);
	return isObject ? (parsed as Record<string, unknown>) : "the value is JSON but no object";
}

/** What an object has at a path; undefined if nothing. Reads own properties only, as a column's `from` does. */
export function valueAt(fields: Readonly<Record<string, unknown>>, path: readonly string[]): unknown {
	let at: unknown = fields;
	for (const name of path) {
		if (typeof at !== "object" || at === null || !Object.hasOwn(at, name)) return undefined;
		at = (at as Record<string, unknown>)[name];
	}
	return at;
}

/** Decodes UTF-8; null if the bytes are not UTF-8. U+FFFD in the text comes from invalid bytes, or was spelled out. */
export function textOf(bytes: Buffer | null): string | null {
	if (bytes === null) return null;
	const text = bytes.toString("utf8");
	return text.includes("\ufffd") && !isUtf8(bytes) ? null : text;
}

/** Names a mark that stands before the JSON and must not; null if there is none. */
function markOf(value: Buffer): string | null {
	const [first, second, third] = value;
	if (first === 0xef && second === 0xbb && third === 0xbf) return "the value begins with a byte order mark (EF BB BF), which JSON must not";
	if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff))
		return "the value begins with a byte order mark of UTF-16: JSON is UTF-8";
	if (first !== 0 || value.length < 5) return null;
	const schema = value.readUInt32BE(1);
	return `the value begins with the frame of Confluent's serializers (a zero byte, schema ${schema}): pockaffe:json reads plain JSON`;
}

/** JSON.parse accepts any depth, but the code that reads its result does not. */
function isTooDeep(text: string): boolean {
	if (text.length <= DEEPEST) return false;
	let depth = 0;
	let isString = false;
	for (let at = 0; at < text.length; at++) {
		const code = text.charCodeAt(at);
		if (isString) {
			if (code === BACKSLASH) at++;
			else if (code === QUOTE) isString = false;
		} else if (code === QUOTE) isString = true;
		else if (code === LIST || code === OBJECT) {
			if (++depth > DEEPEST) return true;
		} else if (code === LIST_END || code === OBJECT_END) depth--;
	}
	return false;
}
