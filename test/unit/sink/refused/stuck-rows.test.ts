import { describe, expect, it } from "vitest";
import { seededRandom } from "../../../../src/core/random.ts";
import type { WrittenFact } from "../../../../src/sink/writer/writing.ts";
import { messagesOf } from "../../../support/fakes/message-submissions.ts";
import { columnOf, layoutOf, submissionOf } from "../../../support/fakes/row-submissions.ts";
import { failingAt, memoryWriter } from "../../../support/postgres/memory-database.ts";

const ids = (from: number, count: number) => Array.from({ length: count }, (_, i) => `id-${String(from + i).padStart(4, "0")}`);
const rowsOf = (names: readonly string[], firstOffset = 0) => names.map((id, i) => ({ id, offset: firstOffset + i, values: [id, null] }));

/** A writer of one table, in one lane. */
function scene() {
	const made = memoryWriter([layoutOf()], {}, { maxRows: 100, random: seededRandom(1) });
	const retried: string[] = [];
	const counts = { rows: 0, refused: 0 };
	made.writer.on("write:retried", ({ sqlstate }) => retried.push(sqlstate));
	made.writer.on("batch:written", ({ rows, coalesced, refused }: WrittenFact) => {
		counts.rows += rows + coalesced;
		counts.refused += refused;
	});
	const submit = (names: readonly string[], firstOffset = 0) => {
		const submission = submissionOf(layoutOf(), rowsOf(names, firstOffset));
		made.writer.write(submission);
		return submission;
	};
	return { ...made, retried, counts, submit };
}

describe("a row that alone meets an error for which its table would wait", () => {
	it.each(["55P03", "XX000", "40P01", "40001", "P0002", "42883", "53000"])(
		"%s: all others go in, and it goes on by itself",
		async (code) => {
			const { clock, database, writer, submit, counts } = scene();
			database.meets = failingAt("id-0042", code);
			const first = submit(ids(0, 100));
			await clock.advance(60_000);
			expect(first.settledOffsets).toHaveLength(99);
			const second = submit(ids(100, 100), 100);
			await clock.advance(1_000);
			expect(second.settledOffsets).toHaveLength(100);
			expect(writer.stuckRows).toMatchObject([{ table: "events", id: "id-0042", offset: 42, rows: 1, sqlstate: code }]);
			expect([writer.stuck, writer.blocked, writer.isMoving({ topic: "t", partition: 0 })]).toEqual([false, false, false]);
			expect([writer.queueRows, writer.oldestAgeMs]).toEqual([1, 61_000]);
			database.meets = () => {};
			await clock.advance(60_000);
			expect(first.settledOffsets).toHaveLength(100);
			expect([first.refusedOffsets.size, writer.queueRows, writer.stuckRows, counts]).toEqual([0, 0, [], { rows: 200, refused: 0 }]);
		},
	);

	it("takes along what comes of its id later, which is not tried with others", async () => {
		const { clock, database, writer, submit } = scene();
		database.meets = failingAt("id-0001", "XX000");
		const first = submit(ids(0, 4));
		await clock.advance(60_000);
		const before = database.refusals;
		const second = submit(ids(0, 4), 10);
		await clock.advance(20);
		expect([second.settledOffsets.length, database.refusals - before]).toEqual([3, 0]);
		expect(writer.stuckRows).toMatchObject([{ offset: 0 + 1, rows: 2 }]);
		database.meets = () => {};
		await clock.advance(60_000);
		expect([first.settledOffsets.length, second.settledOffsets.length]).toEqual([4, 4]);
		expect(database.row("events", "id-0001")?.offset).toBe(11);
	});
});

it("stuck rows are told once for their partition, with the first of them and how many they are; again where that or the reason changes", async () => {
	const { clock, database, writer, submit } = scene();
	const told: unknown[] = [];
	for (const event of ["rows:stuck", "rows:unstuck"] as const)
		writer.on(event, ({ id, offset, rows, sqlstate }) => told.push([event, id, offset, rows, sqlstate]));
	let stuck: Record<string, string> = { "id-0042": "XX000", "id-0007": "XX000", "id-0099": "XX000" };
	database.meets = (table, rows) => {
		for (const { id } of rows) failingAt(id, stuck[id] ?? "")(table, stuck[id] === undefined ? [] : rows);
	};
	submit(ids(0, 100));
	await clock.advance(120_000);
	const before = told.length;
	await clock.advance(120_000);
	expect([told.length, told.at(-1)]).toEqual([before, ["rows:stuck", "id-0007", 7, 3, "XX000"]]);
	stuck = { ...stuck, "id-0007": "P0002" };
	await clock.advance(120_000);
	stuck = { "id-0042": "P0002" };
	await clock.advance(120_000);
	stuck = {};
	await clock.advance(120_000);
	expect(told.slice(before)).toEqual([
		["rows:stuck", "id-0007", 7, 3, "P0002"],
		["rows:stuck", "id-0042", 42, 1, "P0002"],
		["rows:unstuck", "id-0042", 42, 1, "P0002"],
	]);
});

