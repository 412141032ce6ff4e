/** How handleMessages is called with a run: whole, and in halves once a call has failed. */
import { beforeEach, describe, expect, it } from "vitest";
import { callBatches } from "../../../src/worker/inside/batch-calls.ts";
import { OutcomeCollector } from "../../../src/worker/inside/outcome-collector.ts";
import type { HandlerFailure } from "../../../src/worker/thread/handler-thread.ts";
import { layoutOf } from "../../support/fakes/row-submissions.ts";

const failureOf = (error: unknown): HandlerFailure => ({
	kind: "exception",
	name: (error as Error).name,
	message: (error as Error).message,
	stack: null,
});

/** What happened, in order: `4-8` is a call with messages 4 to 7. */
let told: string[];
let results: OutcomeCollector;
beforeEach(() => {
	told = [];
	results = new OutcomeCollector({ tables: [layoutOf({ name: "events" })], maxOutcomeBytes: 10_000, lenient: false });
	const indexes = Array.from({ length: 20 }, (_, index) => index);
	results.begin({ from: 0, offsets: indexes, timestamps: indexes });
});

interface Played {
	/** Messages with which a call fails; by default every time. */
	readonly bad?: readonly number[];
	/** Fails only beside others. */
	readonly notAlone?: boolean;
	readonly mayRenew?: boolean;
	/** No more calls after so many. */
	readonly calls?: number;
	readonly stateFailure?: HandlerFailure;
	readonly returns?: (from: number, to: number) => unknown;
}

const rowsOf = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => ({ id: String(from + i), fields: {} }));

function run(first: number, end: number, played: Played = {}) {
	const { bad = [], notAlone = false, mayRenew = true, calls = 99, stateFailure = null, returns = rowsOf } = played;
	let made = 0;
	return callBatches(first, end, results, {
		mayRenew,
		call: async (from, to) => {
			made++;
			told.push(`${from}-${to}`);
			if (bad.some((each) => each >= from && each < to) && !(notAlone && to - from === 1)) throw new TypeError('no "name" in it');
			return returns(from, to);
		},
		handled: async (to) => void told.push(`handled to ${to}`),
		again: async (from) => {
			told.push(`anew from ${from}`);
			return stateFailure;
		},
		mustEnd: () => made >= calls,
		failureIn: failureOf,
	});
}

describe("a run of messages", () => {
	it("is one call that takes all of them", async () => {
		expect(await run(2, 9)).toEqual({ to: 9, failure: null, calledTo: 9 });
		expect(told).toEqual(["2-9"]);
		const { rows, counts, durationsMs } = results.take(9);
		expect([rows, counts.row, durationsMs.length]).toEqual([7, 7, 1]);
	});

	it("is halved where it fails, until the offender is alone: those before it are handled, each by a call with a new state", async () => {
		expect(await run(0, 8, { bad: [5] })).toEqual({
			to: 5,
			failure: { kind: "exception", name: "TypeError", message: 'no "name" in it', stack: null },
			calledTo: 8,
			together: 1,
		});
		expect(told).toEqual([...["0-8", "anew from 0", "0-4", "handled to 4", "4-6", "anew from 4", "4-5", "handled to 5", "5-6"]]);
		expect(results.take(5)).toMatchObject({ rows: 5, counts: { row: 5 } });
	});

	it("of an odd number has the larger half first", async () => {
		await run(0, 5, { bad: [0] });
		expect(told.filter((each) => each.includes("-"))).toEqual(["0-5", "0-3", "0-2", "0-1"]);
	});

	it("goes on whole behind the messages that were suspected, and warns if none failed alone", async () => {
		expect(await run(0, 12, { bad: [1], notAlone: true })).toEqual({ to: 12, failure: null, calledTo: 12 });
		expect(told.filter((each) => each.includes("-"))).toEqual(["0-12", "0-6", "0-3", "0-2", "0-1", "1-2", "2-12"]);
		const { rows, warnings } = results.take(12);
		expect([rows, warnings]).toEqual([
			12,
			[expect.stringMatching(/^handleMessages failed with several messages and not with fewer: TypeError: no .* in it$/)],
		]);
	});

	it("is not halved where the state may not be renewed: all that failed together are told", async () => {
		expect(await run(3, 9, { bad: [4], mayRenew: false })).toMatchObject({ to: 3, calledTo: 9, together: 6 });
		expect(told).toEqual(["3-9"]);
		expect(results.take(3)).toMatchObject({ rows: 0 });
	});

	it("ends at the message for which no new state can be made, for that reason", async () => {
		const stateFailure = { kind: "init", name: "Error", message: "no state", stack: null } as const;
		expect(await run(3, 9, { bad: [4], stateFailure })).toEqual({ to: 3, failure: stateFailure, calledTo: 9 });
		expect(told).toEqual(["3-9", "anew from 3"]);
	});

	it("begins no more calls when it is told to end, before a call and behind one that failed", async () => {
		expect(await run(0, 4, { calls: 0 })).toEqual({ to: 0, failure: null, calledTo: 0 });
		expect(await run(0, 4, { bad: [1], calls: 1 })).toMatchObject({ to: 0, calledTo: 4, together: 4 });
		expect(await run(0, 8, { bad: [7], calls: 2 })).toEqual({ to: 4, failure: null, calledTo: 8 });
		expect(told).toEqual(["0-4", "0-8", "anew from 0", "0-4", "handled to 4"]);
	});
});

