/** The notes as one member writes them: it finds out that the database was put back, and raises nothing of such a partition. */
import { beforeEach, describe, expect, it } from "vitest";
import { partitionName, type TopicPartition } from "../../../src/core/messages/message.ts";
import type { NoteChange, PositionNote, StoredNote } from "../../../src/core/offsets/position-note.ts";
import { NoteFence } from "../../../src/sink/offsets/note-fence.ts";
import type { LeastReached, NotedReach, StartTable } from "../../../src/sink/offsets/start-table.ts";
import { settle } from "../../support/fakes/manual-clock.ts";

/** The table in memory: each write is one later than the one before. */
class MemoryNotes {
	notes = new Map<string, StoredNote>();
	isWhole = true;
	writes = 0;
	asked: string[] = [];
	/** Happens as a statement is answered. */
	meanwhile: (what: string) => void = () => {};

	get version(): string {
		return String(++this.writes);
	}

	async read(): Promise<ReadonlyMap<string, StoredNote>> {
		this.asked.push("read");
		return new Map(this.notes);
	}

	async keepsNotes(): Promise<boolean> {
		return this.isWhole;
	}

	async change(changes: readonly NoteChange[]): Promise<TopicPartition[]> {
		this.asked.push(`change ${changes.map(({ partition, note: { start, reached } }) => `${partition}: ${start} ${reached}`).join()}`);
		const stale = changes.filter(
			(change) => (this.notes.get(partitionName(change))?.version ?? null) !== (change.replaces?.version ?? null),
		);
		for (const change of changes)
			if (!stale.includes(change)) this.notes.set(partitionName(change), { note: change.note, version: this.version });
		return stale;
	}

	async reach(positions: readonly LeastReached[]): Promise<ReadonlyMap<string, NotedReach>> {
		this.asked.push(`reach ${positions.map(({ partition, offset }) => `${partition}@${offset}`).join()}`);
		const found = new Map<string, NotedReach>();
		for (const { least, offset, logId = null, ...partition } of positions) {
			const name = partitionName(partition);
			const stored = this.notes.get(name);
			if (!stored) continue;
			const { note, version } = stored;
			const isOther = note.log.id !== null && logId !== null && note.log.id !== logId;
			const isBehind = least !== null && note.reached !== null && (note.reached < least.reached || Number(version) < least.writtenAt);
			if (isOther || isBehind) continue;
			const reached = Math.max(note.reached ?? offset, offset);
			const written = this.version;
			this.notes.set(name, { note: { ...note, reached }, version: written });
			found.set(name, { reached, writtenAt: Number(written) });
		}
		this.meanwhile("reach");
		return found;
	}
}

const at = (partition: number, offset: number, logId: string | null = "log") => ({ topic: "t", partition, offset, logId });
const begun = (start: number): PositionNote => ({ start, assumed: false, log: { id: "log", witness: null }, reached: start, skipped: [] });
const all = { others: [], displaced: [] };
let table: MemoryNotes;
let fence: NoteFence;

beforeEach(() => {
	table = new MemoryNotes();
	fence = new NoteFence(table as unknown as StartTable);
});

const noted = (partition: number) => table.notes.get(`t/${partition}`)?.note;
const backUp = () => {
	const before = new Map(table.notes);
	return () => {
		table.notes = new Map(before);
	};
};

describe("how far partitions came", () => {
	it("is noted, and never back", async () => {
		await fence.change([{ topic: "t", partition: 0, note: begun(3), replaces: null }]);
		expect(await fence.reach([at(0, 9)])).toEqual(all);
		expect(await fence.reach([at(0, 5)])).toEqual(all);
		expect(noted(0)).toMatchObject({ start: 3, assumed: false, reached: 9 });
	});

	it("of a partition of which nothing was noted is noted as its assumed beginning", async () => {
		expect(await fence.reach([at(0, 9), at(1, 4)])).toEqual(all);
		expect([noted(0), noted(1)]).toMatchObject([
			{ start: 9, assumed: true, reached: 9, log: { id: "log" } },
			{ start: 4, assumed: true, reached: 4 },
		]);
	});

	it("is not looked at again where all of it was noted", async () => {
		await fence.reach([at(0, 9)]);
		table.asked = [];
		await fence.reach([at(0, 10)]);
		expect(table.asked).toEqual(["reach 0@10"]);
	});

	it("is not noted where the note is of another log: that partition alone must not be committed", async () => {
		await fence.reach([at(0, 9, "old"), at(1, 4)]);
		expect(await fence.reach([at(0, 2, "new"), at(1, 6)])).toEqual({ others: [at(0, 2, "new")], displaced: [] });
		expect([noted(0)?.reached, noted(1)?.reached]).toEqual([9, 6]);
	});

	it("is of another log too where somebody noted a newer one meanwhile: no database was put back", async () => {
		await fence.reach([at(0, 9), at(1, 9)]);
		for (const partition of [0, 1]) {
			const note = { ...begun(2), log: { id: "newer", witness: null } };
			table.notes.set(`t/${partition}`, { note, version: table.version });
		}
		expect(await fence.reach([at(0, 12)])).toEqual({ others: [at(0, 12)], displaced: [] });
	});

	it("is of no matter where the table holds only beginnings", async () => {
		table.isWhole = false;
		expect(await fence.reach([at(0, 9)])).toEqual(all);
		expect(table.asked).toEqual(["reach 0@9"]);
	});
});

