import { describe, expect, it } from "vitest";
import type { TopicPartitionOffset } from "../../src/core/message.ts";
import { type ResolvedStart, StartRecorder } from "../../src/sink/start-recorder.ts";
import { ManualClock, settle } from "../support/manual-clock.ts";

class Noting {
	readonly clock = new ManualClock();
	readonly notes: string[] = [];
	readonly refusals: string[] = [];
	/** What the next calls fail with. */
	failures: string[] = [];
	readonly recorder = new StartRecorder({
		table: { record: (starts) => this.#note("begun", starts), assume: (starts) => this.#note("met", starts) },
		clock: this.clock,
		notRecorded: (message) => this.refusals.push(message),
	});

	async #note(what: string, starts: readonly TopicPartitionOffset[]): Promise<void> {
		const code = this.failures.shift();
		if (code !== undefined) throw Object.assign(new Error("no"), { code });
		this.notes.push(`${what} ${starts.map(({ offset }) => offset).join()}`);
	}
}

function start(from: ResolvedStart["from"], offset: number): ResolvedStart {
	return { topic: "t", partition: 0, offset, from };
}

describe("where a group begins", () => {
	it.each([
		["earliest", "begun 5"],
		["beginning", "begun 5"],
		["latest", "begun 5"],
		["timestamp", "begun 5"],
		["committed", "met 5"],
		// Its table of offsets is new, the group is not: what was noted of its beginning still holds.
		["kafka", "met 5"],
	] as const)("is noted by what was resolved: %s", async (from, note) => {
		const noting = new Noting();
		await noting.recorder.record([start(from, 5)]);
		await settle();
		expect(noting.notes).toEqual([note]);
	});

	it("is waited for where it was chosen: the caller tries again while the database is away", async () => {
		const noting = new Noting();
		noting.failures = ["ECONNREFUSED"];
		await expect(noting.recorder.record([start("latest", 5)])).rejects.toMatchObject({ code: "ECONNREFUSED" });
		await noting.recorder.record([start("latest", 5)]);
		expect(noting.notes).toEqual(["begun 5"]);
	});

	it("is noted beside the work where it was not, however long that takes, in the order of the starts", async () => {
		const noting = new Noting();
		noting.failures = Array.from({ length: 30 }, () => "57P03");
		await noting.recorder.record([start("beginning", 0), start("committed", 7)]);
		await noting.recorder.record([start("committed", 9)]);
		await settle();
		expect(noting.notes).toEqual([]);
		await noting.clock.advance(200_000);
		expect(noting.notes).toEqual(["begun 0", "met 7", "met 9"]);
		expect(noting.refusals).toEqual([]);
	});

	it("is noted once, however often a caller that has to wait for another one comes with it", async () => {
		const noting = new Noting();
		noting.failures = Array.from({ length: 40 }, () => "ECONNREFUSED");
		const [kept, chosen] = [start("committed", 7), { ...start("latest", 5), partition: 1 }];
		for (let i = 0; i < 10; i++) await noting.recorder.record([kept, chosen].map((each) => ({ ...each }))).catch(() => {});
		// Another place in between, and back: the last one has to be the last.
		await noting.recorder.record([start("committed", 3)]);
		await noting.recorder.record([start("committed", 7)]);
		noting.failures = [];
		await noting.clock.advance(10_000);
		expect(noting.notes).toEqual(["met 7", "met 3", "met 7"]);
		await noting.recorder.record([kept]);
		await settle();
		expect(noting.notes).toHaveLength(4);
	});

	it("is told of where the database refuses it, and nothing waits for it", async () => {
		const noting = new Noting();
		noting.failures = ["42501", "42501"];
		await noting.recorder.record([start("latest", 5), start("committed", 5)]);
		await settle();
		expect(noting.refusals).toHaveLength(2);
		expect(noting.clock.pending).toEqual([]);
	});

	it("is given up when the daemon stops", async () => {
		const noting = new Noting();
		noting.failures = Array.from({ length: 100 }, () => "ECONNREFUSED");
		await noting.recorder.record([start("earliest", 5)]);
		await noting.clock.advance(1_000);
		noting.recorder.dispose();
		await settle();
		expect(noting.clock.pending).toEqual([]);
		expect(noting.notes).toEqual([]);
	});
});
