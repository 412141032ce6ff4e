import { describe, expect, it } from "vitest";
import { NOTES_REFUSED, type ReachedPosition } from "../../../src/core/offsets/position-note.ts";
import { StartRecorder } from "../../../src/sink/offsets/start-recorder.ts";
import type { NotesKept } from "../../../src/sink/offsets/start-table.ts";

const partition = { topic: "t", partition: 0 };
const position = { ...partition, offset: 5 };
const all = { others: [], displaced: [] };

/** A table that holds so much, and what its next calls fail with. */
function recording(kept: NotesKept, ...failures: string[]) {
	return recorderOf(kept, failures);
}

function recorderOf(kept: NotesKept, failures: string[], { preparesFirst = false, unprepared = 0 } = {}) {
	const calls: string[] = [];
	const told: string[] = [];
	const call = async (what: string) => {
		calls.push(what);
		const code = failures.shift();
		if (code !== undefined) throw Object.assign(new Error("no"), { code });
	};
	const recorder = new StartRecorder({
		table: {
			name: "pockaffe_offsets_start",
			prepare: async () => {
				calls.push("prepare");
				if (unprepared-- > 0) throw Object.assign(new Error("away"), { code: "ECONNREFUSED" });
				return kept;
			},
			read: () => call("read").then(() => new Map()),
			change: () => call("change").then(() => []),
			reach: (positions: readonly ReachedPosition[]) => call(`reach ${positions.map(({ offset }) => offset)}`).then(() => all),
			compare: async () => [],
			forget: () => call("forget"),
			hold: () => call("hold"),
		},
		notRecorded: (message) => told.push(message),
		preparesFirst,
	});
	return { recorder, calls, told };
}

describe("a daemon's notes", () => {
	it("are made before they are first read: a table that nobody tried to make looks like one that can't be made", async () => {
		const { recorder, calls, told } = recorderOf("notes", [], { preparesFirst: true, unprepared: 1 });
		await expect(recorder.read()).rejects.toMatchObject({ code: "ECONNREFUSED" });
		await recorder.read();
		await recorder.reach([position]);
		expect([calls, told]).toEqual([["prepare", "prepare", "read", "reach 5"], []]);
	});

	it("are said to be missing, once, where they can't be made", async () => {
		const { recorder, told } = recorderOf("none", [], { preparesFirst: true });
		await recorder.read();
		await recorder.reach([position]);
		expect(told).toEqual([expect.stringContaining("pockaffe_offsets_start can't be created, or lacks columns")]);
	});

	it("are only read by a command that changes nothing", async () => {
		const { recorder, calls } = recorderOf("notes", []);
		await recorder.read();
		expect(calls).toEqual(["read"]);
	});
});

describe("what is noted of positions", () => {
	it.each(["ECONNREFUSED", "57P01", "40001", "25006"])("is waited for while the database is away (%s)", async (code) => {
		const { recorder, calls, told } = recording("notes", code);
		await expect(recorder.reach([position])).rejects.toMatchObject({ code });
		expect(await recorder.reach([position])).toEqual(all);
		expect([calls, told]).toEqual([["reach 5", "reach 5"], []]);
	});

	it("is waited for where a table that holds notes refuses one: left behind it would look as if it had been restored", async () => {
		const { recorder, told } = recording("notes", "42501", "42501");
		await expect(recorder.reach([position])).rejects.toMatchObject({
			code: NOTES_REFUSED,
			message: expect.stringMatching(/42501.*grant select, insert, update on pockaffe_offsets_start/),
		});
		expect(told).toEqual([]);
	});

	it("goes into a table that was dropped and is made again", async () => {
		const { recorder, calls, told } = recording("notes", "42P01");
		expect(await recorder.reach([position])).toEqual(all);
		expect([calls, told]).toEqual([["reach 5", "prepare", "reach 5"], []]);
	});

	it.each<[NotesKept, string]>([
		["none", "42P01"],
		["starts", "42703"],
	])("is done without where the table can hold none (%s), and that is told once", async (kept, code) => {
		const { recorder, told } = recording(kept, code, code, code, code);
		expect(await recorder.reach([position])).toEqual(all);
		expect(await recorder.read()).toEqual(new Map());
		expect(told).toEqual([expect.stringContaining("pockaffe_offsets_start")]);
	});

	it("is refused where somebody else changed it since it was read: the start is resolved anew", async () => {
		const { recorder } = recording("notes");
		const note = { start: 0, assumed: false, log: { id: null, witness: null }, reached: 0, skipped: [] };
		const table = {
			name: "n",
			prepare: async () => "notes" as const,
			read: async () => new Map(),
			reach: async () => all,
			compare: async () => [],
			forget: async () => {},
			hold: async () => {},
		};
		const late = new StartRecorder({ table: { ...table, change: async () => [partition] }, notRecorded: () => {} });
		await recorder.begin([{ ...partition, note, replaces: null }]);
		await expect(late.begin([{ ...partition, note, replaces: null }])).rejects.toMatchObject({ code: "note_changed" });
	});

	it("of nothing asks nobody", async () => {
		const { recorder, calls } = recording("notes");
		await recorder.begin([]);
		await recorder.reach([]);
		await recorder.forget([]);
		expect(calls).toEqual([]);
	});
});
