/** Which lanes can't write: what is told of them, once each, and when it is over. */
import { beforeEach, describe, expect, it } from "vitest";
import type { SqlProblem } from "../../../../src/sink/database/sql-faults.ts";
import type { WritingPlace } from "../../../../src/sink/writer/lane.ts";
import { LaneTroubles } from "../../../../src/sink/writer/lane-troubles.ts";
import { layoutOf } from "../../../support/fakes/row-submissions.ts";

const lane = (name: string) => ({ layout: layoutOf({ name }) }) as WritingPlace;
const [first, second, other] = [lane("events"), lane("events"), lane("others")];
const away = { fault: "transient", code: "57P01", message: "it is away" } as SqlProblem;
const full = { fault: "systemic", code: "53100", message: "the disk is full" } as SqlProblem;

let troubles: LaneTroubles;
beforeEach(() => {
	troubles = new LaneTroubles();
});

const told = () => [
	troubles.blocked,
	troubles.stuck,
	troubles.isLaneStuck(first),
	troubles.isLaneStuck(second),
	troubles.isStuck("events"),
];

describe("a lane whose batch fails", () => {
	it("is stuck from the second time in a row on, alone of its table, until some of its rows are written", () => {
		expect(troubles.failed(first, away, 1)).toBe(null);
		expect(told()).toEqual([false, false, false, false, false]);
		expect(troubles.failed(first, away, 2)).toBe("failing");
		expect(told()).toEqual([false, true, true, false, true]);
		expect(troubles.isStuck("others")).toBe(false);
		expect(troubles.progressed(second)).toBe(false);
		expect(troubles.stuck).toBe(true);
		expect(troubles.progressed(first)).toBe(true);
		expect(told()).toEqual([false, false, false, false, false]);
		expect([troubles.progressed(first), troubles.mended(first)]).toEqual([false, false]);
	});

	it("is told once for its table, which is well when the last of its lanes is", () => {
		expect(troubles.failed(first, away, 2)).toBe("failing");
		expect([troubles.failed(first, away, 3), troubles.failed(second, away, 2)]).toEqual([null, null]);
		expect(troubles.failed(other, away, 2)).toBe("failing");
		expect([troubles.mended(first), troubles.progressed(second), troubles.mended(other)]).toEqual([false, true, true]);
		expect(troubles.failed(second, away, 2)).toBe("failing");
	});

	it("is stuck at once where there was no answer, and no more when it is mended", () => {
		troubles.failed(first, { ...away, code: "QUERY_DEADLINE" }, 1);
		expect(troubles.isLaneStuck(first)).toBe(true);
		expect(troubles.mended(first)).toBe(true);
		expect(told()).toEqual([false, false, false, false, false]);
	});

	it.each(["systemic", "connection"] as const)("blocks its table where the fault is %s; each reason is told once", (fault) => {
		expect(troubles.failed(first, { ...full, fault }, 1)).toBe("blocked");
		expect(told()).toEqual([true, true, true, false, true]);
		expect(troubles.failed(second, { ...full, fault }, 1)).toBe(null);
		expect(troubles.failed(other, { ...full, fault }, 1)).toBe("blocked");
		expect(troubles.failed(second, { ...full, fault, message: "another" }, 1)).toBe("blocked");
	});

	it("is told again of a table that was mended, which it is with its last lane", () => {
		for (const each of [first, second, other]) troubles.failed(each, full, 1);
		expect(troubles.mended(first)).toBe(false);
		expect(told()).toEqual([true, true, false, true, true]);
		expect(troubles.mended(second)).toBe(true);
		expect(troubles.mended(second)).toBe(false);
		expect([troubles.blocked, troubles.isStuck("events"), troubles.isStuck("others")]).toEqual([true, false, true]);
		expect(troubles.failed(first, full, 1)).toBe("blocked");
	});

	it("that somebody had to correct is well when neither a correction nor a passing fault is waited for", () => {
		troubles.failed(first, full, 1);
		expect(troubles.failed(second, away, 2)).toBe(null);
		expect([troubles.isBlocked("events"), troubles.isBlocked("others")]).toEqual([true, false]);
		expect(troubles.mended(first)).toBe(false);
		expect([troubles.isBlocked("events"), troubles.isStuck("events")]).toEqual([false, true]);
		expect(troubles.mended(second)).toBe(true);
		expect(troubles.failed(first, full, 1)).toBe("blocked");
	});
});
