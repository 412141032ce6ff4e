/**
 * Expressions as functions: columns are found when a statement is read, not when it runs. Each source of rows has a place of its own in
 * the run, also inside of queries within queries, so that the innermost sees all of them.
 */
import { type Aggregate, aggregate, type ServerFacts, scalarFunction } from "./functions.ts";
import type { Expression, Select } from "./syntax.ts";
import type { Row, State, WriteSet } from "./tables.ts";
import { UnknownSqlError } from "./tokens.ts";
import { cast, comparison, equal, SqlError, textOf, type Value } from "./values.ts";

/** What a statement runs on. */
export interface Run {
	readonly parameters: readonly Value[];
	readonly facts: ServerFacts;
	/** What was there when it began. */
	readonly snapshot: State;
	readonly writes: WriteSet;
	/** What the parts of a `with` came to. */
	readonly parts: Map<string, readonly Row[]>;
	/** The row of each source at the moment. */
	readonly rows: Row[];
	/** What each aggregate came to. */
	readonly aggregates: Value[];
}

export type Evaluate = (run: Run) => Value;

/** A source that columns can be of. */
export interface ScopeEntry {
	readonly alias: string;
	readonly place: number;
	readonly columns: readonly string[];
}

/** The sources that an expression sees, the nearest first. */
export interface Scope {
	readonly entries: readonly ScopeEntry[];
	readonly outer: Scope | null;
}

/** An aggregate of a query: what it is made of. */
export interface CompiledAggregate {
	readonly place: number;
	readonly create: () => Aggregate;
	readonly argument: Evaluate;
	readonly filter: Evaluate | null;
}

/** A query within an expression, as its rows' first values. */
export type CompileQuery = (query: Select, scope: Scope) => (run: Run) => readonly (readonly Value[])[];

/** `xmax` of a row that a statement gives back: 0 where it is new. */
export const XMAX = "xmax";

/** See the file's header. One per statement. */
export class Compiler {
	readonly #query: CompileQuery;
	#aggregatePlaces = 0;

	constructor(query: CompileQuery) {
		this.#query = query;
	}

	/** `aggregates` takes those of the query that the expression is an output of; null where none may stand. */
	compile(expression: Expression, scope: Scope, aggregates: CompiledAggregate[] | null = null): Evaluate {
		const inner = (each: Expression) => this.compile(each, scope, aggregates);
		switch (expression.kind) {
			case "literal": {
				const { value } = expression;
				return () => value;
			}
			case "parameter": {
				const { index } = expression;
				return ({ parameters }) => parameters[index] ?? null;
			}
			case "column":
				return this.#column(expression.table, expression.name, scope);
			case "cast": {
				const [operand, { type }] = [inner(expression.operand), expression];
				return (run) => cast(operand(run), type);
			}
			case "not": {
				const operand = inner(expression.operand);
				return (run) => {
					const value = operand(run);
					return value === null ? null : !value;
				};
			}
			case "negative": {
				const operand = inner(expression.operand);
				return (run) => {
					const value = operand(run);
					return value === null ? null : -(value as number);
				};
			}
			case "binary":
				return binary(expression.operator, inner(expression.left), inner(expression.right));
			case "is": {
				const [operand, { value: wanted, not }] = [inner(expression.operand), expression];
				return (run) => (operand(run) === wanted) !== not;
			}
			case "distinct": {
				const [left, right, { not }] = [inner(expression.left), inner(expression.right), expression];
				return (run) => isDistinct(left(run), right(run)) !== not;
			}
			case "row":
			case "array": {
				const items = expression.items.map(inner);
				return (run) => items.map((item) => item(run));
			}
			case "case": {
				const branches = expression.branches.map(({ when, result }) => ({ when: inner(when), result: inner(result) }));
				const otherwise = expression.otherwise ? inner(expression.otherwise) : () => null;
				return (run) => (branches.find(({ when }) => when(run) === true)?.result ?? otherwise)(run);
			}
			case "in":
				return this.#in(expression, scope, inner);
			case "any": {
				const [left, right, { operator }] = [inner(expression.left), inner(expression.right), expression];
				return (run) => {
					const [value, list] = [left(run), right(run) as readonly Value[] | null];
					return list === null ? null : anyOf(list.map((each) => comparison(operator, value, each)));
				};
			}
			case "exists": {
				const query = this.#query(expression.query, scope);
				return (run) => query(run).length > 0;
			}
			case "query": {
				const query = this.#query(expression.query, scope);
				return (run) => {
					const rows = query(run);
					if (rows.length > 1) throw new SqlError("21000", "more than one row returned by a subquery used as an expression");
					return rows[0]?.[0] ?? null;
				};
			}
			case "call":
				return this.#call(expression, scope, aggregates);
		}
	}

