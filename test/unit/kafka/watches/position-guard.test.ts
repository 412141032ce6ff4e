import { describe, expect, it } from "vitest";
import type { NoteChange, PositionNote, StoredNote } from "../../../../src/core/offsets/position-note.ts";
import type { LogBounds, OutOfRangePolicy } from "../../../../src/kafka/starts/start-decision.ts";
import { type GuardedPosition, PositionGuard } from "../../../../src/kafka/watches/position-guard.ts";
import { ManualClock, settle } from "../../../support/fakes/manual-clock.ts";

type Partition = { -readonly [K in keyof GuardedPosition]: GuardedPosition[K] };

/** Partitions at these positions, in logs with these bounds. */
function guarding(policy: OutOfRangePolicy, logs: readonly (readonly [position: number, bounds: LogBounds])[]) {
	const clock = new ManualClock();
	const stopped = new AbortController();
	const told: string[] = [];
	const partitions = logs.map(([position], partition): Partition => ({ topic: "t", partition, epoch: 1, position, parked: false }));
	const bounds = logs.map(([, each]) => ({ ...each }));
	const scene = {
		clock,
		stopped,
		told,
		partitions,
		bounds,
		notes: [] as PositionNote[],
		former: null as StoredNote | null,
		/** What happens while identities are looked at. */
		dropOtherLogs: async () => {},
		/** What the poll under way brings before a partition can be fetched from elsewhere. */
		lastPoll: () => {},
		noteFails: 0,
		/** Whose notes fail so often. */
		failsFor: (_partition: number) => true,
		guard: null as unknown as PositionGuard,
	};
	scene.guard = new PositionGuard({
		clock,
		stopped: stopped.signal,
		policy,
		positions: () => partitions.map((each) => ({ ...each })),
		dropOtherLogs: () => scene.dropOtherLogs(),
		watermarks: async ({ partition }) => {
			const found = bounds[partition];
			if (!found) throw new Error("no leader");
			return found;
		},
		notes: {
			owner: "this",
			read: async () => new Map(scene.former ? [["t/0", scene.former]] : []),
			begin: async (changes: readonly NoteChange[]) => {
				if (changes.some(({ partition }) => scene.failsFor(partition)) && scene.noteFails-- > 0) throw new Error("away");
				scene.notes.push(...changes.map(({ note }) => note));
			},
		},
		goOn: ({ partition, epoch }, offset) => {
			const found = partitions.find((each) => each.partition === partition && each.epoch === epoch);
			if (!found) return null;
			Object.assign(found, { position: offset, parked: false });
			told.push(`${partition} goes on at ${offset}`);
			return offset;
		},
		refetch: async ({ partition }, from) => {
			scene.lastPoll();
			const offset = from();
			if (offset !== null) told.push(`${partition} is fetched from ${offset}`);
		},
		park: ({ partition }, { code }) => {
			(partitions[partition] as Partition).parked = true;
			told.push(`${partition} is parked: ${code}`);
		},
		jumped: ({ partition, position, offset, reason, skipped }) => told.push(`${partition} ${position}->${offset} ${reason} ${skipped}`),
	});
	return scene;
}

