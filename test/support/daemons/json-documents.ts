/** JSON as it comes, and as it should not: documents by a seed, for whoever reads them in two ways. */

type Random = () => number;

/** What a field mostly holds. */
export type Usual = "text" | "number" | "boolean" | "object" | "list" | "any" | { readonly oneOf: readonly string[] };

/** What documents are made of: the fields that matter, by name. */
export interface DocumentOptions {
	readonly random: Random;
	readonly fields: Readonly<Record<string, Usual>>;
}

const numbers = [
	..."0 -0 1 -1 5 42 1.5 1.50 -0.0 0.1 1e5 1E5 1e+5 1e-7 1e400 -1e-400 0.0000001 0.00000012 100 10.0 123456789012345".split(" "),
	..."1234567890123456 9007199254740993 12345678901234567890 0.1234567890123456 3.14159 2147483647 2147483648 -32769".split(" "),
];
const badNumbers = ["01", "-", "1.", ".5", "+1", "1e", "1e+", "0x1", "NaN", "Infinity", "1.e5", "--1", "1_0"];
const plainTexts = [
	"",
	"a",
	"name 17",
	"x".repeat(90),
	"2026-01-01T10:00:00.120Z",
	"550e8400-e29b-41d4-a716-446655440000",
	"0aff",
	"AQID",
	"12",
];
const wideTexts = ["é", "日本語", "😀", "a\u2028b", "\ufffd", "ß".repeat(40), "\u007f\u0080"];
const escapedTexts = [
	...[String.raw`\"`, String.raw`\\`, String.raw`\/`, String.raw`a\nb`, String.raw`\b\f\n\r\t`, String.raw`\u0041`, String.raw`\u00e9`],
	...[String.raw`\ud83d\ude00`, String.raw`\ud800`, String.raw`\udc00x`, String.raw`\u0000`, String.raw`\u001e`, String.raw`\u001d`],
	...[String.raw`x\u001ey`, String.raw`\u2028`, String.raw`a\u001db`, String.raw`{\"a\":1}`],
];
const badTexts = [String.raw`\x`, String.raw`\u12`, String.raw`\u12g4`, "\n", "\t", "\u0001", "\\"];
const oddNames = ["", "0", "17", "__proto__", "constructor", "toString", "toJSON", "length", "é", "hasOwnProperty", "\\u0061", "a\\nb"];

const flat = ["text", "number", "boolean"] as const;

/** See the file's header. */
export class Documents {
	readonly #random: Random;
	readonly #fields: DocumentOptions["fields"];
	readonly #names: readonly string[];
	/** This document's own: how much white space it has, how odd it is. */
	#space = 0;
	#oddness = 0;

	constructor({ random, fields }: DocumentOptions) {
		this.#random = random;
		this.#fields = fields;
		this.#names = Object.keys(fields);
	}

	/** The bytes of one; most are JSON objects. */
	next(): Buffer {
		this.#space = this.#chance(0.7) ? 0 : 0.3;
		this.#oddness = this.#oneOf([0, 0, 0.02, 0.1]);
		if (this.#chance(0.02))
			return this.#bytesOf(this.#oneOf(["", "null", "[]", "5", '"x"', "true", " ", "nul", "{", "}", "\ufeff{}", "{}{}", "{} x"]));
		if (this.#chance(0.003)) return this.#bytesOf(this.#deep());
		const bytes = this.#bytesOf(this.#blank() + this.#object(0) + this.#blank());
		return this.#chance(0.06) ? this.#damaged(bytes) : bytes;
	}

	#bytesOf(text: string): Buffer {
		return Buffer.from(text);
	}

	#deep(): string {
		const levels = this.#oneOf([60, 63, 64, 65, 66, 100, 2_000]);
		const [open, close] = this.#oneOf([
			["[", "]"],
			['{"a":', "}"],
		]);
		const name = this.#chance(0.5) ? this.#oneOf(this.#names) : "stranger";
		return `{"${name}":${open.repeat(levels)}1${close.repeat(levels)}}`;
	}

	#damaged(bytes: Buffer): Buffer {
		const at = Math.floor(this.#random() * bytes.length);
		if (this.#chance(0.3)) return bytes.subarray(0, at);
		const damaged = Buffer.from(bytes);
		damaged[at] = this.#oneOf([0xff, 0xc3, 0xed, 0x80, 0, 0x0a, 0x22, 0x5c, 0x7b, 0x7d, 0x2c, 0x3a, 0x5b, 0x5d, 0x30, 0x2d, 0x65]);
		return damaged;
	}

	#object(depth: number): string {
		const names = depth === 0 ? this.#names.filter(() => this.#chance(0.6)) : [];
		const more = Math.floor(this.#random() * (depth === 0 ? 1.5 : 4));
		for (let i = 0; i < more; i++) names.push(this.#name(depth));
		if (names.length > 0 && this.#chance(0.05)) names.push(this.#oneOf(names));
		const members = names.map((name) => {
			const usual = depth < 2 && !this.#chance(0.03) && Object.hasOwn(this.#fields, name) ? (this.#fields[name] as Usual) : "any";
			return `${this.#blank()}"${name}"${this.#blank()}:${this.#blank()}${this.#value(depth + 1, usual)}${this.#blank()}`;
		});
		if (this.#odd()) members.push(this.#oneOf(["", "1", '"a"', "a:1", '"a" 1', "'a':1"]));
		return `{${members.join(",")}${members.length === 0 ? this.#blank() : ""}}`;
	}

	#name(depth: number): string {
		if (this.#odd()) return this.#oneOf(oddNames);
		if (this.#odd()) return this.#oneOf(this.#names);
		return this.#oneOf(depth === 0 ? ["a", "b", "c", "d", "x", "y"] : ["amount", "currency", "deep", "x", "name", "a"]);
	}

	#value(depth: number, usual: Usual): string {
		if (this.#odd()) return this.#oneOf(["True", "nul", "nulll", "falsE", "undefined", "", "tru", ...badNumbers]);
		if (this.#chance(0.08)) return "null";
		if (typeof usual === "object") return this.#oneOf(usual.oneOf);
		switch (usual === "any" ? this.#oneOf(depth > 4 ? flat : ([...flat, "object", "list"] as const)) : usual) {
			case "text":
				return `"${this.#text()}"`;
			case "number":
				return this.#oneOf(numbers);
			case "boolean":
				return this.#oneOf(["true", "false"]);
			case "object":
				return this.#object(depth);
			case "list": {
				const length = Math.floor(this.#random() * 4);
				const kind = this.#oneOf([...flat, "any"] as const);
				const elements = Array.from({ length }, () => this.#blank() + this.#value(depth + 1, kind) + this.#blank());
				return `[${elements.join(",")}${this.#odd() ? "," : ""}]`;
			}
		}
	}

	#text(): string {
		const roll = this.#random();
		if (this.#odd()) return this.#oneOf(badTexts);
		if (roll < 0.65) return this.#oneOf(plainTexts);
		if (roll < 0.8) return this.#oneOf(wideTexts);
		return this.#oneOf(escapedTexts) + (this.#chance(0.5) ? this.#oneOf(wideTexts) : "");
	}

	#blank(): string {
		return this.#chance(this.#space) ? this.#oneOf([" ", "\n", "\t", "\r\n", "  "]) : "";
	}

	#odd(): boolean {
		return this.#chance(this.#oddness);
	}

	#chance(share: number): boolean {
		return share > 0 && this.#random() < share;
	}

	#oneOf<T>(values: readonly T[]): T {
		return values[Math.floor(this.#random() * values.length)] as T;
	}
}
