import { describe, expect, it } from "vitest";
import { linearAxis, powerAxis, shownTick } from "../../../bench/report/axis.ts";
import { measures, Tally } from "../../../bench/report/figures.ts";
import { barPlot, linePlot } from "../../../bench/report/plots.ts";

describe("an axis", () => {
	it("has ticks at round values that hold all between them", () => {
		expect(linearAxis(0, 173_000, 0, 100).ticks).toEqual([0, 50_000, 100_000, 150_000, 200_000]);
		expect(linearAxis(0, 0.9, 0, 100).ticks).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
		expect(linearAxis(-3, 4, 0, 100).ticks).toEqual([-4, -2, 0, 2, 4]);
	});

	it("puts its ends where they belong, also downwards", () => {
		const axis = linearAxis(0, 10, 300, 20);
		expect([axis.at(0), axis.at(5), axis.at(10)]).toEqual([300, 160, 20]);
	});

	it("is there also where all values are nothing", () => {
		const axis = linearAxis(0, 0, 0, 100);
		expect(axis.ticks.length).toBeGreaterThan(1);
		expect(axis.at(0)).toBe(0);
	});

	it("goes by powers through values that double", () => {
		const axis = powerAxis([1, 4, 16, 64], 0, 90);
		expect(axis.ticks).toEqual([1, 4, 16, 64]);
		expect(axis.ticks.map((tick) => Math.round(axis.at(tick)))).toEqual([0, 30, 60, 90]);
	});

	it("writes large values short", () => {
		expect([0, 0.25, 9_000, 20_000, 1_500_000].map(shownTick)).toEqual(["0", "0.25", "9000", "20k", "1.5M"]);
	});
});

describe("a plot", () => {
	function figuresOf(values: Record<string, readonly (number | null)[]>) {
		const tally = new Tally();
		for (const [subject, each] of Object.entries(values)) for (const value of each) tally.note(subject, measures.messagesPerSecond, value);
		return tally.figures();
	}

	it("has a bar for every subject that is known, as long as its median", () => {
		const svg = barPlot(figuresOf({ a: [100, 100], b: [50, 50], unknown: [null] }));
		const [first, second] = [...svg.matchAll(/<rect[^>]* width="([\d.]+)"/g)].map(([, width]) => Number(width)) as [number, number];
		expect(first).toBeCloseTo(second * 2, 0);
		expect(svg).not.toContain("unknown");
	});

	it("draws bars below zero to the left of it", () => {
		const svg = barPlot(figuresOf({ falling: [-10], rising: [10] }));
		const xs = [...svg.matchAll(/<rect[^>]* x="([\d.]+)"/g)].map(([, x]) => Number(x)) as [number, number];
		expect(xs[0]).toBeLessThan(xs[1]);
	});

	it("draws a line per name, and nothing of no points", () => {
		const points = [1, 4, 16, 64, 256].map((x) => [x, x * 2] as const);
		const svg = linePlot({ title: "memory", x: "partitions", y: "MiB", lines: [{ name: "RSS", points }] });
		expect(svg.match(/<polyline/g)).toHaveLength(1);
		expect(svg).toContain(">256</text>");
		expect(linePlot({ title: "", x: "", y: "", lines: [{ name: "RSS", points: [] }] })).toBe("");
	});

	it("holds no NaN", () => {
		const plots = [
			barPlot(figuresOf({ a: [0], b: [0] })),
			linePlot({ title: "t", x: "x", y: "y", lines: [{ name: "a", points: [[5, 0]] }] }),
		];
		for (const svg of plots) {
			expect(svg).toContain("<svg");
			expect(svg).not.toContain("NaN");
		}
	});
});
