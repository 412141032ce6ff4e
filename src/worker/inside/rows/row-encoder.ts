/**
 * Gathers rows of one table column by column: checks each row against the table's layout and turns its values into text. Throws
 * BadOutcomeError if the handler is wrong; a row that its table can't hold is a fault. Knows nothing of lanes and versions (row-packer.ts).
 * Pure.
 *
 * Step 5 of a message's way (docs/architecture.md).
 */
import { closest } from "fastest-levenshtein";
import { collides, separatorsFor, usualSeparators } from "../../../core/rows/joined-texts.ts";
import type { RowBlock, RowFault, TableLayout } from "../../../core/rows/rows.ts";
import { getPrototypeOf, hasOwn, isArray } from "../built-ins.ts";
import { BadOutcomeError, isContainer, kindOf, RowFaultError } from "./bad-outcome.ts";
import { canonicalId, canonicalVersion } from "./canonical-values.ts";
import { encoderOf, isPlainText, takesText, type ValueEncoder } from "./column-values.ts";
import { TextRows } from "./gathered-rows.ts";
import { RowPacker, type RunPositions } from "./row-packer.ts";

interface Column {
	readonly name: string;
	readonly path: readonly string[];
	readonly nullable: boolean;
	readonly encode: ValueEncoder;
	/** True if strings need no conversion. */
	readonly takesText: boolean;
	readonly isVersion: boolean;
}

type Fields = Readonly<Record<string, unknown>>;

/** Bytes that a row costs beside its values: offset, timestamp, partition. */
export const ROW_OVERHEAD = 40;

/** The result of a row: its size in bytes, or the fault that keeps it out. */
export type EncodedRow = { readonly bytes: number } | { readonly fault: RowFault };

/** Encodes rows of one table, column by column. `take` empties it. */
export class RowEncoder {
	readonly layout: TableLayout;
	readonly #columns: readonly Column[];
	readonly #known: ReadonlySet<string>;
	#messages: number[] = [];
	#ids: string[] = [];
	#deletes: number[] = [];
	#bytes: number[] = [];
	#values: (string | null)[][];
	/** Some value contains one of the usual separators. */
	#isUnusual = false;
	readonly #packer: RowPacker;

