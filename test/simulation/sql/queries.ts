/** Queries as functions of a run: sources joined in the order they are named, aggregates, order, limit. */
import { type CompiledAggregate, Compiler, type Evaluate, type Run, type Scope, type ScopeEntry } from "./compiler.ts";
import { rowsOfFunction } from "./functions.ts";
import type { Expression, FromItem, Select, SelectItem } from "./syntax.ts";
import type { Row, TableDefinition } from "./tables.ts";
import { compared, SqlError, type Value } from "./values.ts";

/** A query that can be run. */
export interface CompiledQuery {
	readonly columns: readonly string[];
	readonly run: (run: Run) => readonly (readonly Value[])[];
}

interface CompiledItem {
	readonly place: number;
	readonly join: "inner" | "left";
	readonly rows: (run: Run) => readonly Row[];
	readonly on: Evaluate | null;
	/** Where the condition holds only for rows with this value in this column: they are looked up by it. */
	readonly lookUp: { readonly column: string; readonly value: Evaluate } | null;
	/** A row of NULLs, for a left join without a partner. */
	readonly nothing: Row;
	/** It may be another set of rows each time, as sources before it say. */
	readonly varies: boolean;
}

interface Output {
	readonly values: readonly Value[];
	readonly keys: readonly Value[];
}

/** See the file's header. One per statement: places are given out by it. */
export class QueryCompiler {
	readonly expressions: Compiler;
	readonly #tables: ReadonlyMap<string, TableDefinition>;
	/** The parts of a `with` so far, and their columns. */
	readonly #parts = new Map<string, readonly string[]>();
	#places = 0;

	constructor(tables: ReadonlyMap<string, TableDefinition>) {
		this.#tables = tables;
		this.expressions = new Compiler((query, scope) => this.compile(query, scope).run);
	}

	/** A place for a source's row. */
	place(): number {
		return this.#places++;
	}

	/** A part of a `with`: from here on a source by this name. */
	part(name: string, columns: readonly string[]): void {
		this.#parts.set(name, columns);
	}

	compile(select: Select, outer: Scope | null): CompiledQuery {
		if (select.values) return this.#values(select.values, outer);
		const { items, scope } = this.sources(select.from, outer);
		const where = select.where ? this.expressions.compile(select.where, scope) : null;
		const aggregates: CompiledAggregate[] = [];
		const outputs = this.outputs(select.items, scope, aggregates);
		const columns = outputs.map(({ name }) => name);
		const keys = select.orderBy.map(({ expression }) => this.#sortKey(expression, columns, scope, aggregates));
		const groupBy = select.groupBy.map((each) => this.expressions.compile(each, scope));
		const limit = select.limit ? this.expressions.compile(select.limit, scope) : null;
		const output = (run: Run): Output => {
			const values = outputs.map(({ evaluate }) => evaluate(run));
			return { values, keys: keys.map((key) => (typeof key === "number" ? (values[key] as Value) : key(run))) };
		};
		const isGrouped = aggregates.length > 0 || groupBy.length > 0;
		const rows = isGrouped ? grouped(items, where, aggregates, groupBy, output) : plain(items, where, output);
		return {
			columns,
			run: (run) => {
				let found = rows(run);
				if (keys.length > 0) found = sorted(found, select.orderBy);
				if (select.distinct) found = [...new Map(found.map((each) => [JSON.stringify(each.values), each])).values()];
				if (limit) found = found.slice(0, limit(run) as number);
				return found.map(({ values }) => values);
			},
		};
	}

	/** The sources of a `from`, each of which sees those before it. */
	sources(from: readonly FromItem[], outer: Scope | null, first: readonly ScopeEntry[] = []): { items: CompiledItem[]; scope: Scope } {
		const entries: ScopeEntry[] = [...first];
		const items = from.map((item): CompiledItem => {
			const before: Scope = { entries: [...entries], outer };
			const { columns, rows, varies } = this.#source(item, before);
			const place = this.place();
			entries.push({ alias: item.alias, place, columns });
			const scope: Scope = { entries: [...entries], outer };
			const on = item.on ? this.expressions.compile(item.on, scope) : null;
			const lookUp = item.on && !varies ? this.#lookUp(item, columns, before) : null;
			return { place, join: item.join, rows, on, lookUp, nothing: Object.fromEntries(columns.map((name) => [name, null])), varies };
		});
		return { items, scope: { entries, outer } };
	}

	/** The columns of a result, `*` spelled out. */
	outputs(
		items: readonly SelectItem[],
		scope: Scope,
		aggregates: CompiledAggregate[] | null,
	): readonly { readonly name: string; readonly evaluate: Evaluate }[] {
		return items.flatMap(({ expression, name }) => {
			if (expression) return [{ name: name ?? "?column?", evaluate: this.expressions.compile(expression, scope, aggregates) }];
			const starred = scope.entries.filter(({ alias }) => name === null || alias === name);
			return starred.flatMap(({ place, columns }) =>
				columns.map((column) => ({ name: column, evaluate: ({ rows }: Run) => (rows[place] as Row)[column] ?? null })),
			);
		});
	}

	#values(values: readonly (readonly Expression[])[], outer: Scope | null): CompiledQuery {
		const scope: Scope = { entries: [], outer };
		const rows = values.map((row) => row.map((each) => this.expressions.compile(each, scope)));
		const columns = (values[0] ?? []).map((_, index) => `column${index + 1}`);
		return { columns, run: (run) => rows.map((row) => row.map((each) => each(run))) };
	}