describe("a database that was put back", () => {
	it("is told with the next position: what was noted, and what is there. The note is not raised", async () => {
		await fence.reach([at(0, 9), at(1, 9)]);
		const restore = backUp();
		await fence.reach([at(0, 20), at(1, 9)]);
		restore();
		expect(await fence.reach([at(0, 30)])).toEqual({
			others: [],
			displaced: [{ topic: "t", partition: 0, kind: "changed", expected: 20, found: 9 }],
		});
		expect(noted(0)?.reached).toBe(9);
	});

	it("is told where a note says as much as before, and was written earlier", async () => {
		await fence.reach([at(0, 9)]);
		const restore = backUp();
		await fence.reach([at(0, 9)]);
		restore();
		expect((await fence.reach([at(0, 9)])).displaced).toEqual([{ topic: "t", partition: 0, kind: "changed", expected: 9, found: 9 }]);
	});

	it("is told where a note is gone; the group's beginning is noted again, and no further", async () => {
		await fence.change([{ topic: "t", partition: 0, note: begun(3), replaces: null }]);
		await fence.reach([at(0, 9)]);
		table.notes.clear();
		expect(await fence.reach([at(0, 12)])).toEqual({
			others: [],
			displaced: [{ topic: "t", partition: 0, kind: "gone", expected: 9, found: null }],
		});
		expect(noted(0)).toMatchObject({ start: 3, reached: 3 });
	});

	it("keeps no other partition from being noted", async () => {
		await fence.reach([at(0, 9), at(1, 9)]);
		const restore = backUp();
		await fence.reach([at(0, 20)]);
		restore();
		const { displaced } = await fence.reach([at(0, 30), at(1, 30), at(2, 7)]);
		expect([displaced.map(({ partition }) => partition), noted(1)?.reached, noted(2)?.reached]).toEqual([[0], 30, 7]);
	});

	it("is nobody's matter who had noted nothing", async () => {
		await fence.reach([at(0, 9)]);
		const restore = backUp();
		await fence.reach([at(0, 20)]);
		restore();
		const other = new NoteFence(table as unknown as StartTable);
		expect(await other.reach([at(0, 15)])).toEqual(all);
	});
});

describe("a look", () => {
	it("finds what was put back, and writes the notes of the others anew", async () => {
		await fence.reach([at(0, 9), at(1, 4)]);
		const restore = backUp();
		await fence.reach([at(0, 20)]);
		restore();
		const before = Number(table.notes.get("t/1")?.version);
		expect(await fence.compare([at(0, 0), at(1, 0)])).toEqual([{ topic: "t", partition: 0, kind: "changed", expected: 20, found: 9 }]);
		expect(Number(table.notes.get("t/1")?.version)).toBeGreaterThan(before);
	});

	it("finds nothing where all is as it was noted, of partitions that are asked for alone", async () => {
		await fence.reach([at(0, 9), at(1, 4)]);
		table.notes.delete("t/1");
		expect(await fence.compare([at(0, 0)])).toEqual([]);
	});

	it("asks the database even where nothing has come yet, and of no partition nobody", async () => {
		expect(await fence.compare([])).toEqual([]);
		expect(table.asked).toEqual([]);
		expect(await fence.compare([at(0, 0)])).toEqual([]);
		expect(table.asked).toEqual(["read"]);
	});

	it("takes no offset that this member sets back meanwhile for a database that was put back", async () => {
		await fence.reach([at(0, 9)]);
		let answerChange = () => {};
		const isAnswered = new Promise<void>((resolve) => (answerChange = resolve));
		// The change is in the table before the look, and is answered behind the look's first statement.
		let asked = 0;
		table.keepsNotes = async () => {
			if (++asked === 2) await isAnswered;
			return true;
		};
		const { read } = table;
		table.read = async () => {
			answerChange();
			await settle();
			return read.call(table);
		};
		const replaces = table.notes.get("t/0") as StoredNote;
		const changed = fence.change([{ topic: "t", partition: 0, note: { ...begun(2), reached: 4 }, replaces }]);
		expect([await fence.compare([at(0, 0)]), await changed]).toEqual([[], []]);
	});

	it("takes a log that took the other's place for no database that was put back", async () => {
		await fence.reach([at(0, 9, "old")]);
		table.notes.set("t/0", { note: { ...begun(0), log: { id: "new", witness: null } }, version: table.version });
		expect(await fence.compare([at(0, 0)])).toEqual([]);
	});
});

describe("a note that is changed", () => {
	it("is what is compared with from then on", async () => {
		await fence.reach([at(0, 9)]);
		const replaces = table.notes.get("t/0") as StoredNote;
		expect(await fence.change([{ topic: "t", partition: 0, note: { ...begun(2), reached: 4 }, replaces }])).toEqual([]);
		expect(await fence.reach([at(0, 5)])).toEqual(all);
		expect(noted(0)?.reached).toBe(5);
	});

	it("by somebody else meanwhile is told, and what was noted before counts", async () => {
		await fence.reach([at(0, 9)]);
		const replaces = table.notes.get("t/0") as StoredNote;
		await fence.reach([at(0, 10)]);
		expect(await fence.change([{ topic: "t", partition: 0, note: begun(2), replaces }])).toMatchObject([{ partition: 0 }]);
		table.notes.set("t/0", { note: { ...begun(0), reached: 4 }, version: table.version });
		expect((await fence.reach([at(0, 11)])).displaced).toMatchObject([{ expected: 10, found: 4 }]);
	});

	it("to one that says nothing of how far it came is not compared", async () => {
		await fence.reach([at(0, 9)]);
		const replaces = table.notes.get("t/0") as StoredNote;
		await fence.change([{ topic: "t", partition: 0, note: { ...begun(2), reached: null }, replaces }]);
		table.notes.set("t/0", { note: begun(1), version: "0" });
		expect(await fence.reach([at(0, 3)])).toEqual(all);
	});
});
