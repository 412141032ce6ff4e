/** Expressions, by how strongly their operators bind. */
import type { Expression, Select } from "./syntax.ts";
import type { TokenReader } from "./tokens.ts";

/** How a query inside of an expression is read. */
export type QueryParser = (reader: TokenReader) => Select;

const COMPARISONS = ["=", "<>", "!=", "<=", ">=", "<", ">"];
/** Words that end an expression where a name could stand. */
const ANY = ["any", "some"];

/** See the file's header. */
export class ExpressionParser {
	readonly #reader: TokenReader;
	readonly #query: QueryParser;

	constructor(reader: TokenReader, query: QueryParser) {
		this.#reader = reader;
		this.#query = query;
	}

	parse(): Expression {
		let left = this.#and();
		while (this.#reader.accept("or")) left = { kind: "binary", operator: "or", left, right: this.#and() };
		return left;
	}

	#and(): Expression {
		let left = this.#not();
		while (this.#reader.accept("and")) left = { kind: "binary", operator: "and", left, right: this.#not() };
		return left;
	}

	#not(): Expression {
		if (this.#reader.accept("not")) return { kind: "not", operand: this.#not() };
		return this.#is();
	}

	#is(): Expression {
		let operand = this.#comparison();
		while (this.#reader.accept("is")) {
			const not = this.#reader.accept("not");
			if (this.#reader.accept("distinct", "from")) operand = { kind: "distinct", left: operand, right: this.#comparison(), not };
			else if (this.#reader.accept("null")) operand = { kind: "is", operand, value: null, not };
			else if (this.#reader.accept("true")) operand = { kind: "is", operand, value: true, not };
			else if (this.#reader.accept("false")) operand = { kind: "is", operand, value: false, not };
			else return this.#reader.fail("expected what it is");
		}
		return operand;
	}

	#comparison(): Expression {
		const reader = this.#reader;
		const left = this.#other();
		for (const operator of COMPARISONS) {
			if (!reader.accept(operator)) continue;
			if (ANY.some((word) => reader.accept(word))) {
				const [right] = reader.inBrackets(() => this.parse()) as [Expression];
				return { kind: "any", operator, left, right };
			}
			return { kind: "binary", operator, left, right: this.#other() };
		}
		const not = reader.sees("not", "in") || reader.sees("not", "between") ? reader.accept("not") : false;
		if (reader.accept("in")) return { kind: "in", operand: left, list: this.#inList(), not };
		if (reader.accept("between")) {
			const low = this.#other();
			reader.expect("and");
			const between: Expression = {
				kind: "binary",
				operator: "and",
				left: { kind: "binary", operator: ">=", left, right: low },
				right: { kind: "binary", operator: "<=", left, right: this.#other() },
			};
			return not ? { kind: "not", operand: between } : between;
		}
		return left;
	}

	#inList(): readonly Expression[] | Select {
		const reader = this.#reader;
		if (!reader.sees("(", "select") && !reader.sees("(", "values")) return reader.inBrackets(() => this.parse());
		return this.#bracketed();
	}

	#bracketed(): Select {
		this.#reader.expect("(");
		const query = this.#query(this.#reader);
		this.#reader.expect(")");
		return query;
	}

	/** `||`, `->`, `->>`, which bind less than sums. */
	#other(): Expression {
		let left = this.#sum();
		for (;;) {
			const operator = ["||", "->>", "->"].find((each) => this.#reader.accept(each));
			if (!operator) return left;
			left = { kind: "binary", operator, left, right: this.#sum() };
		}
	}

	#sum(): Expression {
		let left = this.#product();
		for (;;) {
			const operator = ["+", "-"].find((each) => this.#reader.accept(each));
			if (!operator) return left;
			left = { kind: "binary", operator, left, right: this.#product() };
		}
	}

	#product(): Expression {
		let left = this.#cast();
		for (;;) {
			const operator = ["*", "/", "%"].find((each) => this.#reader.accept(each));
			if (!operator) return left;
			left = { kind: "binary", operator, left, right: this.#cast() };
		}
	}

	#cast(): Expression {
		if (this.#reader.accept("-")) return { kind: "negative", operand: this.#cast() };
		let operand = this.#primary();
		while (this.#reader.accept("::")) operand = { kind: "cast", operand, type: this.type() };
		return operand;
	}

	/** A type's name: `text`, `numeric(10,2)`, `text[]`, `timestamp with time zone`. */
	type(): string {
		const reader = this.#reader;
		let name = reader.name();
		if (name === "double" && reader.accept("precision")) name = "double precision";
		if (name === "timestamp" && reader.accept("with", "time", "zone")) name = "timestamptz";
		if (reader.sees("(")) name += `(${reader.inBrackets(() => reader.next().text).join(",")})`;
		while (reader.accept("[", "]")) name += "[]";
		return name;
	}

	#primary(): Expression {
		const reader = this.#reader;
		const token = reader.peek();
		switch (token.kind) {
			case "string":
				reader.next();
				return { kind: "literal", value: token.text };
			case "number":
				reader.next();
				return { kind: "literal", value: Number(token.text) };
			case "parameter":
				reader.next();
				return { kind: "parameter", index: Number(token.text) - 1 };
			case "symbol":
				return this.#inBrackets();
			case "name":
				return token.quoted ? this.#column() : this.#word();
			case "end":
				return reader.fail("expected an expression");
		}
	}

	#inBrackets(): Expression {
		const reader = this.#reader;
		if (reader.sees("(", "select") || reader.sees("(", "values")) return { kind: "query", query: this.#bracketed() };
		const items = reader.inBrackets(() => this.parse());
		return items.length === 1 ? (items[0] as Expression) : { kind: "row", items };
	}

	#word(): Expression {
		const reader = this.#reader;
		if (reader.accept("null")) return { kind: "literal", value: null };
		if (reader.accept("true")) return { kind: "literal", value: true };
		if (reader.accept("false")) return { kind: "literal", value: false };
		if (reader.accept("case")) return this.#case();
		if (reader.accept("exists")) return { kind: "exists", query: this.#bracketed() };
		if (reader.accept("array", "[")) {
			const items = reader.sees("]") ? [] : reader.list(() => this.parse());
			reader.expect("]");
			return { kind: "array", items };
		}
		if (reader.accept("extract", "(")) {
			const part = reader.name();
			reader.expect("from");
			const moment = this.parse();
			reader.expect(")");
			return { kind: "call", name: `extract_${part}`, args: [moment], filter: null };
		}
		if (reader.sees("interval") && reader.peek(1).kind === "string") {
			reader.next();
			return { kind: "cast", operand: this.#primary(), type: "interval" };
		}
		if (reader.accept("row")) return { kind: "row", items: reader.inBrackets(() => this.parse()) };
		return reader.peek(1).text === "(" && reader.peek(1).kind === "symbol" ? this.#call() : this.#column();
	}

	#case(): Expression {
		const reader = this.#reader;
		const branches: { when: Expression; result: Expression }[] = [];
		while (reader.accept("when")) {
			const when = this.parse();
			reader.expect("then");
			branches.push({ when, result: this.parse() });
		}
		const otherwise = reader.accept("else") ? this.parse() : null;
		reader.expect("end");
		return { kind: "case", branches, otherwise };
	}

	#call(): Expression {
		const reader = this.#reader;
		const name = reader.name();
		reader.expect("(");
		const args: Expression[] = [];
		if (!reader.accept("*") && !reader.sees(")")) args.push(...reader.list(() => this.parse()));
		reader.expect(")");
		let filter: Expression | null = null;
		if (reader.accept("filter")) {
			reader.expect("(", "where");
			filter = this.parse();
			reader.expect(")");
		}
		return { kind: "call", name, args, filter };
	}

	#column(): Expression {
		const reader = this.#reader;
		const first = reader.name();
		if (!reader.accept(".")) return { kind: "column", table: null, name: first };
		return { kind: "column", table: first, name: reader.name() };
	}
}
