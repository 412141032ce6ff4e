/** What stands in the way of a daemon: the problems of all its parts, each with its place. */
import { expect, it } from "vitest";
import { daemonProblems } from "../../../src/daemon/daemon-problems.ts";
import { ManualClock } from "../../support/fakes/manual-clock.ts";

const place = (partition: number) => ({ topic: "orders", partition });
/** The clock shows 100 s: a row that waits since 70 s waits long. */
const stuck = { ...place(4), table: "events", id: "7", offset: 3, sqlstate: "55P03", message: "locked", hint: null, sinceMs: 4 };

function problems({ parked = null as object | null, awaitedSinceMs = 70_001 } = {}) {
	const loop = { code: "crash_loop", message: "2 failures", sinceMs: 1 };
	const child = { ...place(1), child: { troubles: [loop] }, parked };
	const awaited = { ...place(5), table: "lines", id: "8", offset: 9, constraint: null, waitMs: 60_000, sinceMs: awaitedSinceMs, rows: 1 };
	return daemonProblems({
		delivery: {
			supervisor: { children: new Map([["orders/1", child]]) },
			restored: { all: [{ ...place(3), from: 10, to: 25, sinceMs: 3 }] },
			writer: { stuckRows: [stuck], awaitedParents: [awaited] },
			problems: [{ code: "commits_failing", where: null, message: "no commits", sinceMs: 2 }],
		},
		stallDetector: { stalls: [{ code: "parked", where: place(6), message: "it stands", sinceMs: 6 }] },
		stuckThreads: { problems: [{ code: "thread_stuck", where: null, message: "a thread", sinceMs: 7 }] },
		parts: { clock: new ManualClock(100_000) },
	} as never);
}

it("are those of every part, each with its partition", () => {
	expect(problems()).toEqual([
		{ code: "commits_failing", where: null, message: "no commits", sinceMs: 2 },
		{ code: "crash_loop", where: place(1), message: "2 failures", sinceMs: 1 },
		{ code: "row_stuck", where: place(4), message: expect.stringContaining("locked"), sinceMs: 4 },
		{ code: "parked", where: place(6), message: "it stands", sinceMs: 6 },
		{ code: "table_restored", where: place(3), message: expect.stringContaining("Rows of offsets 10 to 24"), sinceMs: 3 },
		{ code: "thread_stuck", where: null, message: "a thread", sinceMs: 7 },
	]);
});

it("include a partition that is parked at its position, beside what its worker says", () => {
	const parked = { code: "out_of_range", message: "outside the log", sinceMs: 9 };
	expect(problems({ parked }).slice(1, 3)).toEqual([
		{ code: "crash_loop", where: place(1), message: "2 failures", sinceMs: 1 },
		{ code: "parked", where: place(1), message: "outside the log", sinceMs: 9 },
	]);
});

it("include rows that have waited long for their parents", () => {
	expect(problems({ awaitedSinceMs: 70_000 }).map(({ code, where }) => [code, where])).toContainEqual(["parent_missing", place(5)]);
});
