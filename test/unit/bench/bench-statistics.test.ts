import { describe, expect, it } from "vitest";
import { linearFit, median, quantile } from "../../../bench/measuring/statistics.ts";

describe("the benches' statistics", () => {
	it("takes the middle value, and the mean of the two in the middle", () => {
		expect(median([3, 1, 2])).toBe(2);
		expect(median([4, 1, 2, 3])).toBe(2.5);
		expect(median([7])).toBe(7);
		expect(median([])).toBeNaN();
	});

	it("gives the value that a share of all are not above", () => {
		const hundred = Array.from({ length: 100 }, (_, i) => 100 - i);
		expect(quantile(hundred, 0.5)).toBe(50);
		expect(quantile(hundred, 0.99)).toBe(99);
		expect(quantile(hundred, 0.999)).toBe(100);
		expect(quantile([5], 0.01)).toBe(5);
		expect(quantile([], 0.5)).toBeNaN();
	});

	it("sorts numbers as numbers", () => {
		expect(quantile([10, 9, 100], 1)).toBe(100);
		expect(median([10, 9, 100])).toBe(10);
	});

	it("fits a line through points, and none that is steep through a single place", () => {
		expect(linearFit([0, 1, 2, 3].map((x) => [x, 2 * x + 5]))).toEqual({ slope: 2, intercept: 5 });
		expect(
			linearFit([
				[0, 1],
				[1, 3],
				[2, 2],
				[3, 4],
			]).slope,
		).toBeCloseTo(0.8);
		expect(
			linearFit([
				[2, 1],
				[2, 9],
			]).slope,
		).toBe(0);
	});
});
