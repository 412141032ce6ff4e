/**
 * Tables in memory behind the writer's own statements, with unique columns and foreign keys that are checked as Postgres does: unique
 * values row by row, references at the end of the statement. For tests of the order in which rows go in; a statement takes the time it is
 * given.
 */
import { splitTexts } from "../../../src/core/rows/joined-texts.ts";
import type { TableLayout } from "../../../src/core/rows/rows.ts";
import type { Database, DatabaseRow, Statement } from "../../../src/sink/database/database.ts";
import { BatchWriter } from "../../../src/sink/writer/batch-writer.ts";
import type { WriterParts } from "../../../src/sink/writer/writer-events.ts";
import { ManualClock } from "../fakes/manual-clock.ts";
import { layoutOf } from "../fakes/row-submissions.ts";

/** A stored row. `values` by the layout's columns. */
export interface MemoryRow {
	readonly id: string;
	readonly values: readonly (string | null)[];
	readonly deleted: boolean;
	readonly timestamp: number;
	readonly offset: number;
	readonly partition: number;
}

/** A column of a table. */
export type ColumnName = readonly [table: string, column: string];

/** What the tables hold rows to. `references`: a value of the first is an id of the second table. */
export interface MemoryConstraints {
	readonly unique?: readonly ColumnName[];
	readonly references?: readonly (readonly [from: ColumnName, to: string])[];
}

type Tables = Map<string, Map<string, MemoryRow>>;

/** See the file's header. */
export class MemoryDatabase implements Database {
	tables: Tables;
	/** Statements so far, and those of them that were refused. */
	statements = 0;
	refusals = 0;
	/** Transactions of several statements. */
	transactions = 0;
	/** What a statement meets before it has an effect; throws the error that the server answers with. */
	meets: (table: string, rows: readonly MemoryRow[]) => void = () => {};
	/** Told of each commit. */
	committed: () => void = () => {};
	readonly #layouts: ReadonlyMap<string, TableLayout>;
	readonly #constraints: MemoryConstraints;
	readonly #pause: () => Promise<void>;

	/** `pause` is what a statement takes before its effect, and what its answer takes behind it. */
	constructor(layouts: readonly TableLayout[], constraints: MemoryConstraints, pause: () => Promise<void> = async () => {}) {
		this.#layouts = new Map(layouts.map((layout) => [layout.name, layout]));
		this.tables = new Map(layouts.map(({ name }) => [name, new Map()]));
		this.#constraints = constraints;
		this.#pause = pause;
	}

	async query(text: string, parameters: readonly (string | null)[] = []): Promise<readonly DatabaseRow[]> {
		return (await this.transaction([{ text, parameters }]))[0] as readonly DatabaseRow[];
	}

