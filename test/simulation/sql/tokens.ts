/** Words of an SQL text. Whatever is no word of it throws. */

/** `name`: an identifier or keyword (lower case unless quoted). */
export type Token =
	| { readonly kind: "name"; readonly text: string; readonly quoted: boolean }
	| { readonly kind: "string"; readonly text: string }
	| { readonly kind: "number"; readonly text: string }
	| { readonly kind: "parameter"; readonly text: string }
	| { readonly kind: "symbol"; readonly text: string }
	| { readonly kind: "end"; readonly text: "" };

/** SQL that the simulated server doesn't know: the server has to learn it, or the statement is wrong. */
export class UnknownSqlError extends Error {}

const pattern =
	/\s+|--[^\n]*|(?<name>[a-zA-Z_][a-zA-Z_0-9]*)|"(?<quoted>(?:[^"]|"")*)"|'(?<string>(?:[^']|'')*)'|\$(?<parameter>\d+)|(?<number>\d+(?:\.\d+)?)|(?<symbol>::|->>|->|\|\||<=|>=|<>|!=|[-+*/%(),.;<>=[\]])/y;

/** The tokens of a text, an `end` behind them. */
export function tokensOf(text: string): Token[] {
	const tokens: Token[] = [];
	pattern.lastIndex = 0;
	while (pattern.lastIndex < text.length) {
		const at = pattern.lastIndex;
		const groups = pattern.exec(text)?.groups;
		if (!groups) throw new UnknownSqlError(`at ${JSON.stringify(text.slice(at, at + 40))} of ${text}`);
		const { name, quoted, string, parameter, number, symbol } = groups;
		if (name !== undefined) tokens.push({ kind: "name", text: name.toLowerCase(), quoted: false });
		else if (quoted !== undefined) tokens.push({ kind: "name", text: quoted.replaceAll('""', '"'), quoted: true });
		else if (string !== undefined) tokens.push({ kind: "string", text: string.replaceAll("''", "'") });
		else if (parameter !== undefined) tokens.push({ kind: "parameter", text: parameter });
		else if (number !== undefined) tokens.push({ kind: "number", text: number });
		else if (symbol !== undefined) tokens.push({ kind: "symbol", text: symbol });
	}
	tokens.push({ kind: "end", text: "" });
	return tokens;
}

/** Walks along tokens. */
export class TokenReader {
	readonly #tokens: readonly Token[];
	readonly #text: string;
	#at = 0;

	constructor(text: string) {
		this.#text = text;
		this.#tokens = tokensOf(text);
	}

	peek(ahead = 0): Token {
		return this.#tokens[Math.min(this.#at + ahead, this.#tokens.length - 1)] as Token;
	}

	next(): Token {
		const token = this.peek();
		this.#at++;
		return token;
	}

	/** True where these words or symbols come next. */
	sees(...texts: readonly string[]): boolean {
		return texts.every((text, ahead) => {
			const token = this.peek(ahead);
			return token.text === text && ((token.kind === "name" && !token.quoted) || token.kind === "symbol");
		});
	}

	/** Takes these words or symbols where they come next. */
	accept(...texts: readonly string[]): boolean {
		if (!this.sees(...texts)) return false;
		this.#at += texts.length;
		return true;
	}

	expect(...texts: readonly string[]): void {
		if (!this.accept(...texts)) this.fail(`expected ${texts.join(" ")}`);
	}

	/** An identifier that is none of the keywords. */
	name(): string {
		const token = this.next();
		if (token.kind !== "name") return this.fail("expected a name");
		return token.text;
	}

	/** `name` or `schema.name`, as one text. */
	tableName(): string {
		const parts = [this.name()];
		while (this.accept(".")) parts.push(this.name());
		return parts.join(".");
	}

	/** `item, item, …` */
	list<T>(item: () => T): T[] {
		const items = [item()];
		while (this.accept(",")) items.push(item());
		return items;
	}

	/** `(item, item, …)` */
	inBrackets<T>(item: () => T): T[] {
		this.expect("(");
		const items = this.sees(")") ? [] : this.list(item);
		this.expect(")");
		return items;
	}

	fail(what: string): never {
		throw new UnknownSqlError(`${what} at ${JSON.stringify(this.peek().text)} (word ${this.#at}) of ${this.#text}`);
	}
}