describe("what handleMessages may return", () => {
	const failure = async (returned: unknown) => (await run(0, 2, { returns: () => returned, mayRenew: false })).failure?.message;

	it("is an outcome for each message, in order", async () => {
		await run(0, 3, { returns: () => [null, { reject: "no" }, { id: "2", fields: {} }] });
		expect(results.take(3)).toMatchObject({ rows: 1, rejected: [{ message: 1, why: "no" }], counts: { row: 1, none: 1, rejected: 1 } });
	});

	it("is a finishedTo, alone or with outcomes: it ends the run, for the next messages would share it", async () => {
		expect(await run(0, 3, { returns: () => ({ finishedTo: 41 }) })).toEqual({
			...{ to: 3, failure: null, calledTo: 3, finished: { from: 0, to: 41 } },
		});
		const outcomes = rowsOf(0, 2);
		expect(await run(4, 6, { returns: () => ({ finishedTo: null, outcomes }) })).toMatchObject({ to: 6, finished: { from: 4, to: null } });
		expect(results.take(6)).toMatchObject({ rows: 2, counts: { none: 3 } });
	});

	it("has as many outcomes as there were messages", async () => {
		const mismatch = "handleMessages got 2 messages and returned 1 outcome";
		expect([await failure([null]), await failure({ finishedTo: 1, outcomes: [null] })]).toEqual([mismatch, mismatch]);
	});

	it.each([
		["nothing", undefined, "returns a list of 2 outcomes, or {outcomes?, finishedTo}, not undefined"],
		["null", null, "{outcomes?, finishedTo}, not null"],
		["a number", 7, "{outcomes?, finishedTo}, not a number"],
		["an object without finishedTo", { outcomes: [] }, "{outcomes?, finishedTo}, not an object with outcomes"],
		["an inherited finishedTo", Object.create({ finishedTo: 1 }), "{outcomes?, finishedTo}, not an object"],
		["a finishedTo that is no offset", { finishedTo: 1.5 }, "finishedTo must be an offset or null, not a number"],
		["a finishedTo that is missing", { finishedTo: undefined }, "finishedTo must be an offset or null, not undefined"],
		["outcomes that are no list", { finishedTo: 1, outcomes: "ab" }, "outcomes must be a list, not a string"],
	])("is not %s", async (_, returned, words) => {
		expect(await failure(returned)).toContain(words);
	});

	it("reads no inherited outcomes", async () => {
		const inherited = Object.assign(Object.create({ outcomes: "everybody's" }), { finishedTo: 1 });
		expect(await failure(inherited)).toBeUndefined();
	});
});
