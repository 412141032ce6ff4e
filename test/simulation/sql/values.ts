/**
 * Values of the simulated server: text is a string, every number a number (offsets stay far below 2^53), json what it says, bytea a Buffer,
 * timestamptz a Date, NULL null. Comparisons know three answers.
 */
import { UnknownSqlError } from "./tokens.ts";

/** A value in a row. */
export type Value = string | number | boolean | null | Date | Buffer | readonly Value[] | { readonly [key: string]: unknown };

/** An error as the server gives it. */
export class SqlError extends Error {
	readonly code: string;
	readonly severity = "ERROR";
	readonly table_name: string | undefined;
	readonly column_name: string | undefined;
	readonly constraint_name: string | undefined;

	constructor(code: string, message: string, names: { table?: string; column?: string; constraint?: string } = {}) {
		super(message);
		this.code = code;
		this.table_name = names.table;
		this.column_name = names.column;
		this.constraint_name = names.constraint;
	}
}

const WHOLE = new Set(["int", "int2", "int4", "int8", "integer", "smallint", "bigint", "oid"]);
const FRACTIONAL = new Set(["numeric", "real", "double precision", "float4", "float8"]);

/** `value::type`. */
export function cast(value: Value, type: string): Value {
	if (value === null) return null;
	if (type.endsWith("[]")) return value;
	const name = type.replace(/\(.*/, "");
	if (WHOLE.has(name)) return wholeNumber(value);
	if (FRACTIONAL.has(name)) return fractional(value);
	switch (name) {
		case "text":
		case "varchar":
		case "name":
		case "uuid":
		case "regclass":
			return textOf(value);
		case "boolean":
		case "bool":
			return typeof value === "boolean" ? value : booleanOf(textOf(value));
		case "json":
		case "jsonb":
			return typeof value === "string" ? jsonOf(value) : value;
		case "bytea":
			return Buffer.isBuffer(value) ? value : Buffer.from(textOf(value).slice(2), "hex");
		case "timestamptz":
			return value instanceof Date ? value : new Date(textOf(value));
		case "interval":
			return milliseconds(textOf(value));
		default:
			throw new UnknownSqlError(`the type ${type}`);
	}
}

function wholeNumber(value: Value): number {
	if (typeof value === "boolean") return value ? 1 : 0;
	const number = typeof value === "number" ? Math.round(value) : Number(String(value).trim() || Number.NaN);
	if (!Number.isInteger(number)) throw new SqlError("22P02", "invalid input syntax for type integer");
	return number;
}

function fractional(value: Value): number {
	const number = Number(value);
	if (Number.isNaN(number)) throw new SqlError("22P02", "invalid input syntax for type numeric");
	return number;
}

function booleanOf(text: string): boolean {
	if (/^(t|true|on|yes|1)$/i.test(text)) return true;
	if (/^(f|false|off|no|0)$/i.test(text)) return false;
	throw new SqlError("22P02", "invalid input syntax for type boolean");
}

function jsonOf(text: string): Value {
	try {
		return JSON.parse(text) as Value;
	} catch {
		throw new SqlError("22P02", "invalid input syntax for type json");
	}
}

const UNITS: Readonly<Record<string, number>> = { microsecond: 0.001, millisecond: 1, second: 1_000, minute: 60_000, hour: 3_600_000 };

/** Of times an interval is added to; moments have whole milliseconds here, so that the smallest is one. */
function milliseconds(interval: string): number {
	const [, count, unit] = /^(\d+) (\w+?)s?$/.exec(interval) ?? [];
	const length = UNITS[unit ?? ""];
	if (length === undefined) throw new UnknownSqlError(`the interval ${interval}`);
	return Math.ceil(Number(count) * length);
}

/** As `::text` prints it. */
export function textOf(value: NonNullable<Value>): string {
	if (typeof value === "string") return value;
	if (typeof value === "boolean") return value ? "true" : "false";
	if (value instanceof Date) return value.toISOString();
	if (Buffer.isBuffer(value)) return `\\x${value.toString("hex")}`;
	return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Negative, 0, positive; null where one of them is NULL. Rows are compared part by part. */
export function compared(left: Value, right: Value): number | null {
	if (left === null || right === null) return null;
	if (Array.isArray(left) && Array.isArray(right)) return listsCompared(left, right);
	if (Buffer.isBuffer(left) && Buffer.isBuffer(right)) return Buffer.compare(left, right);
	const [a, b] = [comparable(left), comparable(right)];
	if (typeof a !== typeof b) throw new SqlError("42883", `operator does not exist: ${typeof a} = ${typeof b}`);
	return a < b ? -1 : a > b ? 1 : 0;
}

function comparable(value: NonNullable<Value>): string | number {
	if (value instanceof Date) return value.getTime();
	if (typeof value === "boolean") return value ? 1 : 0;
	return typeof value === "object" ? JSON.stringify(value) : (value as string | number);
}

/** The first parts that differ decide; a NULL before them leaves it open. */
function listsCompared(left: readonly Value[], right: readonly Value[]): number | null {
	for (const [index, part] of left.entries()) {
		const order = compared(part, right[index] as Value);
		if (order !== 0) return order;
	}
	return 0;
}

/** Equality of rows needs all parts: one that differs decides, whatever is NULL beside it. */
export function equal(left: Value, right: Value): boolean | null {
	if (!Array.isArray(left) || !Array.isArray(right)) {
		const order = compared(left, right);
		return order === null ? null : order === 0;
	}
	let isOpen = false;
	for (const [index, part] of left.entries()) {
		const isEqual = equal(part, right[index] as Value);
		if (isEqual === false) return false;
		if (isEqual === null) isOpen = true;
	}
	return isOpen ? null : true;
}

/** `left operator right` for the operators that compare. */
export function comparison(operator: string, left: Value, right: Value): boolean | null {
	if (operator === "=") return equal(left, right);
	if (operator === "<>" || operator === "!=") {
		const isEqual = equal(left, right);
		return isEqual === null ? null : !isEqual;
	}
	const order = compared(left, right);
	if (order === null) return null;
	switch (operator) {
		case "<":
			return order < 0;
		case "<=":
			return order <= 0;
		case ">":
			return order > 0;
		case ">=":
			return order >= 0;
		default:
			throw new UnknownSqlError(`the operator ${operator}`);
	}
}
