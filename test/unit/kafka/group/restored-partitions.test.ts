import { describe, expect, it } from "vitest";
import type { PositionNote, StoredNote } from "../../../../src/core/offsets/position-note.ts";
import { RestoredPartitions } from "../../../../src/kafka/group/restored-partitions.ts";
import { ManualClock } from "../../../support/fakes/manual-clock.ts";

const orders = { topic: "orders", partition: 1 };
const noted = (over: Partial<PositionNote> = {}): StoredNote => ({
	note: { start: 0, assumed: false, log: { id: null, witness: null }, reached: 50, skipped: [], ...over },
	version: "1",
});
const restored = { from: 30, to: 50 };

function open() {
	const notes = new Map<string, StoredNote>();
	const assigned = new Set(["orders/1"]);
	const partitions = new RestoredPartitions({
		clock: new ManualClock(),
		notes: { read: async () => notes },
		isAssigned: (name) => assigned.has(name),
	});
	const started = (over: Partial<PositionNote> = {}) => {
		const stored = noted(over);
		notes.set("orders/1", stored);
		partitions.started({ ...orders, note: { ...orders, note: stored.note, replaces: null } });
	};
	return { notes, assigned, partitions, started };
}

describe("partitions whose database is older than the group's offset", () => {
	it("are those that begin so, until they begin otherwise", () => {
		const { partitions, started } = open();
		started({ restored });
		expect(partitions.all).toMatchObject([{ ...orders, ...restored }]);
		started();
		expect(partitions.all).toEqual([]);
	});

	it("are no more where somebody took it off the note", async () => {
		const { partitions, started, notes } = open();
		started({ restored });
		await partitions.look();
		expect(partitions.all).toHaveLength(1);
		notes.set("orders/1", noted());
		await partitions.look();
		expect(partitions.all).toEqual([]);
	});

	it("are told by who has them", () => {
		const { partitions, started, assigned } = open();
		started({ restored });
		assigned.clear();
		expect(partitions.all).toEqual([]);
	});
});
