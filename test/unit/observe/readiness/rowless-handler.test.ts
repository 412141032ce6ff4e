import { describe, expect, it } from "vitest";
import { RowlessHandler } from "../../../../src/observe/listeners/rowless-handler.ts";

const run = (row: number, none: number, over: object = {}) => ({ counts: { row, delete: 0, none, rejected: 0 }, ...over });

/** What is said of run after run. */
function said(...runs: readonly ReturnType<typeof run>[]): (string | null)[] {
	const handler = new RowlessHandler();
	return runs.map((each) => handler.handled(each));
}

describe("a handler that makes no rows", () => {
	it("is told once, when none of the first hundred messages gave one", () => {
		const warning = "100 of its first 100 messages gave no row: is a return missing in the handler?";
		expect(said(run(0, 99), run(0, 1), run(0, 5_000))).toEqual([null, warning, null]);
	});

	it("is told once, when nine in ten of a thousand gave none", () => {
		const warning = "900 of its first 1000 messages gave no row: is a return missing in the handler?";
		expect(said(run(50, 449), run(50, 451), run(0, 5_000))).toEqual([null, warning, null]);
	});

	it("is told of a first run that is longer than both", () => {
		expect(said(run(0, 2_000))).toEqual([expect.stringMatching(/^2000 of its first 2000/)]);
		expect(said(run(200, 1_800), run(0, 10_000))).toEqual([expect.stringMatching(/^1800 of its first 2000/), null]);
	});

	it("is left alone where enough gave one, whatever comes later", () => {
		expect(said(run(101, 899), run(0, 10_000))).toEqual([null, null]);
		expect(said(run(1, 150), run(849, 0), run(0, 10_000))).toEqual([null, null, null]);
	});

	it("is left alone where it finishes its messages later: their rows may come then", () => {
		expect(said(run(0, 500, { finished: { from: 0, to: null } }), run(0, 5_000))).toEqual([null, null]);
	});

	it("counts a refusal or a delete as an answer", () => {
		expect(said({ counts: { row: 0, delete: 60, none: 0, rejected: 60 } }, run(0, 880))).toEqual([null, null]);
	});
});
