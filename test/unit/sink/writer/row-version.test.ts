import { describe, expect, it } from "vitest";
import { seededRandom } from "../../../../src/core/random.ts";
import type { VersionStrategy } from "../../../../src/core/rows/rows.ts";
import { compareDecimals, compareVersions, type RowVersion } from "../../../../src/sink/writer/sql/row-version.ts";

const base: RowVersion = { field: null, timestamp: 5, offset: 5, partition: 5, topic: "m" };

describe("compareVersions", () => {
	const newerParts: RowVersion = { field: "10", timestamp: 6, offset: 6, partition: 6, topic: "n" };
	const newestParts: RowVersion = { field: "99", timestamp: 99, offset: 99, partition: 99, topic: "z" };

	it.each<[strategy: VersionStrategy, order: (keyof RowVersion)[]]>([
		[{ kind: "timestamp" }, ["timestamp", "offset", "partition", "topic"]],
		[{ kind: "offset" }, ["offset", "partition", "topic"]],
		[{ kind: "field", column: "v", type: "bigint" }, ["field", "timestamp", "offset", "partition", "topic"]],
	])("by $kind compares its parts in order, each only where those before it are equal", (strategy, order) => {
		const equal = { ...base, field: "9" };
		for (const [index, part] of order.entries()) {
			const newer: RowVersion = { ...equal, [part]: newerParts[part] };
			const against = Object.fromEntries(order.slice(index + 1).map((later) => [later, newestParts[later]]));
			expect(compareVersions(newer, { ...equal, ...against }, strategy), part).toBeGreaterThan(0);
			expect(compareVersions({ ...equal, ...against }, newer, strategy), part).toBeLessThan(0);
		}
		expect(compareVersions(equal, { ...equal }, strategy)).toBe(0);
	});

	it("by offset takes no notice of timestamps", () => {
		expect(compareVersions({ ...base, timestamp: 1 }, { ...base, timestamp: 9 }, { kind: "offset" })).toBe(0);
	});

	it("by a field of time compares its text, which has the order of the times", () => {
		const strategy = { kind: "field", column: "v", type: "timestamptz" } as const;
		const at = (field: string | null, timestamp = 5) => ({ ...base, field, timestamp });
		const [earlier, later] = ["2026-01-02 00:00:00.000000", "2026-01-10 00:00:00.000000"];
		expect(compareVersions(at(later), at(earlier, 99), strategy)).toBeGreaterThan(0);
		expect(compareVersions(at(earlier, 99), at(later), strategy)).toBeLessThan(0);
		expect(compareVersions(at(null, 99), at(earlier), strategy)).toBeLessThan(0);
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
