/**
 * `pockaffe:json`: the value is a JSON object and becomes the row. `options.id` names the field that is the id, by default the
 * message's key is. Most messages are read by json-reader.ts; what is here reads any, and says what is wrong with one.
 */
import { isUtf8 } from "node:buffer";
import { isLosslessNumber } from "lossless-json";
import type { TableLayout } from "../../core/rows.ts";
import type { Delete, Message, Outcome, PartitionInfo, Row } from "../../handler-api.ts";
import { JsonReader } from "./json-reader.ts";
import { parseJson } from "./parse-json.ts";

/** What init makes of the options. `table` undefined: there is but one. */
export interface JsonState {
	readonly idField: string | null;
	readonly table: string | undefined;
}

/** What rows are made with; `maxBytes` is `handler.maxOutcomeBytes`. */
interface ReaderParts {
	readonly tables: readonly TableLayout[];
	readonly lanes: number;
	readonly maxBytes: number;
}

/** Reads `options.id` and chooses the table. Throws where the options are wrong. */
export function init({ topic, tables }: PartitionInfo, options: unknown): JsonState {
	const { id, ...rest } = (options ?? {}) as Record<string, unknown>;
	if (id !== undefined && typeof id !== "string") throw new Error("pockaffe:json: options.id must be the name of a field");
	const [stranger] = Object.keys(rest);
	if (stranger !== undefined) throw new Error(`pockaffe:json: there is no option ${stranger}, only id`);
	const table = tables.length === 1 ? undefined : topic;
	return { idField: id ?? null, table };
}

/** What reads a partition's messages from their bytes; null where their table can't be told. */
export function createReader({ idField, table }: JsonState, { tables, lanes, maxBytes }: ReaderParts): JsonReader | null {
	const layout = table === undefined ? tables[0] : tables.find(({ name }) => name === table);
	return layout === undefined ? null : new JsonReader({ layout, lanes, idField, maxBytes });
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
		parsed = parseJson(text);
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
