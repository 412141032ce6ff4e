/** Functions of the simulated server: of values, over rows, and those that give rows. */
import { UnknownSqlError } from "./tokens.ts";
import { cast, compared, SqlError, textOf, type Value } from "./values.ts";

/** What a function may ask of the server. */
export interface ServerFacts {
	/** Wall time, ms. */
	readonly now: number;
	hasTable(name: string): boolean;
	/** Settings of the transaction, which the statement may change. */
	readonly settings: Map<string, string>;
}

type ScalarFunction = (args: readonly Value[], facts: ServerFacts) => Value;

const text = (value: Value | undefined) => textOf(value as NonNullable<Value>);

/** Those that give NULL where an argument is NULL. */
const strict: Readonly<Record<string, ScalarFunction>> = {
	convert_to: ([value]) => Buffer.from(text(value), "utf8"),
	convert_from: ([value]) => (value as Buffer).toString("utf8"),
	encode: ([value, format]) => (value as Buffer).toString(text(format) as BufferEncoding),
	decode: ([value, format]) => Buffer.from(text(value), text(format) as BufferEncoding),
	length: ([value]) => (Buffer.isBuffer(value) ? value.length : text(value).length),
	octet_length: ([value]) => (Buffer.isBuffer(value) ? value.length : Buffer.byteLength(text(value))),
	lower: ([value]) => text(value).toLowerCase(),
	upper: ([value]) => text(value).toUpperCase(),
	to_timestamp: ([seconds]) => new Date((seconds as number) * 1_000),
	extract_epoch: ([moment]) => (moment as Date).getTime() / 1_000,
	current_setting: ([name], { settings }) => {
		const value = settings.get(text(name));
		if (value === undefined) throw new UnknownSqlError(`the setting ${text(name)}`);
		return value;
	},
	set_config: ([name, value], { settings }) => {
		settings.set(text(name), text(value));
		return text(value);
	},
	abs: ([value]) => Math.abs(value as number),
	array_length: ([value]) => (value as readonly Value[]).length,
	cardinality: ([value]) => (value as readonly Value[]).length,
	to_regclass: ([name], facts) => {
		const table = text(name).replaceAll('"', "");
		return facts.hasTable(table) ? table : null;
	},
};

const lenient: Readonly<Record<string, ScalarFunction>> = {
	now: (_, facts) => new Date(facts.now),
	current_timestamp: (_, facts) => new Date(facts.now),
	clock_timestamp: (_, facts) => new Date(facts.now),
	coalesce: (args) => args.find((value) => value !== null) ?? null,
	nullif: ([left = null, right = null]) => (compared(left, right) === 0 ? null : left),
	greatest: (args) => extreme(args, 1),
	least: (args) => extreme(args, -1),
	concat: (args) => args.map((value) => (value === null ? "" : textOf(value))).join(""),
	string_to_array: ([joined = null, separator = null, nullMark = null]) => {
		if (joined === null) return null;
		const parts = joined === "" ? [] : text(joined).split(text(separator));
		return parts.map((part) => (part === nullMark ? null : part));
	},
	jsonb_build_object: (args) => Object.fromEntries(pairsOf(args)),
	json_build_object: (args) => Object.fromEntries(pairsOf(args)),
};

function pairsOf(args: readonly Value[]): [string, Value][] {
	return args.flatMap((value, index): [string, Value][] => (index % 2 === 0 ? [[text(value), args[index + 1] ?? null]] : []));
}

function extreme(args: readonly Value[], sign: number): Value {
	let found: Value = null;
	for (const value of args) {
		if (value !== null && (found === null || (compared(value, found) as number) * sign > 0)) found = value;
	}
	return found;
}

/** The function by its name. Throws UnknownSqlError. */
export function scalarFunction(name: string): ScalarFunction {
	const whole = lenient[name];
	if (whole) return whole;
	const inner = strict[name];
	if (!inner) throw new UnknownSqlError(`the function ${name}`);
	return (args, facts) => (args.includes(null) ? null : inner(args, facts));
}

/** Gathers what rows come to. `add` is called per row with its argument (null for `*`'s absence). */
export interface Aggregate {
	add(value: Value): void;
	result(): Value;
}

const aggregates: Readonly<Record<string, () => Aggregate>> = {
	count: () => folded(0, (count, value) => (value === null ? count : (count as number) + 1)),
	sum: () => folded(null, (sum, value) => (value === null ? sum : ((sum as number | null) ?? 0) + (value as number))),
	max: () => folded(null, (found, value) => extreme([found, value], 1)),
	min: () => folded(null, (found, value) => extreme([found, value], -1)),
	bool_or: () => folded(null, (any, value) => (value === null ? any : any === true || value === true)),
	bool_and: () => folded(null, (all, value) => (value === null ? all : all !== false && value === true)),
	array_agg: () => folded(null, (list, value) => [...((list as readonly Value[] | null) ?? []), value]),
	json_agg: () => folded(null, (list, value) => [...((list as readonly Value[] | null) ?? []), value]),
	jsonb_agg: () => folded(null, (list, value) => [...((list as readonly Value[] | null) ?? []), value]),
	string_agg: () => folded(null, (joined, value) => (value === null ? joined : `${joined ?? ""}${textOf(value)}`)),
};

function folded(start: Value, step: (gathered: Value, value: Value) => Value): Aggregate {
	let gathered = start;
	return {
		add: (value) => {
			gathered = step(gathered, value);
		},
		result: () => gathered,
	};
}

/** Makes one; null where the name is no aggregate's. */
export function aggregate(name: string): (() => Aggregate) | null {
	return aggregates[name] ?? null;
}

/** The rows of a function in `from`, one value per column. */
export function rowsOfFunction(name: string, args: readonly Value[], columns: readonly string[], types: readonly string[]): Value[][] {
	switch (name) {
		case "unnest": {
			const lists = args.map((list) => (list as readonly Value[] | null) ?? []);
			const longest = Math.max(0, ...lists.map((list) => list.length));
			return Array.from({ length: longest }, (_, index) => lists.map((list) => list[index] ?? null));
		}
		case "json_array_elements":
		case "jsonb_array_elements":
			return elementsOf(args[0] ?? null).map((element) => [element]);
		case "json_to_recordset":
		case "jsonb_to_recordset":
			return elementsOf(args[0] ?? null).map((element) =>
				columns.map((column, index) => recordField(element as { readonly [key: string]: unknown }, column, types[index] as string)),
			);
		case "generate_series": {
			const [from = 0, to = 0] = args as number[];
			return Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => [from + index]);
		}
		default:
			throw new UnknownSqlError(`the function ${name} in from`);
	}
}

function recordField(element: { readonly [key: string]: unknown }, column: string, type: string): Value {
	const value = (element[column] ?? null) as Value;
	return value !== null && typeof value === "object" && !/^jsonb?$/.test(type) ? cast(JSON.stringify(value), type) : cast(value, type);
}

function elementsOf(list: Value): readonly Value[] {
	if (list === null) return [];
	if (!Array.isArray(list)) throw new SqlError("22023", "cannot extract elements from an object");
	return list as readonly Value[];
}
