/** Statements: select, insert, update, delete, `with`, and the little of DDL that the sink makes its own tables with. */
import { ExpressionParser } from "./expression-parser.ts";
import type {
	AlterTable,
	Assignment,
	ColumnDefinition,
	CreateTable,
	Delete,
	Expression,
	FromItem,
	Insert,
	RowStatement,
	Select,
	SelectItem,
	Source,
	Statement,
	Update,
	With,
} from "./syntax.ts";
import { TokenReader } from "./tokens.ts";

/** Words behind which no alias without `as` may stand. */
const CLAUSES = new Set(
	"from where group order limit on join left inner cross returning set using as select union for do end then else when and or not is in".split(
		" ",
	),
);

/** Throws UnknownSqlError for what it doesn't know. */
export function parseStatement(text: string): Statement {
	return new StatementParser(new TokenReader(text)).statement();
}

class StatementParser {
	readonly #reader: TokenReader;
	readonly #expressions: ExpressionParser;

	constructor(reader: TokenReader) {
		this.#reader = reader;
		this.#expressions = new ExpressionParser(reader, () => this.#select());
	}

	statement(): Statement {
		const reader = this.#reader;
		const statement = this.#whole();
		reader.accept(";");
		if (reader.peek().kind !== "end") reader.fail("expected the end");
		return statement;
	}