describe("a position outside its log", () => {
	it.each([
		["park", 3, ["0 is parked: out_of_range"], []],
		[
			"earliest",
			3,
			["0 goes on at 10", "0 3->10 log_begins_after 7", "0 is fetched from 10"],
			[{ from: 3, to: 10, reason: "log_begins_after" }],
		],
		[
			"latest",
			3,
			["0 goes on at 90", "0 3->90 log_begins_after 87", "0 is fetched from 90"],
			[{ from: 3, to: 90, reason: "log_begins_after" }],
		],
		["earliest", 200, ["0 goes on at 10", "0 200->10 log_ends_before 0", "0 is fetched from 10"], []],
		["latest", 200, ["0 goes on at 90", "0 200->90 log_ends_before 0", "0 is fetched from 90"], []],
	] as const)("is found among all when the client says so: %s from %i", async (policy, position, told, skipped) => {
		const scene = guarding(policy, [
			[position, { low: 10, high: 90 }],
			[50, { low: 10, high: 90 }],
			[10, { low: 10, high: 10 }],
		]);
		await scene.guard.lookAtAll();
		await settle();
		expect(scene.told).toEqual(told);
		expect(scene.notes.map((note) => note.skipped)).toEqual(policy === "park" ? [] : [skipped]);
	});

	it("keeps what was noted, and goes back with it where the log lost its end", async () => {
		const hand = { by: "this", began: 12, held: null, deaths: [] };
		const note = { start: 12, assumed: false, log: { id: "a", witness: null }, reached: 150, skipped: [], hand };
		const scene = guarding("latest", [[200, { low: 10, high: 90 }]]);
		scene.former = { note, version: "1" };
		await scene.guard.lookAtAll();
		await settle();
		expect(scene.notes).toEqual([{ ...note, reached: 90 }]);
		scene.notes.length = 0;
		scene.former = { note: { ...note, reached: 2 }, version: "2" };
		Object.assign(scene.partitions[0] as Partition, { position: 3 });
		await scene.guard.lookAtAll();
		await settle();
		expect(scene.notes).toEqual([{ ...note, reached: 2, skipped: [{ from: 3, to: 90, reason: "log_begins_after" }] }]);
	});

	it("means nothing where the log turns out to be another one", async () => {
		const scene = guarding("park", [[200, { low: 0, high: 5 }]]);
		scene.dropOtherLogs = async () => void scene.partitions.splice(0);
		await scene.guard.lookAtAll();
		await settle();
		expect(scene.told).toEqual([]);
	});

	it("is noted before anything behind it is fetched, however long that takes, and the others don't wait", async () => {
		const scene = guarding("earliest", [
			[3, { low: 10, high: 90 }],
			[200, { low: 10, high: 90 }],
		]);
		scene.noteFails = 4;
		scene.failsFor = (partition) => partition === 0;
		await scene.guard.lookAtAll();
		await settle();
		const other = ["1 goes on at 10", "1 200->10 log_ends_before 0", "1 is fetched from 10"];
		expect([scene.told, scene.notes.length]).toEqual([other, 1]);
		await scene.clock.advance(10_000);
		expect(scene.told).toEqual([...other, "0 goes on at 10", "0 3->10 log_begins_after 7", "0 is fetched from 10"]);
		expect(scene.notes.map((note) => note.skipped)).toEqual([[], [{ from: 3, to: 10, reason: "log_begins_after" }]]);
		expect(scene.clock.pending).toEqual([]);
	});

	it("is left to its next owner where the partition is given away before it could be noted", async () => {
		const scene = guarding("earliest", [[3, { low: 10, high: 90 }]]);
		scene.noteFails = 1;
		await scene.guard.lookAtAll();
		await settle();
		Object.assign(scene.partitions[0] as Partition, { epoch: 2 });
		await scene.clock.advance(10_000);
		expect([scene.told, scene.notes]).toEqual([[], []]);
	});

	it.each<[what: string, note: Partial<PositionNote>]>([
		["came to", { reached: 40 }],
		["began with, where a table keeps the offsets", { reached: null, hand: { by: "another", began: 0, held: null, deaths: [] } }],
	])("is not noted over what the partition's next owner %s: this member was given up, and does not know yet", async (_, next) => {
		const scene = guarding("earliest", [[3, { low: 10, high: 90 }]]);
		const note = { start: 0, assumed: false, log: { id: "a", witness: null }, reached: 3, skipped: [], ...next };
		scene.former = { note, version: "1" };
		await scene.guard.lookAtAll();
		await scene.clock.advance(1_000);
		expect([scene.told, scene.notes]).toEqual([[], []]);
		scene.partitions.splice(0);
		await scene.clock.advance(10_000);
		expect([scene.clock.pending, scene.notes]).toEqual([[], []]);
	});

	it("is dealt with once, however often the client says so", async () => {
		const scene = guarding("earliest", [[3, { low: 10, high: 90 }]]);
		scene.noteFails = 2;
		await Promise.all([scene.guard.lookAtAll(), scene.guard.lookAtAll(), scene.guard.look([{ topic: "t", partition: 0 }])]);
		await scene.guard.lookAtAll();
		await scene.clock.advance(10_000);
		expect(scene.told).toEqual(["0 goes on at 10", "0 3->10 log_begins_after 7", "0 is fetched from 10"]);
	});

	it("of what was received meanwhile is the one that counts", async () => {
		const scene = guarding("earliest", [[3, { low: 10, high: 90 }]]);
		scene.dropOtherLogs = async () => void Object.assign(scene.partitions[0] as Partition, { position: 7 });
		await scene.guard.look([{ topic: "t", partition: 0 }]);
		await settle();
		expect(scene.told).toContain("0 7->10 log_begins_after 3");
	});

	it("is looked at again where the poll that was under way brought more of what was fetched before", async () => {
		const scene = guarding("earliest", [[3, { low: 10, high: 90 }]]);
		scene.lastPoll = () => {
			scene.lastPoll = () => {};
			Object.assign(scene.partitions[0] as Partition, { position: 7 });
		};
		await scene.guard.look([{ topic: "t", partition: 0 }]);
		await settle();
		expect(scene.told).toEqual(["0 goes on at 10", "0 7->10 log_begins_after 3", "0 is fetched from 10"]);
	});

	it("can't be told where the broker doesn't answer for that partition", async () => {
		const scene = guarding("earliest", [
			[3, { low: 10, high: 90 }],
			[3, { low: 10, high: 90 }],
		]);
		delete scene.bounds[0];
		await scene.guard.lookAtAll();
		await settle();
		expect(scene.told).toEqual(["1 goes on at 10", "1 3->10 log_begins_after 7", "1 is fetched from 10"]);
	});
});

