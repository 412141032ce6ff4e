import { describe, expect, it } from "vitest";
import { NOTES_REFUSED } from "../../../src/core/offsets/position-note.ts";
import { HandKeeper } from "../../../src/sink/offsets/hand-keeper.ts";
import { ManualClock, settle } from "../../support/fakes/manual-clock.ts";

const partition = { topic: "t", partition: 0 };
const evidence = { held: { from: 5, to: 6 }, deaths: [[5, 1]] as const };

/** What was noted; its next calls fail with these codes. */
function keeping(...failures: string[]) {
	const noted: unknown[] = [];
	const clock = new ManualClock();
	const hold = async (changes: readonly unknown[]) => {
		const code = failures.shift();
		if (code !== undefined) throw Object.assign(new Error("no"), { code });
		noted.push(...changes);
	};
	const keeper = new HandKeeper({ owner: "me", hold }, clock);
	keeper.began({ ...partition, offset: 3 });
	return { keeper, noted, clock };
}

describe("a note of what is in hand", () => {
	it("is tried until the database takes it, and names the assignment", async () => {
		const { keeper, noted, clock } = keeping("ECONNREFUSED", "57P01");
		const held = keeper.hold(partition, evidence, new AbortController().signal);
		await settle();
		await clock.advance(100);
		expect(noted).toEqual([]);
		await clock.advance(200);
		await held;
		expect(noted).toEqual([{ ...partition, by: "me", hand: { by: "me", began: 3, ...evidence } }]);
	});

	it("that the database does not allow holds no message up", async () => {
		const { keeper, noted } = keeping(NOTES_REFUSED);
		await keeper.hold(partition, evidence, new AbortController().signal);
		expect(noted).toEqual([]);
	});

	it("is given up with its worker", async () => {
		const { keeper, noted } = keeping("ECONNREFUSED");
		const ended = new AbortController();
		const held = keeper.hold(partition, evidence, ended.signal);
		await settle();
		ended.abort(new Error("stopped"));
		await expect(held).rejects.toThrow("stopped");
		expect(noted).toEqual([]);
	});

	it("of a partition that is given away says so, with what is still suspected, if anything is", async () => {
		const { keeper, noted } = keeping();
		await keeper.release([
			{ ...partition, evidence },
			{ topic: "t", partition: 1, evidence: { held: null, deaths: [] } },
			{ topic: "t", partition: 2, evidence: null },
		]);
		expect(noted).toEqual([
			{ ...partition, by: "me", hand: { by: null, began: 3, ...evidence } },
			{ topic: "t", partition: 1, by: "me", hand: null },
			{ topic: "t", partition: 2, by: "me", hand: null },
		]);
	});

	it("keeps no partition from being given away", async () => {
		const { keeper } = keeping("57P01");
		await keeper.release([{ ...partition, evidence: null }]);
	});
});
