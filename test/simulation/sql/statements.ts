/**
 * Statements as functions of a run. What they read is what was there when they began; what they write meets what is there by then, as
 * under read committed: a conflict and an update look at the row's newest version.
 */
import { type Evaluate, type Run, type Scope, XMAX } from "./compiler.ts";
import { asRows, joined, QueryCompiler } from "./queries.ts";
import type { Assignment, Delete, Expression, Insert, RowStatement, SelectItem, Update, With } from "./syntax.ts";
import { keyOf, type Row, type TableDefinition } from "./tables.ts";
import { cast, SqlError, type Value } from "./values.ts";

/** A statement that can be run, as often as its tables look as they did. */
export interface CompiledStatement {
	readonly columns: readonly string[];
	readonly run: (run: Run) => readonly (readonly Value[])[];
}

/** Throws SqlError where tables or columns are missing, UnknownSqlError for what the server doesn't know. */
export function compileStatement(statement: RowStatement | With, tables: ReadonlyMap<string, TableDefinition>): CompiledStatement {
	const compiler = new StatementCompiler(tables);
	return statement.kind === "with" ? compiler.with(statement) : compiler.rows(statement);
}

class StatementCompiler {
	readonly #tables: ReadonlyMap<string, TableDefinition>;
	readonly #queries: QueryCompiler;

	constructor(tables: ReadonlyMap<string, TableDefinition>) {
		this.#tables = tables;
		this.#queries = new QueryCompiler(tables);
	}

	with({ parts, main }: With): CompiledStatement {
		const compiled = parts.map(({ name, statement }) => {
			const part = this.rows(statement);
			this.#queries.part(name, part.columns);
			return { name, part };
		});
		const last = this.rows(main);
		return {
			columns: last.columns,
			run: (run) => {
				for (const { name, part } of compiled) run.parts.set(name, asRows(part.run(run), part.columns));
				return last.run(run);
			},
		};
	}

	rows(statement: RowStatement): CompiledStatement {
		switch (statement.kind) {
			case "select":
				return this.#queries.compile(statement, null);
			case "insert":
				return this.#insert(statement);
			case "update":
				return this.#update(statement);
			case "delete":
				return this.#delete(statement);
		}
	}

	#insert({ table, alias, columns, source, conflict, returning }: Insert): CompiledStatement {
		const definition = this.#definition(table);
		const query = this.#queries.compile(source, null);
		const [target, excluded] = [this.#queries.place(), this.#queries.place()];
		const names = definition.columns.map(({ name }) => name);
		const own: Scope = { entries: [{ alias, place: target, columns: names }], outer: null };
		const both: Scope = { entries: [...own.entries, { alias: "excluded", place: excluded, columns: names }], outer: null };
		const update = conflict?.update
			? { set: this.#assignments(conflict.update.set, definition, both), where: this.#condition(conflict.update.where, both) }
			: null;
		const defaults = this.#defaults(definition);
		const { columns: outputs, give } = this.#returning(returning, own);
		const arbiter = conflict && conflict.columns.length > 0 ? conflict.columns : definition.primaryKey;
		if (arbiter.join() !== definition.primaryKey.join()) throw new SqlError("42P10", "no unique constraint matches ON CONFLICT");
		for (const column of columns) if (!names.includes(column)) throw new SqlError("42703", `column "${column}" does not exist`);
		return {
			columns: outputs,
			run: (run) => {
				const given: (readonly Value[])[] = [];
				const touched = new Set<string>();
				for (const values of query.run(run)) {
					const row = insertedRow(definition, columns, values, defaults, run);
					run.writes.check(table, row);
					const key = keyOf(row, arbiter) ?? "";
					const present = run.writes.rows(table).get(key) ?? null;
					if (present && !conflict) run.writes.put(table, row, null);
					if (present && touched.has(key) && update) throw new SqlError("21000", "cannot affect row a second time");
					if (present && !update) continue;
					run.rows[target] = present ?? row;
					run.rows[excluded] = row;
					if (present && update?.where && update.where(run) !== true) continue;
					const after = present && update ? changedRow(present, update.set, run) : row;
					if (present) run.writes.check(table, after);
					run.writes.put(table, after, present);
					touched.add(key);
					give(run, target, { ...after, [XMAX]: present ? 1 : 0 }, given);
				}
				return given;
			},
		};
	}

	#update({ table, alias, set, from, where, returning }: Update): CompiledStatement {
		const { definition, target, items, scope, condition } = this.#target(table, alias, from, where);
		const assignments = this.#assignments(set, definition, scope);
		const { columns, give } = this.#returning(returning, scope);
		return {
			columns,
			run: (run) => {
				const given: (readonly Value[])[] = [];
				for (const before of [...run.writes.rows(table).values()]) {
					run.rows[target] = before;
					joined(items, condition, run, () => {
						const after = changedRow(before, assignments, run);
						run.writes.check(table, after);
						run.writes.put(table, after, before);
						give(run, target, { ...after, [XMAX]: 1 }, given);
						return true;
					});
				}
				return given;
			},
		};
	}