	/** `lanes`: number of the writer's lanes. */
	constructor(layout: TableLayout, lanes = 1) {
		this.layout = layout;
		this.#packer = new RowPacker(layout, lanes);
		const { version } = layout;
		this.#columns = layout.columns.map(({ name, type, encoding, path, nullable }) => {
			const isVersion = version.kind === "field" && version.column === name;
			const encode = isVersion ? (value: unknown) => canonicalVersion(value, type) : encoderOf(type, encoding);
			return { name, path, nullable, encode, takesText: takesText(encode), isVersion };
		});
		this.#known = new Set(layout.columns.flatMap(({ path }) => path[0] ?? []));
		this.#values = layout.columns.map(() => []);
	}

	/** Number of rows; also the mark to roll back to. */
	get length(): number {
		return this.#ids.length;
	}

	/** Names that a row's fields may have. */
	get known(): ReadonlySet<string> {
		return this.#known;
	}

	/** Adds an upsert of message `message`. */
	upsert(message: number, id: unknown, fields: Fields): EncodedRow {
		return this.#add(message, id, fields, false);
	}

	/** Adds a delete; only a version column is read from `fields`. */
	remove(message: number, id: unknown, fields: Fields): EncodedRow {
		return this.#add(message, id, fields, true);
	}

	/** The column whose name is nearest to this unknown field, in words. */
	nearest(field: string): string {
		return this.#known.size === 0 ? "" : `, the nearest is ${closest(field, [...this.#known])}`;
	}

	/** Drops the rows from `length` on, because their message failed. */
	rollBack(length: number): void {
		this.#messages.length = length;
		this.#ids.length = length;
		this.#deletes.length = length;
		this.#bytes.length = length;
		for (const values of this.#values) values.length = length;
	}

	/** Drops this message's rows if it is the last one that had any. */
	drop(message: number): void {
		let length = this.length;
		while (length > 0 && this.#messages[length - 1] === message) length--;
		this.rollBack(length);
	}

	/** Returns the rows as blocks, one per lane that has any, and empties the encoder. */
	take(positions: RunPositions): RowBlock[] {
		if (this.length === 0) return [];
		const separators = this.#isUnusual ? separatorsFor([this.#ids, ...this.#values]) : usualSeparators;
		const lists = { messages: this.#messages, ids: this.#ids, deletes: this.#deletes, bytes: this.#bytes, values: this.#values };
		const blocks = this.#packer.pack(new TextRows(lists), positions, separators);
		this.#messages = [];
		this.#ids = [];
		this.#deletes = [];
		this.#bytes = [];
		this.#values = this.#columns.map(() => []);
		this.#isUnusual = false;
		return blocks;
	}

	#add(message: number, id: unknown, fields: Fields, isDelete: boolean): EncodedRow {
		const before = this.length;
		let where = this.layout.id.column;
		let rowId = "";
		try {
			const isPlainId = this.layout.id.type === "text" && typeof id === "string" && isPlainText(id);
			rowId = isPlainId ? id : canonicalId(id, this.layout.id.type);
			if (!isPlainId && collides(rowId, usualSeparators)) this.#isUnusual = true;
			let bytes = ROW_OVERHEAD + rowId.length;
			for (let i = 0; i < this.#columns.length; i++) {
				const column = this.#columns[i] as Column;
				where = column.name;
				const value = isDelete && !column.isVersion ? undefined : valueAt(fields, column.path);
				const isPlain = column.takesText && typeof value === "string" && isPlainText(value);
				const text = isPlain ? value : this.#encode(column, value, isDelete);
				(this.#values[i] as (string | null)[]).push(text);
				bytes += text === null ? 1 : text.length;
				if (!isPlain && text !== null && collides(text, usualSeparators)) this.#isUnusual = true;
			}
			this.#messages.push(message);
			this.#ids.push(rowId);
			this.#deletes.push(isDelete ? 1 : 0);
			this.#bytes.push(bytes);
			return { bytes };
		} catch (error) {
			for (const values of this.#values) values.length = before;
			if (error instanceof RowFaultError) {
				const what = `column ${where} of ${this.layout.name}: the value ${error.message}`;
				return { fault: { table: this.layout.name, rowId, sqlstate: error.sqlstate, message: what } };
			}
			if (error instanceof BadOutcomeError) throw new BadOutcomeError(`column ${where} of ${this.layout.name}: ${error.message}`);
			throw error;
		}
	}

	#encode(column: Column, value: unknown, isDelete: boolean): string | null {
		if (isDelete && !column.isVersion) return null;
		if (value !== undefined && value !== null) return column.encode(value);
		if (column.isVersion)
			throw new BadOutcomeError(`it is the row's version and must have a value${isDelete ? ", in a delete's fields too" : ""}`);
		if (!column.nullable) throw new RowFaultError("23502", "is missing");
		return null;
	}
}

/** Reads own properties only: a field named `constructor` must not give a value. */
function valueAt(fields: Fields, path: readonly string[]): unknown {
	let at: unknown = fields;
	for (let i = 0; i < path.length; i++) {
		const key = path[i] as string;
		if (typeof at !== "object" || at === null) return undefined;
		if (!hasOwn(at, key)) {
			if (i > 0) checkPlain(at, `${path.slice(0, i).join(".")} in a row's fields`, key);
			return undefined;
		}
		at = (at as Fields)[key];
	}
	return at;
}

/** Returns a row's `fields`, checked to be an object with own properties. `known`: names that columns take. */
export function fieldsOf(fields: unknown, needed: boolean, known: ReadonlySet<string>): Fields {
	if (fields === undefined && !needed) return {};
	if (typeof fields !== "object" || fields === null || isArray(fields))
		throw new BadOutcomeError(`a row's fields must be an object, not ${kindOf(fields)}`);
	const prototype: unknown = getPrototypeOf(fields);
	if (prototype !== Object.prototype && prototype !== null) {
		checkPlain(fields, "a row's fields");
		for (const name of known) if (!hasOwn(fields, name)) checkPlain(fields, "a row's fields", name);
	}
	return fields as Fields;
}

/** Throws if `name` (or any property) would be read from an object that only inherits it: the value would be NULL by accident. */
function checkPlain(value: object, what: string, name?: string): void {
	if (isContainer(value)) throw new BadOutcomeError(`${what} must be a plain object, not ${kindOf(value)}`);
	const prototype: unknown = getPrototypeOf(value);
	if (name === undefined || prototype === Object.prototype || prototype === null || !(name in value)) return;
	throw new BadOutcomeError(
		`${what}: ${name} is inherited or a getter of a class, and only own properties count; write {${name}: it.${name}}`,
	);
}