describe("a partition that stands still", () => {
	it.each([
		["inside its log is fetched anew from where it is", { low: 10, high: 90 }, ["0 goes on at 50", "0 is fetched from 50"]],
		["outside its log is decided on", { low: 60, high: 90 }, ["0 is parked: out_of_range"]],
	])("%s", async (_, bounds, told) => {
		const scene = guarding("park", [[50, bounds]]);
		await scene.guard.fetchAgain({ topic: "t", partition: 0, position: 50 });
		await settle();
		expect(scene.told).toEqual(told);
	});

	it("no more, because messages came meanwhile, is left alone: they would come twice", async () => {
		const scene = guarding("park", [[50, { low: 10, high: 90 }]]);
		await scene.guard.fetchAgain({ topic: "t", partition: 0, position: 49 });
		scene.lastPoll = () => void Object.assign(scene.partitions[0] as Partition, { position: 51 });
		await scene.guard.fetchAgain({ topic: "t", partition: 0, position: 50 });
		await settle();
		expect(scene.told).toEqual([]);
	});
});

describe("a parked partition", () => {
	const partition = { topic: "t", partition: 0 };

	it("is looked at again when somebody wants it to go on: it does where its log has the position by now", async () => {
		const scene = guarding("park", [[200, { low: 10, high: 90 }]]);
		await scene.guard.lookAtAll();
		await scene.guard.decideAgain(partition);
		await settle();
		expect(scene.told).toEqual(["0 is parked: out_of_range", "0 is parked: out_of_range"]);
		Object.assign(scene.bounds[0] as object, { high: 300 });
		await scene.guard.decideAgain(partition);
		await settle();
		expect(scene.told.slice(2)).toEqual(["0 goes on at 200", "0 is fetched from 200"]);
	});

	it("alone is: one that runs is left alone", async () => {
		const scene = guarding("park", [[50, { low: 10, high: 90 }]]);
		await scene.guard.decideAgain(partition);
		await settle();
		expect(scene.told).toEqual([]);
	});

	it("is left alone when the client complains of another one", async () => {
		const scene = guarding("park", [[200, { low: 10, high: 90 }]]);
		await scene.guard.lookAtAll();
		await scene.guard.lookAtAll();
		expect(scene.told).toHaveLength(1);
	});
});