	#delete({ table, alias, from, where, returning }: Delete): CompiledStatement {
		const { target, items, scope, condition } = this.#target(table, alias, from, where);
		const { columns, give } = this.#returning(returning, scope);
		return {
			columns,
			run: (run) => {
				const given: (readonly Value[])[] = [];
				for (const before of [...run.writes.rows(table).values()]) {
					run.rows[target] = before;
					joined(items, condition, run, () => {
						run.writes.delete(table, before);
						give(run, target, before, given);
						return true;
					});
				}
				return given;
			},
		};
	}

	#target(table: string, alias: string, from: Update["from"], where: Expression | null) {
		const definition = this.#definition(table);
		const target = this.#queries.place();
		const own = { alias, place: target, columns: definition.columns.map(({ name }) => name) };
		const { items, scope } = this.#queries.sources(from, null, [own]);
		return { definition, target, items, scope, condition: this.#condition(where, scope) };
	}

	#definition(table: string): TableDefinition {
		const definition = this.#tables.get(table);
		if (!definition) throw new SqlError("42P01", `relation "${table}" does not exist`);
		return definition;
	}

	#condition(where: Expression | null, scope: Scope): Evaluate | null {
		return where ? this.#queries.expressions.compile(where, scope) : null;
	}

	#assignments(set: readonly Assignment[], { columns }: TableDefinition, scope: Scope): CompiledAssignment[] {
		return set.map(({ column, value }) => {
			const type = columns.find(({ name }) => name === column)?.type;
			if (type === undefined) throw new SqlError("42703", `column "${column}" does not exist`);
			return { column, type, value: this.#queries.expressions.compile(value, scope) };
		});
	}

	#defaults({ columns }: TableDefinition): readonly { readonly column: string; readonly value: Evaluate }[] {
		const nowhere: Scope = { entries: [], outer: null };
		return columns.map(({ name, defaultValue }) => ({
			column: name,
			value: defaultValue ? this.#queries.expressions.compile(defaultValue, nowhere) : () => null,
		}));
	}

	#returning(items: readonly SelectItem[], scope: Scope) {
		const outputs = this.#queries.outputs(items, scope, null);
		return {
			columns: outputs.map(({ name }) => name),
			give: (run: Run, place: number, row: Row, given: (readonly Value[])[]) => {
				run.rows[place] = row;
				given.push(outputs.map(({ evaluate }) => evaluate(run)));
			},
		};
	}
}

interface CompiledAssignment {
	readonly column: string;
	readonly type: string;
	readonly value: Evaluate;
}

function insertedRow(
	{ columns: all }: TableDefinition,
	columns: readonly string[],
	values: readonly Value[],
	defaults: readonly { readonly column: string; readonly value: Evaluate }[],
	run: Run,
): Row {
	const row: Record<string, Value> = {};
	for (const { column, value } of defaults) {
		const at = columns.indexOf(column);
		row[column] = at < 0 ? value(run) : (values[at] ?? null);
	}
	for (const { name, type } of all) row[name] = cast(row[name] as Value, type);
	return row;
}

function changedRow(before: Row, set: readonly CompiledAssignment[], run: Run): Row {
	const changed: Record<string, Value> = {};
	for (const { column, type, value } of set) changed[column] = cast(value(run), type);
	return { ...before, ...changed };
}
