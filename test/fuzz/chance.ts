/** What a seed decides: numbers, texts with everything that hurts, bytes, JSON, values of JavaScript. The same seed gives the same. */
import { LosslessNumber } from "lossless-json";
import { type Random, seededRandom } from "../../src/core/random.ts";

const spiteful = [
	"",
	" ",
	"\0",
	"\u001b[2J",
	"\r\n",
	"\u2028",
	"\u202e",
	"\ud800",
	"\udfff",
	"\ufeff",
	"é",
	"漢字",
	"🙂",
	"'; drop table t; --",
	'"',
	"\\",
	"{}",
	"[",
	"null",
	"__proto__",
	"constructor",
	"toString",
	"-0",
	"1e400",
	"1.10",
	"99999999999999999999",
	"NaN",
	"2026-02-30",
	"infinity",
	"${HOME}",
	"*a",
	"&a",
	"<<",
	"---",
	"%40",
	"\u0085",
];

/** See the file's header. */
export class Chance {
	readonly #random: Random;

	constructor(seed: number) {
		this.#random = seededRandom(seed);
	}

	below(limit: number): number {
		return Math.floor(this.#random() * limit);
	}

	is(share: number): boolean {
		return this.#random() < share;
	}

	pick<T>(values: readonly T[]): T {
		return values[this.below(values.length)] as T;
	}

	/** Up to `most` of what `make` makes. */
	several<T>(most: number, make: () => T): T[] {
		return Array.from({ length: this.below(most + 1) }, make);
	}

	text(): string {
		return this.several(4, () => (this.is(0.5) ? this.pick(spiteful) : String.fromCharCode(this.below(this.is(0.9) ? 128 : 65_536)))).join(
			"",
		);
	}

	bytes(): Buffer {
		return Buffer.from(this.several(40, () => this.below(256)));
	}

	/** JSON's text: of everything, deep now and then, and broken now and then. */
	json(depth = 0): string {
		const inner = () => this.json(depth + 1);
		const whole = (() => {
			switch (this.below(depth > 4 ? 4 : 7)) {
				case 0:
					return JSON.stringify(this.text());
				case 1:
					return this.pick(["0", "-0", "1.50", "1e5", "-1E-7", "12345678901234567890.10", "9007199254740993", "1e999"]);
				case 2:
					return this.pick(["true", "false", "null"]);
				case 3:
					return this.is(0.02) ? "[".repeat(20_000) + "]".repeat(20_000) : "[]";
				case 4:
					return `[${this.several(4, inner).join(",")}]`;
				default:
					return `{${this.several(4, () => `${JSON.stringify(this.pick(["id", "a", "b", this.text()]))}:${inner()}`).join(",")}}`;
			}
		})();
		return depth === 0 && this.is(0.2) ? whole.slice(0, this.below(whole.length + 1)) + this.text() : whole;
	}

	/** A value of JavaScript's, of any kind that a handler may return. */
	value(depth = 0): unknown {
		const inner = () => this.value(depth + 1);
		switch (this.below(depth > 3 ? 9 : 13)) {
			case 0:
				return this.text();
			case 1:
				return this.pick([0, -0, 1.5, 1e21, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, -(2 ** 31) - 1]);
			case 2:
				return BigInt(this.below(1000)) ** BigInt(this.below(30));
			case 3:
				return this.pick([null, undefined, true, false]);
			case 4:
				return this.bytes();
			case 5:
				return new Date(this.pick([0, 253_402_300_800_000, Number.NaN, -62_198_755_200_000]));
			case 6:
				return this.pick<unknown>([
					Symbol("s"),
					() => 1,
					/x/,
					new Map([[1, 2]]),
					new Set([1]),
					new Error("e"),
					Promise.resolve(1).then(() => 2),
					new Float32Array(2),
				]);
			case 7:
				return new LosslessNumber(this.pick(["1.10", "12345678901234567890", "-0.00"]));
			case 8:
				return Object.create({ inherited: 1 }, { own: { value: this.text(), enumerable: true } });
			case 9:
			case 10:
				return this.several(4, inner);
			default:
				return Object.fromEntries(
					this.several(4, () => [this.pick(["id", "fields", "delete", "reject", "table", "a", "b", this.text()]), inner()]),
				);
		}
	}
}