	#column(table: string | null, name: string, scope: Scope): Evaluate {
		for (let level: Scope | null = scope; level; level = level.outer) {
			const found = level.entries.filter(
				({ alias, columns }) => (table === null || alias === table) && (columns.includes(name) || (name === XMAX && table !== null)),
			);
			if (found.length > 1) throw new SqlError("42702", `column reference "${name}" is ambiguous`);
			const [entry] = found;
			if (!entry) continue;
			const { place } = entry;
			return ({ rows }) => (rows[place] as Row)[name] ?? null;
		}
		throw new SqlError("42703", `column ${table === null ? "" : `${table}.`}${name} does not exist`);
	}

	#in(expression: Extract<Expression, { kind: "in" }>, scope: Scope, inner: (each: Expression) => Evaluate): Evaluate {
		const [operand, { list, not }] = [inner(expression.operand), expression];
		const items = "kind" in list ? null : list.map(inner);
		const query = "kind" in list ? this.#query(list, scope) : null;
		return (run) => {
			const value = operand(run);
			const candidates = items
				? items.map((item) => item(run))
				: (query as NonNullable<typeof query>)(run).map((row) => (row.length === 1 ? (row[0] as Value) : row));
			const found = anyOf(candidates.map((each) => equal(value, each)));
			return found === null ? null : found !== not;
		};
	}

	#call({ name, args, filter }: Extract<Expression, { kind: "call" }>, scope: Scope, aggregates: CompiledAggregate[] | null): Evaluate {
		const create = aggregate(name);
		if (!create) {
			const [evaluated, call] = [args.map((arg) => this.compile(arg, scope, aggregates)), scalarFunction(name)];
			return (run) =>
				call(
					evaluated.map((arg) => arg(run)),
					run.facts,
				);
		}
		if (!aggregates) throw new SqlError("42803", `aggregate ${name} is not allowed here`);
		const place = this.#aggregatePlaces++;
		const [argument] = args;
		aggregates.push({
			place,
			create,
			argument: argument ? this.compile(argument, scope) : () => true,
			filter: filter ? this.compile(filter, scope) : null,
		});
		return (run) => run.aggregates[place] as Value;
	}
}

function binary(operator: string, left: Evaluate, right: Evaluate): Evaluate {
	switch (operator) {
		case "and":
			return (run) => {
				const first = left(run);
				if (first === false) return false;
				const second = right(run);
				return second === false ? false : first === null || second === null ? null : true;
			};
		case "or":
			return (run) => {
				const first = left(run);
				if (first === true) return true;
				const second = right(run);
				return second === true ? true : first === null || second === null ? null : false;
			};
		case "=":
		case "<>":
		case "!=":
		case "<":
		case "<=":
		case ">":
		case ">=":
			return (run) => comparison(operator, left(run), right(run));
		default:
			return (run) => {
				const [first, second] = [left(run), right(run)];
				return first === null || second === null ? null : calculated(operator, first, second);
			};
	}
}

function calculated(operator: string, left: NonNullable<Value>, right: NonNullable<Value>): Value {
	const [a, b] = [left as number, right as number];
	switch (operator) {
		case "+":
			return left instanceof Date ? new Date(left.getTime() + b) : a + b;
		case "-":
			return a - b;
		case "*":
			return a * b;
		case "/":
			return Math.trunc(a / b);
		case "%":
			return a % b;
		case "||":
			return Array.isArray(left) ? [...left, ...(right as readonly Value[])] : textOf(left) + textOf(right);
		case "->":
			return field(left, right);
		case "->>": {
			const found = field(left, right);
			return found === null ? null : textOf(found);
		}
		default:
			throw new UnknownSqlError(`the operator ${operator}`);
	}
}

function field(json: NonNullable<Value>, name: NonNullable<Value>): Value {
	return (((json as Record<string, unknown>)[name as string] as Value | undefined) ?? null) as Value;
}

function isDistinct(left: Value, right: Value): boolean {
	if (left === null || right === null) return left !== right;
	if (Array.isArray(left) && Array.isArray(right)) return left.some((part, index) => isDistinct(part, right[index] as Value));
	return equal(left, right) !== true;
}

/** True where one is, unknown where one may be. */
function anyOf(answers: readonly (boolean | null)[]): boolean | null {
	if (answers.includes(true)) return true;
	return answers.includes(null) ? null : false;
}