	async transaction(statements: readonly Statement[]): Promise<readonly (readonly DatabaseRow[])[]> {
		await this.#pause();
		const answers: DatabaseRow[][] = [];
		let error: unknown = null;
		this.statements += statements.length;
		if (statements.length > 1) this.transactions++;
		const changed: Tables = new Map(this.tables);
		try {
			for (const { text, parameters } of statements) answers.push([this.#upsert(changed, text, parameters as readonly string[])]);
			this.tables = changed;
			this.committed();
		} catch (thrown) {
			error = Object.assign(thrown as Error, { statement: answers.length });
			this.refusals++;
		}
		await this.#pause();
		if (error) throw error;
		return answers;
	}

	async *stream(_: string): AsyncIterable<readonly DatabaseRow[]> {}

	async close(): Promise<void> {}

	/** A row of a table as its columns say; undefined where there is none. */
	row(table: string, id: string): MemoryRow | undefined {
		return this.tables.get(table)?.get(id);
	}

	#upsert(tables: Tables, text: string, parameters: readonly string[]): DatabaseRow {
		const [, name = ""] = /insert into "([^"]+)"/.exec(text) ?? [];
		const layout = this.#layouts.get(name) as TableLayout;
		const rows = rowsOf(layout, parameters, /\bfalse as deleted\b/.test(text));
		if (!/order by kafka_order/.test(text)) rows.sort((left, right) => (left.id < right.id ? -1 : 1));
		this.meets(name, rows);
		const stored = tables.get(name) as Map<string, MemoryRow>;
		const changed = new Map(stored);
		const counts = { written: 0, deleted: 0, candidates_new: 0, inserted: 0, fresh: 0, replay: 0, total: rows.length };
		for (const row of rows) {
			const present = changed.get(row.id);
			if (present && compareRows(present, row) >= 0) {
				counts.replay++;
				continue;
			}
			this.#checkUnique(name, layout, changed, row);
			changed.set(row.id, row);
			counts.written++;
			counts.fresh++;
			if (row.deleted) counts.deleted++;
			else if (!present) counts.candidates_new++;
		}
		this.#checkReferences(tables, name, changed, rows);
		tables.set(name, changed);
		return { ...counts, inserted: counts.candidates_new, older: 0, other_partition: 0 };
	}

	#checkUnique(table: string, layout: TableLayout, rows: ReadonlyMap<string, MemoryRow>, row: MemoryRow): void {
		for (const [of, column] of this.#constraints.unique ?? []) {
			if (of !== table) continue;
			const index = layout.columns.findIndex(({ name }) => name === column);
			const value = row.values[index] ?? null;
			if (value === null) continue;
			for (const other of rows.values()) {
				if (other.id !== row.id && other.values[index] === value) throw refusal("23505", table, `${table}_${column}_key`);
			}
		}
	}

	#checkReferences(tables: Tables, table: string, rows: ReadonlyMap<string, MemoryRow>, written: readonly MemoryRow[]): void {
		for (const [[from, column], to] of this.#constraints.references ?? []) {
			if (from !== table) continue;
			const index = (this.#layouts.get(from) as TableLayout).columns.findIndex(({ name }) => name === column);
			const parents = to === table ? rows : (tables.get(to) as ReadonlyMap<string, MemoryRow>);
			for (const { id } of written) {
				const value = rows.get(id)?.values[index] ?? null;
				if (value !== null && !parents.has(value)) throw refusal("23503", table, `${table}_${column}_fkey`);
			}
		}
	}
}

/** What a statement meets that has a row of this id. */
export function failingAt(id: string, code: string): MemoryDatabase["meets"] {
	return (_, rows) => {
		if (rows.some((row) => row.id === id)) throw Object.assign(new Error("secret"), { code, severity: "ERROR" });
	};
}

/** A writer on such tables, in the time of a clock that stands still. */
export function memoryWriter(
	layouts: readonly TableLayout[] = [layoutOf()],
	constraints: MemoryConstraints = {},
	over: Partial<WriterParts> & { readonly maxRows?: number } = {},
) {
	const clock = new ManualClock();
	const database = new MemoryDatabase(layouts, constraints, () => clock.sleep(1));
	const batch = { maxRows: over.maxRows ?? 1_000, maxBytes: 1e6, minRows: 1, lingerMs: 0, answerMs: 250 };
	const writer = new BatchWriter({ layouts, database, connections: 1, batch, clock, random: () => 0.5, ...over });
	return { clock, database, writer };
}

/** The rows in a statement's parameters. */
export function rowsOf(
	layout: TableLayout,
	[separator = "", nullMark = "", ...texts]: readonly string[],
	withoutDeletes: boolean,
): MemoryRow[] {
	const count = (texts[0] as string).split(separator).length;
	const ts = 1 + layout.columns.length;
	const kind = ts + 3 + (layout.withTopic ? 1 : 0);
	const split = texts.slice(0, withoutDeletes ? kind : kind + 1).map((text) => splitTexts(text, count, { separator, nullMark }));
	const at = (column: number, row: number) => split[column]?.[row] ?? null;
	return Array.from({ length: count }, (_, row) => row).flatMap((row) => {
		const id = at(0, row);
		if (id === null) return [];
		return {
			id,
			values: layout.columns.map((_, column) => at(1 + column, row)),
			deleted: at(kind, row) === "t",
			timestamp: Number(at(ts, row)),
			offset: Number(at(ts + 1, row)),
			partition: Number(at(ts + 2, row)),
		};
	});
}

/** As versions are compared. */
export function compareRows(left: MemoryRow, right: MemoryRow): number {
	return left.timestamp - right.timestamp || left.offset - right.offset || left.partition - right.partition;
}

function refusal(code: string, table: string, constraint: string): Error {
	return Object.assign(new Error("refused"), { code, table_name: table, constraint_name: constraint, severity: "ERROR" });
}