	#whole(): Statement {
		const reader = this.#reader;
		if (reader.accept("create", "table")) return this.#createTable();
		if (reader.accept("alter", "table")) return this.#alterTable();
		if (reader.accept("with")) return this.#with();
		return this.#rowStatement();
	}

	#with(): With {
		const reader = this.#reader;
		const parts = reader.list(() => {
			const name = reader.name();
			reader.expect("as");
			reader.accept("not");
			reader.accept("materialized");
			reader.expect("(");
			const statement = this.#rowStatement();
			reader.expect(")");
			return { name, statement };
		});
		return { kind: "with", parts, main: this.#rowStatement() };
	}

	#rowStatement(): RowStatement {
		const reader = this.#reader;
		if (reader.accept("insert", "into")) return this.#insert();
		if (reader.accept("update")) return this.#update();
		if (reader.accept("delete", "from")) return this.#delete();
		return this.#select();
	}

	#select(): Select {
		const reader = this.#reader;
		const nothing = { from: [], where: null, groupBy: [], orderBy: [], limit: null, distinct: false } as const;
		if (reader.accept("values")) {
			const values = reader.list(() => reader.inBrackets(() => this.#expression()));
			return { kind: "select", ...nothing, items: [], values };
		}
		reader.expect("select");
		const distinct = reader.accept("distinct");
		// `exists (select from …)` has no columns.
		const items = reader.sees("from") ? [] : this.#items();
		const from = reader.accept("from") ? this.#from() : [];
		const where = reader.accept("where") ? this.#expression() : null;
		const groupBy = reader.accept("group", "by") ? reader.list(() => this.#expression()) : [];
		const orderBy = reader.accept("order", "by") ? reader.list(() => this.#orderBy()) : [];
		const limit = reader.accept("limit") ? this.#expression() : null;
		if (reader.accept("for")) {
			reader.accept("no", "key");
			reader.expect("update");
			if (reader.accept("of")) reader.name();
		}
		return { kind: "select", items, from, where, groupBy, orderBy, limit, distinct, values: null };
	}

	#orderBy(): { expression: Expression; descending: boolean } {
		const expression = this.#expression();
		const descending = this.#reader.accept("desc");
		if (!descending) this.#reader.accept("asc");
		return { expression, descending };
	}

	#items(): SelectItem[] {
		const reader = this.#reader;
		return reader.list(() => {
			if (reader.accept("*")) return { expression: null, name: null };
			if (reader.peek(1).text === "." && reader.peek(2).text === "*") {
				const name = reader.name();
				reader.expect(".", "*");
				return { expression: null, name };
			}
			const expression = this.#expression();
			return { expression, name: this.#alias() ?? nameOf(expression) };
		});
	}

	/** The name behind `as`, or one that stands there without it. */
	#alias(): string | null {
		const reader = this.#reader;
		if (reader.accept("as")) return reader.name();
		const token = reader.peek();
		if (token.kind !== "name" || (!token.quoted && CLAUSES.has(token.text))) return null;
		return reader.name();
	}

	#from(): FromItem[] {
		const reader = this.#reader;
		const items = [this.#fromItem("inner", false)];
		for (;;) {
			if (reader.accept(",") || reader.accept("cross", "join")) items.push(this.#fromItem("inner", false));
			else if (reader.accept("join") || reader.accept("inner", "join")) items.push(this.#fromItem("inner", true));
			else if (reader.accept("left", "join") || reader.accept("left", "outer", "join")) items.push(this.#fromItem("left", true));
			else return items;
		}
	}

	#fromItem(join: "inner" | "left", hasOn: boolean): FromItem {
		const reader = this.#reader;
		reader.accept("lateral");
		const source = this.#source();
		const alias = this.#alias() ?? (source.kind === "query" ? "" : source.name);
		const names: string[] = [];
		const types: string[] = [];
		if (reader.sees("(")) {
			reader.inBrackets(() => {
				names.push(reader.name());
				if (!reader.sees(",") && !reader.sees(")")) types.push(this.#expressions.type());
			});
		}
		if (hasOn) reader.expect("on");
		return { source, alias, columns: names, types, join, on: hasOn ? this.#expression() : null };
	}

	#source(): Source {
		const reader = this.#reader;
		if (reader.accept("(")) {
			const query = this.#select();
			reader.expect(")");
			return { kind: "query", query };
		}
		const name = reader.tableName();
		if (!reader.sees("(")) return { kind: "table", name };
		const args = reader.inBrackets(() => this.#expression());
		return { kind: "function", name, args, numbered: reader.accept("with", "ordinality") };
	}

	#insert(): Insert {
		const reader = this.#reader;
		const table = reader.tableName();
		const alias = reader.accept("as") ? reader.name() : table;
		const columns = reader.inBrackets(() => reader.name());
		const source = this.#select();
		const conflict = reader.accept("on", "conflict") ? this.#conflict() : null;
		return { kind: "insert", table, alias, columns, source, conflict, returning: this.#returning() };
	}

	#conflict(): Insert["conflict"] {
		const reader = this.#reader;
		const columns = reader.sees("(") ? reader.inBrackets(() => reader.name()) : [];
		reader.expect("do");
		if (reader.accept("nothing")) return { columns, update: null };
		reader.expect("update", "set");
		const set = this.#assignments();
		return { columns, update: { set, where: this.#where() } };
	}

	#update(): Update {
		const reader = this.#reader;
		const table = reader.tableName();
		const alias = this.#alias() ?? table;
		reader.expect("set");
		const set = this.#assignments();
		const from = reader.accept("from") ? this.#from() : [];
		return { kind: "update", table, alias, set, from, where: this.#where(), returning: this.#returning() };
	}

	#delete(): Delete {
		const reader = this.#reader;
		const table = reader.tableName();
		const alias = this.#alias() ?? table;
		const from = reader.accept("using") ? this.#from() : [];
		return { kind: "delete", table, alias, from, where: this.#where(), returning: this.#returning() };
	}

	#assignments(): Assignment[] {
		const reader = this.#reader;
		return reader.list(() => {
			const column = reader.name();
			reader.expect("=");
			return { column, value: this.#expression() };
		});
	}

	#where(): Expression | null {
		return this.#reader.accept("where") ? this.#expression() : null;
	}

	#returning(): SelectItem[] {
		return this.#reader.accept("returning") ? this.#items() : [];
	}

	#createTable(): CreateTable {
		const reader = this.#reader;
		reader.accept("if", "not", "exists");
		const table = reader.tableName();
		const columns: ColumnDefinition[] = [];
		let primaryKey: readonly string[] = [];
		reader.inBrackets(() => {
			if (reader.accept("primary", "key")) primaryKey = reader.inBrackets(() => reader.name());
			else columns.push(this.#columnDefinition());
		});
		const own = columns.filter((column) => column.primaryKey).map(({ name }) => name);
		return { kind: "create table", table, columns, primaryKey: primaryKey.length > 0 ? primaryKey : own };
	}

	#alterTable(): AlterTable {
		const reader = this.#reader;
		const table = reader.tableName();
		const add = reader.list(() => {
			reader.expect("add", "column");
			reader.accept("if", "not", "exists");
			return this.#columnDefinition();
		});
		return { kind: "alter table", table, add };
	}

	#columnDefinition(): ColumnDefinition {
		const reader = this.#reader;
		const column = { name: reader.name(), type: this.#expressions.type() };
		const rules = { notNull: false, unique: false, primaryKey: false };
		let defaultValue: Expression | null = null;
		let check: Expression | null = null;
		let references: string | null = null;
		for (;;) {
			if (reader.accept("not", "null")) rules.notNull = true;
			else if (reader.accept("null")) rules.notNull = false;
			else if (reader.accept("unique")) rules.unique = true;
			else if (reader.accept("primary", "key")) rules.primaryKey = true;
			else if (reader.accept("default")) defaultValue = this.#expression();
			else if (reader.accept("check")) [check = null] = reader.inBrackets(() => this.#expression());
			else if (reader.accept("references")) {
				references = reader.tableName();
				if (reader.sees("(")) reader.inBrackets(() => reader.name());
			} else return { ...column, ...rules, notNull: rules.notNull || rules.primaryKey, defaultValue, check, references };
		}
	}

	#expression(): Expression {
		return this.#expressions.parse();
	}
}

/** As the server names a column that has no alias. */
function nameOf(expression: Expression): string {
	switch (expression.kind) {
		case "column":
		case "call":
			return expression.name;
		case "cast":
			return nameOf(expression.operand);
		case "exists":
			return "exists";
		case "case":
			return "case";
		default:
			return "?column?";
	}
}
