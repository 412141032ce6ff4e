/**
 * `pockaffe:json`: the value is a JSON object and becomes the row. `options.id` names the field that is the id; by default the message's
 * key is the id. json-reader.ts reads most messages; this file reads any message, and says what is wrong with a bad one.
 */
import { isLosslessNumber } from "lossless-json";
import type { TableLayout } from "../../../core/rows/rows.ts";
import type { Delete, Message, Outcome, PartitionInfo, Row } from "../../../handler-api.ts";
import { wholeNumber } from "../rows/whole-number.ts";
import { JsonReader } from "./json-reader.ts";
import { hasNothingFor, knownFields } from "./known-fields.ts";
import { objectIn, textOf, valueAt } from "./parse-json.ts";

/** The state that init makes from the options. */
export interface JsonState {
	/** The id's path in the object; null: the message's key is the id. */
	readonly idPath: readonly string[] | null;
	/** The table's name if several are configured; undefined if there is only one. */
	readonly table: string | undefined;
	/** The table's layout; null if no table has the topic's name. */
	readonly layout: TableLayout | null;
	/** Top-level fields that columns are read from. */
	readonly known: ReadonlySet<string>;
	/** Reads messages from their bytes; null if that is not possible. */
	readonly reader: JsonReader | null;
}

/** What making rows needs; `maxBytes` is `handler.maxOutcomeBytes`. */
export interface RowParts {
	readonly tables: readonly TableLayout[];
	readonly lanes: number;
	readonly maxBytes: number;
}

type Fields = Record<string, unknown>;

/** Maximum names listed in a message about a table's fields or an object's. */
const NAMES = 5;

/** Reads `options.id` and chooses the table. Throws if the options are wrong. */
export function init({ topic, tables }: PartitionInfo, options: unknown, { tables: layouts, lanes, maxBytes }: RowParts): JsonState {
	const { id, ...rest } = (options ?? {}) as Record<string, unknown>;
	if (id !== undefined && typeof id !== "string")
		throw new Error("pockaffe:json: options.id must be the name of a field, or a path to it (after.id)");
	const [stranger] = Object.keys(rest);
	if (stranger !== undefined) throw new Error(`pockaffe:json: there is no option ${stranger}, only id`);
	const table = tables.length === 1 ? undefined : topic;
	const layout = (table === undefined ? layouts[0] : layouts.find(({ name }) => name === table)) ?? null;
	const idPath = id?.split(".") ?? null;
	const known = knownFields(layout);
	const reader = layout && new JsonReader({ layout, lanes, idPath, maxBytes });
	return { idPath, table, layout, known, reader };
}

/** Turns a message into one row, a delete, or a rejection. */
export function handleMessage({ key, value }: Message, state: JsonState): Outcome {
	const { idPath, table } = state;
	if (value === null) {
		const id = textOf(key);
		return id === null
			? { reject: "the value is null and there is no key (UTF-8 text) that would say which row to delete" }
			: rowOf({ id, delete: true }, table);
	}
	const fields = objectIn(value);
	if (typeof fields === "string") return { reject: fields };
	if (idPath === null) {
		const id = textOf(key);
		if (id === null) return { reject: "the message has no key (UTF-8 text) to be the id, and options.id names no field" };
		return hasNothingFor(state.known, fields) ? { reject: strangeObject(state, fields) } : rowOf({ id, fields }, table);
	}
	const id = idOf(valueAt(fields, idPath), state);
	if (id === null) return { reject: `the field ${idPath.join(".")} is missing or is no id` };
	return rowOf({ id, fields: withoutId(fields, state) }, table);
}

function rowOf(row: Row | Delete, table: string | undefined): Row | Delete {
	return table === undefined ? row : { ...row, table };
}

/** A number's own text; an integer's digits if the id is an integer. Null if the value is no id. */
function idOf(value: unknown, { layout }: JsonState): string | number | null {
	if (typeof value === "string" || typeof value === "number") return value;
	if (!isLosslessNumber(value)) return null;
	const isInteger = layout !== null && layout.id.type !== "text" && layout.id.type !== "uuid";
	return isInteger ? wholeNumber(value.value) : value.value;
}

/** Leaves the id's field out unless a column takes it: it is no unknown field. */
function withoutId(fields: Fields, { idPath, known }: JsonState): Fields {
	const root = idPath?.[0] as string;
	if (known.has(root)) return fields;
	const { [root]: _, ...others } = fields;
	return others;
}

function strangeObject({ layout, known }: JsonState, fields: Fields): string {
	const listed = (names: readonly string[]) => {
		const told = names.slice(0, NAMES).map((name) => JSON.stringify(name.slice(0, 80)));
		return told.join(", ") + (names.length > NAMES ? ", …" : "");
	};
	const takes = `the object has none of the fields that columns of ${layout?.name} are read from (${listed([...known])})`;
	return `${takes}, it has ${listed(Object.keys(fields))}: a column's from is a path, e.g. payload.name`;
}
