/**
 * `pockaffe:json`: the value is a JSON object and becomes the row. `options.id` names the field that is the id, by default the
 * message's key is. Numbers reach the server as their own text: JSON.parse is used only where it can't change one.
 */
import { isUtf8 } from "node:buffer";
import { isLosslessNumber, parse } from "lossless-json";
import type { Delete, Message, Outcome, PartitionInfo, Row } from "../handler-api.ts";

/** What init makes of the options. `table` undefined: there is but one. */
interface JsonState {
	readonly idField: string | null;
	readonly table: string | undefined;
}

/**
 * A number whose text JSON.parse may change, where one can stand: minus zero, with an exponent, of more than 15 digits, a fraction smaller
 * than a millionth or with a 0 at its end. In a string (", 1.50") it costs time only; ids and dates don't look like it.
 */
const delicateNumber = /[:,[\s]-?(?:\d+(?:\.\d+)?[eE]|(?:\d\.?){16}|0\.0{6}|\d+\.\d*0[\s,}\]]|(?<=-)0[\s,}\]])/;

/** Reads `options.id` and chooses the table. Throws where the options are wrong. */
export function init({ topic, tables }: PartitionInfo, options: unknown): JsonState {
	const { id, ...rest } = (options ?? {}) as Record<string, unknown>;
	if (id !== undefined && typeof id !== "string") throw new Error("pockaffe:json: options.id must be the name of a field");
	const [stranger] = Object.keys(rest);
	if (stranger !== undefined) throw new Error(`pockaffe:json: there is no option ${stranger}, only id`);
	const table = tables.length === 1 ? undefined : topic;
	return { idField: id ?? null, table };
}

/** One message to one row, a delete, or a rejection. */
export function handleMessage({ key, value }: Message, { idField, table }: JsonState): Outcome {
	if (value === null) {
		const id = textOf(key);
		return id === null
			? { reject: "the value is null and there is no key (UTF-8 text) that would say which row to delete" }
			: rowOf({ id, delete: true }, table);
	}
	const text = textOf(value);
	if (text === null) return { reject: "the value is not UTF-8" };
	const fields = parseObject(text);
	if (typeof fields === "string") return { reject: fields };
	if (idField === null) {
		const id = textOf(key);
		return id === null
			? { reject: "the message has no key (UTF-8 text) to be the id, and options.id names no field" }
			: rowOf({ id, fields }, table);
	}
	const { [idField]: id, ...others } = fields;
	const idText = isLosslessNumber(id) ? id.value : id;
	if (typeof idText !== "string" && typeof idText !== "number") return { reject: `the field ${idField} is missing or is no id` };
	return rowOf({ id: idText, fields: others }, table);
}

function rowOf(row: Row | Delete, table: string | undefined): Row | Delete {
	return table === undefined ? row : { ...row, table };
}

/** The object, or why it is none. */
function parseObject(text: string): Record<string, unknown> | string {
	let parsed: unknown;
	try {
		parsed = delicateNumber.test(text) ? parse(text, null, { onDuplicateKey: ({ newValue }) => newValue }) : JSON.parse(text);
	} catch {
		return "the value is not JSON";
	}
	const isObject = typeof parsed === "object" && parsed !== null && !Array.isArray(parsed) && !isLosslessNumber(parsed);
	return isObject ? (parsed as Record<string, unknown>) : "the value is JSON but no object";
}

/** UTF-8 text; null where it is none. Only bytes that aren't UTF-8, or spell it, become U+FFFD. */
function textOf(bytes: Buffer | null): string | null {
	if (bytes === null) return null;
	const text = bytes.toString("utf8");
	return text.includes("\ufffd") && !isUtf8(bytes) ? null : text;
}
