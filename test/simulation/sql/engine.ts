/**
 * A small SQL server in memory, for statements of the sink: parsed, compiled once per look of the tables, run on what was there when they
 * began. Throws UnknownSqlError for whatever it doesn't know: a guard that isn't understood must not look like one that lets everything in.
 */
import type { Run } from "./compiler.ts";
import { QueryCompiler } from "./queries.ts";
import { parseStatement } from "./statement-parser.ts";
import { type CompiledStatement, compileStatement } from "./statements.ts";
import type { AlterTable, ColumnDefinition, CreateTable, Statement } from "./syntax.ts";
import { type Change, type Row, type State, type TableDefinition, WriteSet } from "./tables.ts";
import { cast, type Value } from "./values.ts";

/** What a statement came to. */
export interface Answer {
	readonly rows: readonly Readonly<Record<string, Value>>[];
	readonly changes: readonly Change[];
	/** What is there behind it. */
	readonly state: State;
}

/** Tables of one look: what was compiled for them holds for all servers that have them. */
interface Schema {
	readonly tables: ReadonlyMap<string, TableDefinition>;
	readonly statements: Map<string, CompiledStatement>;
	readonly checks: ReadonlyMap<string, readonly { readonly column: string; readonly holds: (row: Row) => boolean }[]>;
}

const parsed = new Map<string, Statement>();
const schemas = new Map<string, Schema>();

/** What a statement meets. It may change the settings, for its transaction. */
export interface Circumstances {
	/** What was there when it began, and what is there now. */
	readonly snapshot: State;
	readonly present: State;
	/** Wall time, ms. */
	readonly now: number;
	readonly settings: Map<string, string>;
}

/** Runs a statement that began when `snapshot` was there, on what is there now. Throws SqlError without any trace in the state. */
export function execute(text: string, parameters: readonly Value[], { snapshot, present, now, settings }: Circumstances): Answer {
	const statement = parsedOnce(text);
	if (statement.kind === "create table") return { rows: [], changes: [], state: withTable(present, statement) };
	if (statement.kind === "alter table") return { rows: [], changes: [], state: withColumns(present, statement) };
	const schema = schemaOf(present);
	let compiled = schema.statements.get(text);
	if (!compiled) {
		compiled = compileStatement(statement, schema.tables);
		schema.statements.set(text, compiled);
	}
	const writes = new WriteSet(present, (table, row) => schema.checks.get(table)?.find(({ holds }) => !holds(row)) ?? null);
	const facts = { now, settings, hasTable: (name: string) => present.has(name) };
	const run: Run = { parameters, facts, snapshot, writes, parts: new Map(), rows: [], aggregates: [] };
	const { columns } = compiled;
	const rows = compiled.run(run).map((values) => Object.fromEntries(columns.map((name, index) => [name, values[index] as Value])));
	const state = writes.finish();
	byState.set(state, schema);
	return { rows, state, changes: writes.changes };
}

function parsedOnce(text: string): Statement {
	const known = parsed.get(text);
	if (known) return known;
	const statement = parseStatement(text);
	parsed.set(text, statement);
	return statement;
}

function withTable(state: State, { table, columns, primaryKey }: CreateTable): State {
	if (state.has(table)) return state;
	const definition = { name: table, columns: columns.map((column) => keyColumn(column, primaryKey)), primaryKey };
	return new Map(state).set(table, { definition, rows: new Map() });
}

function keyColumn(column: ColumnDefinition, primaryKey: readonly string[]): ColumnDefinition {
	return primaryKey.includes(column.name) ? { ...column, notNull: true } : column;
}

function withColumns(state: State, { table, add }: AlterTable): State {
	const present = state.get(table);
	if (!present) return state;
	const { definition, rows } = present;
	const fresh = add.filter(({ name }) => !definition.columns.some((column) => column.name === name));
	if (fresh.length === 0) return state;
	const values = Object.fromEntries(fresh.map((column) => [column.name, literalOf(column)]));
	const widened = new Map([...rows].map(([key, row]) => [key, { ...row, ...values }]));
	return new Map(state).set(table, { definition: { ...definition, columns: [...definition.columns, ...fresh] }, rows: widened });
}

function literalOf({ defaultValue, type }: ColumnDefinition): Value {
	return defaultValue?.kind === "literal" ? cast(defaultValue.value, type) : null;
}

const byState = new WeakMap<State, Schema>();

function schemaOf(state: State): Schema {
	const known = byState.get(state);
	if (known) return known;
	const definitions = [...state.values()].map(({ definition }) => definition);
	const signature = definitions.map(signatureOf).join("\n");
	const schema = schemas.get(signature) ?? newSchema(definitions);
	schemas.set(signature, schema);
	byState.set(state, schema);
	return schema;
}

const signatures = new WeakMap<TableDefinition, string>();

function signatureOf(definition: TableDefinition): string {
	const known = signatures.get(definition);
	if (known !== undefined) return known;
	const signature = JSON.stringify(definition);
	signatures.set(definition, signature);
	return signature;
}

function newSchema(definitions: readonly TableDefinition[]): Schema {
	const tables = new Map(definitions.map((definition) => [definition.name, definition]));
	return { tables, statements: new Map(), checks: new Map(definitions.map((definition) => [definition.name, checksOf(definition)])) };
}

function checksOf({ name, columns }: TableDefinition): { column: string; holds: (row: Row) => boolean }[] {
	const places = { alias: name, place: 0, columns: columns.map((column) => column.name) };
	return columns.flatMap(({ name: column, check }) => {
		if (!check) return [];
		const evaluate = new QueryCompiler(new Map()).expressions.compile(check, { entries: [places], outer: null });
		// A check that is unknown holds.
		return [{ column, holds: (row: Row) => evaluate({ rows: [row], parameters: [] } as unknown as Run) !== false }];
	});
}