	#source(
		item: FromItem,
		before: Scope,
	): { readonly columns: readonly string[]; readonly rows: (run: Run) => readonly Row[]; readonly varies: boolean } {
		const { source, alias } = item;
		switch (source.kind) {
			case "table":
				return this.#table(source.name);
			case "query": {
				const query = this.compile(source.query, before);
				const columns = item.columns.length > 0 ? item.columns : query.columns;
				return { columns, rows: (run) => asRows(query.run(run), columns), varies: true };
			}
			case "function": {
				const args = source.args.map((arg) => this.expressions.compile(arg, before));
				const columns = item.columns.length > 0 ? item.columns : [alias];
				const rows = (run: Run) =>
					asRows(
						rowsOfFunction(
							source.name,
							args.map((arg) => arg(run)),
							columns,
							item.types,
						).map((row, index) => (source.numbered ? [...row, index + 1] : row)),
						columns,
					);
				return { columns, rows, varies: true };
			}
		}
	}

	#table(name: string): { readonly columns: readonly string[]; readonly rows: (run: Run) => readonly Row[]; readonly varies: boolean } {
		const part = this.#parts.get(name);
		if (part) return { columns: part, rows: ({ parts }) => parts.get(name) as readonly Row[], varies: false };
		if (name === "pg_attribute") {
			const columns = ["attrelid", "attname", "attisdropped"];
			return { columns, rows: () => attributesOf(this.#tables), varies: false };
		}
		const table = this.#tables.get(name);
		if (!table) throw new SqlError("42P01", `relation "${name}" does not exist`);
		const columns = table.columns.map((column) => column.name);
		return { columns, rows: ({ snapshot }) => [...(snapshot.get(name)?.rows.values() ?? [])], varies: false };
	}

	/** `column = value` of a join's condition, where the value is known before the joined row. */
	#lookUp({ on, alias }: FromItem, columns: readonly string[], before: Scope): CompiledItem["lookUp"] {
		for (const part of conjuncts(on as Expression)) {
			if (part.kind !== "binary" || part.operator !== "=") continue;
			for (const [own, other] of [
				[part.left, part.right],
				[part.right, part.left],
			] as const) {
				if (own.kind !== "column" || own.table !== alias || !columns.includes(own.name)) continue;
				const value = this.#compileBefore(other, before);
				if (value) return { column: own.name, value };
			}
		}
		return null;
	}

	/** Null where it needs the joined row. */
	#compileBefore(expression: Expression, before: Scope): Evaluate | null {
		if (expression.kind !== "column" && expression.kind !== "parameter" && expression.kind !== "literal") return null;
		try {
			return this.expressions.compile(expression, before);
		} catch (error) {
			if (error instanceof SqlError) return null;
			throw error;
		}
	}

	/** A name in `order by` is the result's column first. */
	#sortKey(expression: Expression, columns: readonly string[], scope: Scope, aggregates: CompiledAggregate[]): number | Evaluate {
		if (expression.kind === "column" && expression.table === null && columns.includes(expression.name))
			return columns.indexOf(expression.name);
		if (expression.kind === "literal" && typeof expression.value === "number") return expression.value - 1;
		return this.expressions.compile(expression, scope, aggregates);
	}
}

