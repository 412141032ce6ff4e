import { describe, expect, it } from "vitest";
import { seededRandom } from "../../../../src/core/random.ts";
import { compareDecimals, compareVersions, type RowVersion } from "../../../../src/sink/writer/sql/row-version.ts";

const base: RowVersion = { field: null, timestamp: 5, offset: 5, partition: 5, topic: "m" };

describe("compareVersions", () => {
	it.each<[strategy: "timestamp" | "offset", order: (keyof RowVersion)[]]>([
		["timestamp", ["timestamp", "offset", "partition", "topic"]],
		["offset", ["offset", "partition", "topic"]],
	])("by %s compares its parts in order, each only where those before it are equal", (kind, order) => {
		for (const [index, part] of order.entries()) {
			const newer: RowVersion = { ...base, [part]: part === "topic" ? "n" : 6 };
			const against = Object.fromEntries(order.slice(index + 1).map((later) => [later, later === "topic" ? "z" : 99]));
			expect(compareVersions(newer, { ...base, ...against }, { kind }), part).toBeGreaterThan(0);
			expect(compareVersions({ ...base, ...against }, newer, { kind }), part).toBeLessThan(0);
		}
		expect(compareVersions(base, { ...base }, { kind })).toBe(0);
	});

	it("by offset takes no notice of timestamps", () => {
		expect(compareVersions({ ...base, timestamp: 1 }, { ...base, timestamp: 9 }, { kind: "offset" })).toBe(0);
	});

	it("by field compares the field first, then timestamp, offset, partition", () => {
		const strategy = { kind: "field", column: "v", type: "bigint" } as const;
		expect(compareVersions({ ...base, field: "10" }, { ...base, field: "9", timestamp: 99 }, strategy)).toBeGreaterThan(0);
		expect(compareVersions({ ...base, field: "10" }, { ...base, field: "10", timestamp: 6 }, strategy)).toBeLessThan(0);
	});
});

describe("compareDecimals", () => {
	it.each([1, 2, 3])("agrees with exact arithmetic (seed %i)", (seed) => {
		const random = seededRandom(seed);
		const digits = (count: number) => Array.from({ length: count }, () => Math.floor(random() * 10)).join("");
		const decimal = () => {
			const whole = String(BigInt(digits(1 + Math.floor(random() * 25))));
			const fraction = random() < 0.5 ? digits(1 + Math.floor(random() * 6)) : "";
			const text = fraction ? `${whole}.${fraction}` : whole;
			return random() < 0.4 && /[1-9]/.test(text) ? `-${text}` : text;
		};
		const exact = (text: string) => {
			const [whole = "", fraction = ""] = text.replace("-", "").split(".");
			return BigInt(whole + fraction.padEnd(7, "0")) * (text.startsWith("-") ? -1n : 1n);
		};
		const withZeros = (text: string) => `${text}${text.includes(".") ? "" : "."}0`;
		for (let i = 0; i < 500; i++) {
			const left = decimal();
			const right = random() < 0.1 ? "0" : random() < 0.2 ? withZeros(left) : decimal();
			const difference = exact(left) - exact(right);
			expect([left, right, Math.sign(compareDecimals(left, right))]).toEqual([left, right, difference > 0n ? 1 : difference < 0n ? -1 : 0]);
		}
	});
});
