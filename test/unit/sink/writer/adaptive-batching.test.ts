import { describe, expect, it } from "vitest";
import { Lane } from "../../../../src/sink/writer/lane.ts";
import { ArrivalRate } from "../../../../src/sink/writer/tuning/arrival-rate.ts";
import { StatementSize } from "../../../../src/sink/writer/tuning/statement-size.ts";
import { ManualClock } from "../../../support/fakes/manual-clock.ts";
import { layoutOf, submissionOf } from "../../../support/fakes/row-submissions.ts";

describe("the size of statements", () => {
	const sized = () => new StatementSize({ minRows: 100, maxRows: 1_000, answerMs: 250 });

	it("is the largest while the database answers in time", () => {
		const size = sized();
		for (let i = 0; i < 10; i++) size.succeeded(1_000, 250);
		expect(size.rows).toBe(1_000);
	});

	it("follows the answers of a slow database down to the least, and of one that recovers up again", () => {
		const size = sized();
		size.succeeded(1_000, 500);
		expect(size.rows).toBe(500);
		size.succeeded(500, 5_000);
		expect(size.rows).toBe(100);
		size.succeeded(100, 5);
		expect(size.rows).toBe(150);
		for (let i = 0; i < 10; i++) size.succeeded(size.rows, 5);
		expect(size.rows).toBe(1_000);
	});

	it("is not judged by statements that are far from full", () => {
		const size = sized();
		size.succeeded(1_000, 1_000);
		expect(size.rows).toBe(250);
		size.succeeded(10, 1);
		size.succeeded(10, 10_000);
		expect(size.rows).toBe(250);
	});

	it("is halved by a timeout, if need be to one row, and doubles after ten that went well until the answers decide again", () => {
		const size = sized();
		size.failed(1_000);
		expect(size.rows).toBe(500);
		for (let i = 0; i < 20; i++) size.failed(size.rows);
		expect(size.rows).toBe(1);
		for (let i = 0; i < 9; i++) size.succeeded(1, 1);
		expect(size.rows).toBe(1);
		size.succeeded(1, 1);
		expect(size.rows).toBe(2);
		for (let i = 0; i < 60; i++) size.succeeded(size.rows, 1);
		expect(size.rows).toBe(128);
		for (let i = 0; i < 10; i++) size.succeeded(size.rows, 1);
		expect(size.rows).toBe(1_000);
	});

	it("never passes a largest that is below the least", () => {
		const size = new StatementSize({ minRows: 100, maxRows: 10, answerMs: 250 });
		size.succeeded(10, 10_000);
		expect(size.rows).toBe(10);
	});
});

describe("lingering", () => {
	it("is worth nothing for a lone row, nor for a burst behind a silence", () => {
		const rate = new ArrivalRate(5);
		rate.came(1, 0);
		expect(rate.lingerMs(1, 0)).toBe(0);
		rate.came(1_000, 10_000);
		expect(rate.lingerMs(1_000, 10_000)).toBe(0);
	});

	it("is worth its time while as many rows again will come meanwhile", () => {
		const rate = new ArrivalRate(5);
		for (let at = 0; at < 1_000; at += 1) rate.came(2, at);
		expect([rate.lingerMs(2, 1_000), rate.lingerMs(9, 1_000), rate.lingerMs(12, 1_000)]).toEqual([5, 5, 0]);
		expect(rate.lingerMs(2, 1_200)).toBe(0);
	});

	it("is off where it is configured so", () => {
		const rate = new ArrivalRate(0);
		for (let at = 0; at < 100; at++) rate.came(100, at);
		expect(rate.lingerMs(1, 100)).toBe(0);
	});
});

describe("a lane", () => {
	const layout = layoutOf();

	function laneOf(answerMs = 250) {
		const clock = new ManualClock();
		const sent: { rows: number; trigger: string; at: number }[] = [];
		const answers: (() => void)[] = [];
		const lane: Lane = new Lane({
			layout,
			limits: { maxRows: 100, maxBytes: 1e9, lingerMs: 5, minRows: 1, answerMs },
			clock,
			ended: new AbortController().signal,
			write: (_, cut, trigger) => {
				sent.push({ rows: cut.rows, trigger, at: clock.monotonic() });
				return new Promise((resolve) => answers.push(resolve));
			},
		});
		let offset = 0;
		const add = (count: number) => {
			const rows = Array.from({ length: count }, () => ({ id: `id-${offset}`, offset: offset++ }));
			const submission = submissionOf(layout, rows);
			for (const block of submission.blocks) lane.add(block, submission);
			lane.cut();
		};
		const answer = async () => {
			answers.shift()?.();
			await clock.advance(0);
		};
		return { lane, clock, sent, add, answer };
	}

	it("sends a lone row at once", async () => {
		const { clock, sent, add, answer } = laneOf();
		add(1);
		await answer();
		await clock.advance(20);
		add(1);
		await answer();
		expect(sent).toEqual([
			{ rows: 1, trigger: "linger", at: 0 },
			{ rows: 1, trigger: "linger", at: 20 },
		]);
	});

	it("gathers rows that keep coming, and what comes while a statement is under way goes with the next", async () => {
		const { clock, sent, add, answer } = laneOf();
		for (let i = 0; i < 200; i++) {
			add(2);
			await answer();
			await clock.advance(1);
		}
		const steady = sent.slice(-10);
		expect(steady.every(({ rows }) => rows >= 8)).toBe(true);
		add(50);
		add(20);
		add(10);
		expect(sent.at(-1)?.rows).toBeGreaterThanOrEqual(50);
		const before = sent.length;
		await answer();
		await clock.advance(5);
		expect(sent.slice(before).map(({ rows }) => rows)).toEqual([30]);
	});

	it("cuts by the size that the database's answers allow", async () => {
		const { lane, sent, add, answer } = laneOf();
		add(4);
		for (let i = 0; i < 5; i++) add(6);
		expect(sent).toMatchObject([{ rows: 4 }]);
		lane.statementSize.succeeded(100, 2_000);
		expect(lane.statementSize.rows).toBe(12);
		// Blocks are taken whole: two of six, and none more.
		await answer();
		expect(sent.slice(1)).toMatchObject([{ rows: 12, trigger: "rows" }]);
		lane.statementSize.succeeded(12, 5_000);
		await answer();
		expect([lane.statementSize.rows, sent.slice(2)]).toMatchObject([1, [{ rows: 6, trigger: "rows" }]]);
	});
});