function attributesOf(tables: ReadonlyMap<string, TableDefinition>): Row[] {
	return [...tables.values()].flatMap(({ name, columns }) =>
		columns.map((column) => ({ attrelid: name, attname: column.name, attisdropped: false })),
	);
}

function conjuncts(expression: Expression): readonly Expression[] {
	if (expression.kind !== "binary" || expression.operator !== "and") return [expression];
	return [...conjuncts(expression.left), ...conjuncts(expression.right)];
}

/** Rows with these columns. */
export function asRows(lists: readonly (readonly Value[])[], columns: readonly string[]): Row[] {
	return lists.map((values) => {
		const row: Record<string, Value> = {};
		for (const [index, name] of columns.entries()) row[name] = values[index] ?? null;
		return row;
	});
}

/** Calls `found` for each combination of the sources' rows that the conditions let through; ends early where it returns true. */
export function joined(items: readonly CompiledItem[], where: Evaluate | null, run: Run, found: () => boolean): void {
	const fixed = items.map(({ varies, rows }, index) => (varies && index > 0 ? null : rows(run)));
	const indexes = new Map<number, ReadonlyMap<Value, readonly Row[]>>();
	const walk = (depth: number): boolean => {
		const item = items[depth];
		if (!item) return where !== null && where(run) !== true ? false : found();
		let hasPartner = false;
		for (const row of candidates(item, fixed[depth] ?? item.rows(run), depth)) {
			run.rows[item.place] = row;
			if (item.on && item.on(run) !== true) continue;
			hasPartner = true;
			if (walk(depth + 1)) return true;
		}
		if (hasPartner || item.join === "inner") return false;
		run.rows[item.place] = item.nothing;
		return walk(depth + 1);
	};
	const candidates = ({ lookUp }: CompiledItem, rows: readonly Row[], depth: number): readonly Row[] => {
		if (!lookUp) return rows;
		let index = indexes.get(depth);
		if (!index) {
			index = byColumn(rows, lookUp.column);
			indexes.set(depth, index);
		}
		const value = lookUp.value(run);
		return value === null ? [] : (index.get(value) ?? []);
	};
	walk(0);
}

function byColumn(rows: readonly Row[], column: string): ReadonlyMap<Value, readonly Row[]> {
	const found = new Map<Value, Row[]>();
	for (const row of rows) {
		const value = row[column] as Value;
		const others = found.get(value);
		if (others) others.push(row);
		else found.set(value, [row]);
	}
	return found;
}

function plain(items: readonly CompiledItem[], where: Evaluate | null, output: (run: Run) => Output): (run: Run) => Output[] {
	return (run) => {
		const outputs: Output[] = [];
		joined(items, where, run, () => {
			outputs.push(output(run));
			return false;
		});
		return outputs;
	};
}

function grouped(
	items: readonly CompiledItem[],
	where: Evaluate | null,
	aggregates: readonly CompiledAggregate[],
	groupBy: readonly Evaluate[],
	output: (run: Run) => Output,
): (run: Run) => Output[] {
	const start = () => aggregates.map(({ create }) => create());
	return (run) => {
		const groups = new Map<string, { readonly gathered: ReturnType<typeof start>; readonly rows: readonly Row[] }>();
		if (groupBy.length === 0) groups.set("[]", { gathered: start(), rows: [] });
		joined(items, where, run, () => {
			const key = JSON.stringify(groupBy.map((each) => each(run)));
			const group = groups.get(key) ?? { gathered: start(), rows: [...run.rows] };
			groups.set(key, group);
			for (const [index, { argument, filter }] of aggregates.entries()) {
				if (!filter || filter(run) === true) group.gathered[index]?.add(argument(run));
			}
			return false;
		});
		return [...groups.values()].map(({ gathered, rows }) => {
			for (const [place, row] of rows.entries()) if (row) run.rows[place] = row;
			for (const [index, { place }] of aggregates.entries()) run.aggregates[place] = gathered[index]?.result() ?? null;
			return output(run);
		});
	};
}

/** NULL comes last, as the server has it. */
function sorted(outputs: readonly Output[], orderBy: Select["orderBy"]): Output[] {
	return [...outputs].sort((left, right) => {
		for (const [index, { descending }] of orderBy.entries()) {
			const [a, b] = [left.keys[index] as Value, right.keys[index] as Value];
			const order = a === null || b === null ? Number(a === null) - Number(b === null) : (compared(a, b) as number);
			if (order !== 0) return descending ? -order : order;
		}
		return 0;
	});
}
