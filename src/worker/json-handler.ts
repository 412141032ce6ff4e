/**
 * `pockaffe:json`: the value is a JSON object and becomes the row. `options.id` names the field that is the id, by default the
 * message's key is. Numbers reach the server as their own text: JSON.parse is used only where it can't change one.
 */
import { isUtf8 } from "node:buffer";
import { isLosslessNumber, parse } from "lossless-json";
import type { Message, Outcome, PartitionInfo } from "../handler-api.ts";

/** What init makes of the options. `table` null: the one named like the topic, or the only one. */
interface JsonState {
	readonly idField: string | null;
	readonly table: string | undefined;
}

/**
 * An exponent, minus zero, more than 15 digits, a fraction that ends in 0 or is smaller than a millionth: there JSON.parse may change the
 * number's text. In strings it costs time only.
 */
const delicateNumber = /\d[eE]|-0(?!\.)|(?:\d\.?){16}|\.\d*0(?!\d)|0\.0{6}/;

/** Reads `options.id` and chooses the table. Throws where the options are wrong. */
export function init({ topic, tables }: PartitionInfo, options: unknown): JsonState {
	const { id, ...rest } = (options ?? {}) as Record<string, unknown>;
	if (id !== undefined && typeof id !== "string") throw new Error("pockaffe:json: options.id must be the name of a field");
	const [stranger] = Object.keys(rest);
	if (stranger !== undefined) throw new Error(`pockaffe:json: there is no option ${stranger}, only id`);
	const table = tables.length === 1 ? tables[0] : topic;
	return { idField: id ?? null, table };
}

/** One message to one row, a delete, or a rejection. */
export function handleMessage({ key, value }: Message, { idField, table }: JsonState): Outcome {
	const target = table === undefined ? {} : { table };
	if (value === null) {
		const id = textOf(key);
		return id === null
			? { reject: "the value is null and there is no key (UTF-8 text) that would say which row to delete" }
			: { id, delete: true, ...target };
	}
	if (!isUtf8(value)) return { reject: "the value is not UTF-8" };
	const fields = parseObject(value.toString("utf8"));
	if (typeof fields === "string") return { reject: fields };
	if (idField === null) {
		const id = textOf(key);
		return id === null
			? { reject: "the message has no key (UTF-8 text) to be the id, and options.id names no field" }
			: { id, fields, ...target };
	}
	const { [idField]: id, ...others } = fields;
	const idText = isLosslessNumber(id) ? id.value : id;
	if (typeof idText !== "string" && typeof idText !== "number") return { reject: `the field ${idField} is missing or is no id` };
	return { id: idText, fields: others, ...target };
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

function textOf(key: Buffer | null): string | null {
	return key === null || !isUtf8(key) ? null : key.toString("utf8");
}
