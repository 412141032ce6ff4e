/**
 * The tables of the simulated server: what they look like, what is in them, and the rules that a row must keep. A state is never changed,
 * but followed by another: a snapshot costs nothing, and a statement that fails leaves no trace.
 */
import type { ColumnDefinition } from "./syntax.ts";
import { SqlError, textOf, type Value } from "./values.ts";

/** A row by column. Never changed in place. */
export type Row = Readonly<Record<string, Value>>;

/** What a table looks like. */
export interface TableDefinition {
	readonly name: string;
	readonly columns: readonly ColumnDefinition[];
	readonly primaryKey: readonly string[];
}

/** A table as it is at a moment; rows by key. */
export interface TableState {
	readonly definition: TableDefinition;
	readonly rows: ReadonlyMap<string, Row>;
}

/** All tables at a moment. */
export type State = ReadonlyMap<string, TableState>;

/** A row that changed: `before` is null for a new one, `after` for one that is gone. */
export interface Change {
	readonly table: string;
	readonly before: Row | null;
	readonly after: Row | null;
}

/** How a row's check, made by whoever evaluates expressions, is asked: false breaks it. */
export type CheckRow = (table: string, row: Row) => { readonly column: string } | null;

/** The key of a row by these columns; null where one of them is NULL. */
export function keyOf(row: Row, columns: readonly string[]): string | null {
	let key = "";
	for (const column of columns) {
		const value = row[column] as Value;
		if (value === null) return null;
		key += `${key === "" ? "" : "\0"}${textOf(value)}`;
	}
	return key;
}

/** The changes of one statement, taken back whole where it fails. */
export class WriteSet {
	readonly changes: Change[] = [];
	readonly #present: State;
	readonly #checkRow: CheckRow;
	readonly #rows = new Map<string, Map<string, Row>>();
	/** Who has a value of a column that may be there once, where a statement asked. */
	readonly #owners = new Map<string, Map<string, string>>();

	constructor(present: State, checkRow: CheckRow) {
		this.#present = present;
		this.#checkRow = checkRow;
	}

	definition(table: string): TableDefinition {
		const state = this.#present.get(table);
		if (!state) throw new SqlError("42P01", `relation "${table}" does not exist`);
		return state.definition;
	}

	/** The rows as this statement has left them so far. */
	rows(table: string): ReadonlyMap<string, Row> {
		return this.#rows.get(table) ?? this.#present.get(table)?.rows ?? new Map();
	}

	/** Checks what can be said of a row by itself: done before anybody looks whether it is there already. */
	check(table: string, row: Row): void {
		for (const { name, notNull } of this.definition(table).columns) {
			if (notNull && (row[name] ?? null) === null)
				throw new SqlError("23502", `null value in column "${name}" violates not-null constraint`, { table, column: name });
		}
		const broken = this.#checkRow(table, row);
		if (broken) throw new SqlError("23514", "violates check constraint", { table, constraint: `${table}_${broken.column}_check` });
	}

	/** Puts a row in place of `before`, or as a new one. Columns that may be there once are looked at now, references by `finish`. */
	put(table: string, row: Row, before: Row | null): void {
		const { primaryKey, columns } = this.definition(table);
		const key = keyOf(row, primaryKey) ?? "";
		const rows = this.#writable(table);
		const formerKey = before && keyOf(before, primaryKey);
		if (key !== formerKey && rows.has(key)) throw this.#twice(table, "pkey");
		for (const { name, unique } of columns) if (unique) this.#own(table, name, row, before, key);
		if (formerKey !== null && formerKey !== key) rows.delete(formerKey);
		rows.set(key, row);
		this.changes.push({ table, before, after: row });
	}

	delete(table: string, before: Row): void {
		const { primaryKey, columns } = this.definition(table);
		for (const { name, unique } of columns) {
			const value = before[name] as Value;
			if (unique && value !== null) this.#ownersOf(table, name).delete(textOf(value));
		}
		this.#writable(table).delete(keyOf(before, primaryKey) ?? "");
		this.changes.push({ table, before, after: null });
	}

	/** The state behind the statement. Throws where a reference leads nowhere. */
	finish(): State {
		if (this.changes.length === 0) return this.#present;
		for (const change of this.changes) this.#checkReferences(change);
		const after = new Map(this.#present);
		for (const [table, rows] of this.#rows) after.set(table, { definition: this.definition(table), rows });
		return after;
	}

	#writable(table: string): Map<string, Row> {
		const open = this.#rows.get(table);
		if (open) return open;
		const copy = new Map(this.rows(table));
		this.#rows.set(table, copy);
		return copy;
	}

	#own(table: string, column: string, row: Row, before: Row | null, key: string): void {
		const [value, former] = [row[column] as Value, (before?.[column] ?? null) as Value];
		const owners = this.#ownersOf(table, column);
		if (former !== null) owners.delete(textOf(former));
		if (value === null) return;
		if (owners.has(textOf(value))) throw this.#twice(table, `${column}_key`);
		owners.set(textOf(value), key);
	}

	#ownersOf(table: string, column: string): Map<string, string> {
		const name = `${table}.${column}`;
		const known = this.#owners.get(name);
		if (known) return known;
		const owners = new Map<string, string>();
		for (const [key, row] of this.rows(table)) {
			const value = row[column] as Value;
			if (value !== null && value !== undefined) owners.set(textOf(value), key);
		}
		this.#owners.set(name, owners);
		return owners;
	}

	#twice(table: string, what: string): SqlError {
		return new SqlError("23505", "duplicate key value violates unique constraint", { table, constraint: `${table}_${what}` });
	}

	#checkReferences({ table, before, after }: Change): void {
		for (const { name, references } of this.definition(table).columns) {
			const value = (after?.[name] ?? null) as Value;
			if (!references || value === null || this.rows(references).has(textOf(value))) continue;
			throw new SqlError("23503", "violates foreign key constraint", { table, constraint: `${table}_${name}_fkey` });
		}
		if (before !== null && after === null) this.#checkReferrers(table, before);
	}

	#checkReferrers(table: string, gone: Row): void {
		const key = keyOf(gone, this.definition(table).primaryKey);
		for (const { definition } of this.#present.values()) {
			for (const { name, references } of definition.columns) {
				if (references !== table) continue;
				for (const row of this.rows(definition.name).values()) {
					if (row[name] !== null && textOf(row[name] as NonNullable<Value>) === key)
						throw new SqlError("23503", "is still referenced", { table, constraint: `${definition.name}_${name}_fkey` });
				}
			}
		}
	}
}