describe("rows that all meet it", () => {
	it.each(["55P03", "XX000", "42P01"])("%s: it is the table's matter, nobody is stuck and nobody refused", async (code) => {
		const { clock, database, writer, submit, retried } = scene();
		database.meets = () => {
			throw Object.assign(new Error("no"), { code, severity: "ERROR" });
		};
		const submission = submit(ids(0, 100));
		await clock.advance(600_000);
		expect([writer.stuckRows, submission.settledOffsets, writer.isStuck("events")]).toEqual([[], [], true]);
		expect(new Set(retried)).toEqual(new Set([code]));
		// The search for single rows becomes rare where it finds none.
		expect(database.refusals).toBeLessThan(700);
		database.meets = () => {};
		await clock.advance(60_000);
		expect([submission.settledOffsets.length, writer.isStuck("events")]).toEqual([100, false]);
	});

	it("what waits behind a few of them is tried with them, to find out whether it is they", async () => {
		const { clock, database, writer, submit } = scene();
		database.meets = failingAt("bad", "P0002");
		const first = submit(["bad"]);
		await clock.advance(1_000);
		expect([writer.blocked, writer.stuckRows]).toEqual([true, []]);
		const second = submit(ids(0, 10), 10);
		await clock.advance(60_000);
		expect([second.settledOffsets.length, writer.blocked, writer.stuckRows.length]).toEqual([10, false, 1]);
		database.meets = () => {};
		await clock.advance(60_000);
		expect(first.settledOffsets).toEqual([0]);
	});

	it("an error that ended the session is nobody's row", async () => {
		const { clock, database, writer, submit } = scene();
		database.meets = () => {
			throw Object.assign(new Error("no"), { code: "57P01", severity: "FATAL" });
		};
		submit(ids(0, 100));
		await clock.advance(60_000);
		expect(writer.stuckRows).toEqual([]);
		// Never taken apart: as many statements as tries.
		expect(database.statements).toBeLessThan(60);
	});
});

it("hundreds of stuck rows are all found, have their turn each, and take no more than their share of the time", async () => {
	const { clock, database, writer, submit } = scene();
	const locked = new Set(ids(0, 300).filter((_, i) => i % 3 === 0));
	database.meets = (_, rows) => {
		if (rows.some(({ id }) => locked.has(id))) throw Object.assign(new Error("no"), { code: "XX000", severity: "ERROR" });
	};
	const submissions = [0, 100, 200].map((from) => submit(ids(from, 100), from));
	await clock.advance(60_000);
	expect(submissions.flatMap(({ settledOffsets }) => settledOffsets)).toHaveLength(200);
	expect(writer.stuckRows).toMatchObject([{ offset: 0, rows: 100 }]);
	// Ninety of them are free by and by.
	for (const id of [...locked].slice(10)) locked.delete(id);
	await clock.advance(200_000);
	expect(submissions.flatMap(({ settledOffsets }) => settledOffsets)).toHaveLength(290);
	locked.clear();
	await clock.advance(60_000);
	expect(submissions.flatMap(({ settledOffsets }) => settledOffsets)).toHaveLength(300);
});

it("a child whose parent is stuck is not refused for that", async () => {
	const layouts = [layoutOf({ name: "lines", columns: [columnOf("of", "text")] }), layoutOf({ name: "orders", columns: [] })];
	const { clock, database, writer } = memoryWriter(layouts, { references: [[["lines", "of"], "orders"]] });
	database.meets = failingAt("o3", "55P03");
	const messages = Array.from({ length: 6 }, (_, i) => ({
		offset: i,
		rows: [
			{ table: "lines", id: `l${i}`, values: [`o${i}`] },
			{ table: "orders", id: `o${i}` },
		],
	}));
	const submission = messagesOf(layouts, messages, { lanes: 1 });
	writer.write(submission);
	await clock.advance(600_000);
	expect([submission.refusals, submission.settledOffsets.length, writer.stuckRows.map(({ id }) => id)]).toEqual([[], 10, ["o3"]]);
	database.meets = () => {};
	await clock.advance(60_000);
	expect([submission.refusals, submission.settledOffsets.length, writer.queueRows]).toEqual([[], 12, 0]);
});

it("rows that step aside for each other wait for a lock as long as it takes, and are not refused for it", async () => {
	const people = layoutOf({ name: "people", columns: [columnOf("email", "text")] });
	const { clock, database, writer } = memoryWriter([people], { unique: [["people", "email"]] });
	const told = (offset: number, id: string, email: string) => ({ offset, rows: [{ table: "people", id, values: [email] }] });
	writer.write(messagesOf([people], [told(0, "a", "1"), told(1, "b", "2")], { lanes: 1 }));
	await clock.advance(1_000);
	let locked = 0;
	database.meets = (_, rows) => {
		if (!rows.some(({ deleted }) => deleted) || ++locked > 5) return;
		throw Object.assign(new Error("no"), { code: "55P03", severity: "ERROR" });
	};
	// What `b` had in between is taken already when it would need it.
	const messages = [told(2, "b", "between"), told(3, "a", "2"), told(4, "b", "1"), told(5, "c", "between")];
	const submission = messagesOf([people], messages, { lanes: 1 });
	writer.write(submission);
	await clock.advance(60_000);
	expect([locked, submission.refusals, submission.settledOffsets.length, writer.queueRows]).toEqual([6, [], 4, 0]);
	expect(["a", "b", "c"].map((id) => database.row("people", id)?.values)).toEqual([["2"], ["1"], ["between"]]);
});

it.each([1, 4])("a row that is slow by itself (57014) leaves what comes later alone, with %i rows in its batch", async (count) => {
	const { clock, database, writer, submit } = scene();
	database.meets = failingAt("id-0000", "57014");
	const first = submit(ids(0, count));
	await clock.advance(60_000);
	expect(first.settledOffsets).toHaveLength(count - 1);
	const second = submit(ids(100, 10), 100);
	await clock.advance(60_000);
	expect(second.settledOffsets).toHaveLength(10);
	expect(writer.stuckRows).toMatchObject([{ id: "id-0000", sqlstate: "57014" }]);
	database.meets = () => {};
	await clock.advance(60_000);
	expect([first.settledOffsets.length, writer.queueRows]).toEqual([count, 0]);
});
