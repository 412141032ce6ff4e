import { describe, expect, it } from "vitest";
import { seededRandom } from "../../../../src/core/random.ts";
import { messagesOf, type RowMessage } from "../../../support/fakes/message-submissions.ts";
import { columnOf, layoutOf } from "../../../support/fakes/row-submissions.ts";
import { failingAt, memoryWriter } from "../../../support/postgres/memory-database.ts";

const layouts = [
	layoutOf({ name: "lines", columns: [columnOf("of", "text")] }),
	layoutOf({ name: "notes", columns: [columnOf("line", "text")] }),
	layoutOf({ name: "orders", columns: [columnOf("code", "text")] }),
];
const constraints = {
	unique: [["orders", "code"]],
	references: [
		[["lines", "of"], "orders"],
		[["notes", "line"], "lines"],
	],
} as const;

/** A writer whose lines wait for their orders, which come from another partition. */
function scene(waitMs: number | null = 60_000, over = {}) {
	const waits = new Map(waitMs === null ? [] : [["lines", waitMs]]);
	const made = memoryWriter(layouts, constraints, { waits, random: seededRandom(1), ...over });
	const told: string[] = [];
	made.writer.on("parents:awaited", ({ id, rows }) => told.push(`${rows} from ${id}`));
	made.writer.on("parents:settled", () => told.push("over"));
	const submit = (messages: readonly RowMessage[], partition = 0) => {
		const submission = messagesOf(layouts, messages, { partition, lanes: 1 });
		made.writer.write(submission);
		return submission;
	};
	return { ...made, told, submit };
}

const line = (offset: number, of: string | null, id = `l${offset}`): RowMessage => ({
	offset,
	rows: [{ table: "lines", id, values: [of] }],
});
const note = (offset: number, of: string): RowMessage => ({ offset, rows: [{ table: "notes", id: `n${offset}`, values: [of] }] });
const order = (offset: number, id: string, code: string | null = null): RowMessage => ({
	offset,
	rows: [{ table: "orders", id, values: [code] }],
});
const orders = (count: number, from = 0) => Array.from({ length: count }, (_, i) => order(from + i, `o${from + i}`));
const lines = (count: number, from = 0) => Array.from({ length: count }, (_, i) => line(from + i, `o${from + i}`));

describe("a row whose parent comes from another partition", () => {
	it("is refused where its table does not wait", async () => {
		const { clock, submit } = scene(null);
		const submission = submit([line(0, "o1")]);
		await clock.advance(10_000);
		expect(submission.refusals).toHaveLength(1);
	});

	it("waits for it, keeps nobody else waiting, and goes in behind it", async () => {
		const { clock, database, writer, submit, told } = scene();
		submit(orders(1), 1);
		const first = submit([line(0, "o0"), line(1, "o1"), line(2, "o0")]);
		await clock.advance(20_000);
		expect([first.settledOffsets, first.refusals]).toEqual([[0, 2], []]);
		const second = submit([line(3, "o0"), line(4, "o0")]);
		await clock.advance(20);
		expect(second.settledOffsets).toEqual([3, 4]);
		expect(writer.awaitedParents).toMatchObject([
			{ table: "lines", topic: "t", partition: 0, id: "l1", offset: 1, rows: 1, constraint: "lines_of_fkey", waitMs: 60_000 },
		]);
		// A drain leaves it to the successor; it is in the figures all the same.
		expect([writer.isMoving(first), writer.stuck, writer.queueRows, (writer.oldestAgeMs ?? 0) > 20_000]).toEqual([false, false, 1, true]);
		submit([order(1, "o1")], 1);
		await clock.advance(10_000);
		expect([first.settledOffsets, first.refusals, writer.queueRows, writer.awaitedParents]).toEqual([[0, 2, 1], [], 0, []]);
		expect(database.row("lines", "l1")?.values).toEqual(["o1"]);
		expect(told).toEqual(["1 from l1", "over"]);
	});

	it("is told of after a second, and not where the parent comes before", async () => {
		const { clock, submit, told } = scene();
		submit([line(0, "o0"), line(1, "o1")]);
		await clock.advance(900);
		submit(orders(1), 1);
		await clock.advance(1_200);
		expect(told).toEqual(["1 from l1"]);
	});

	it("is refused when its time is over, not before, and is tried then once more", async () => {
		const { clock, database, writer, submit, told } = scene(10_000);
		const submission = submit([line(0, "o0")]);
		await clock.advance(9_900);
		expect(submission.refusals).toEqual([]);
		const before = database.statements;
		await clock.advance(300);
		expect(submission.refusals).toMatchObject([
			{
				fault: {
					sqlstate: "23503",
					message: expect.stringMatching(/foreign_key_violation.*; the row that it refers to did not come within 10000 ms$/),
				},
			},
		]);
		expect([database.statements - before > 0, writer.queueRows, writer.awaitedParents, told]).toEqual([true, 0, [], ["1 from l0", "over"]]);
	});

	it("goes in where its parent comes at the last moment", async () => {
		const { clock, submit } = scene(100_000);
		const submission = submit([line(0, "o0")]);
		await clock.advance(99_900);
		submit(orders(1), 1);
		await clock.advance(1_000);
		expect([submission.settledOffsets, submission.refusals]).toEqual([[0], []]);
	});

	it("is tried ever more rarely", async () => {
		const { clock, database, submit } = scene(3_600_000);
		submit([line(0, "o0")]);
		await clock.advance(600_000);
		expect(database.statements).toBeGreaterThan(100);
		expect(database.statements).toBeLessThan(400);
	});

	it("is not refused for what a database that is away could not say", async () => {
		const { clock, database, submit } = scene(10_000);
		const submission = submit([line(0, "o0")]);
		await clock.advance(5_000);
		database.meets = () => {
			throw Object.assign(new Error("no"), { code: "57P03", severity: "ERROR" });
		};
		await clock.advance(60_000);
		expect(submission.refusals).toEqual([]);
		database.tables.get("orders")?.set("o0", { id: "o0", values: [null], deleted: false, timestamp: 0, offset: 0, partition: 1 });
		database.meets = () => {};
		await clock.advance(20_000);
		expect([submission.settledOffsets, submission.refusals]).toEqual([[0], []]);
	});

	it("is nobody's any more when its partition goes", async () => {
		const { clock, writer, submit } = scene();
		const submission = submit([line(0, "o0")]);
		await clock.advance(5_000);
		submission.release();
		expect([writer.awaitedParents, writer.queueRows]).toEqual([[], 0]);
		await clock.advance(10_000);
		expect([submission.refusals, submission.settledOffsets]).toEqual([[], []]);
	});
});

describe("what comes of its partition while it waits", () => {
	it("a newer row of its id stands for it", async () => {
		const { clock, database, submit } = scene();
		const first = submit([line(0, "missing", "l")]);
		await clock.advance(2_000);
		const second = submit([line(1, null, "l")]);
		await clock.advance(20_000);
		expect([first.settledOffsets, second.settledOffsets, first.refusals]).toEqual([[0], [1], []]);
		expect(database.row("lines", "l")).toMatchObject({ values: [null], offset: 1 });
	});

	it("a newer row of its id that asks for the same waits with it, and is what stands in the end", async () => {
		const { clock, database, submit } = scene();
		const both = [0, 1].map((offset) => submit([line(offset, "o9", "l")]));
		await clock.advance(2_000);
		submit([order(0, "o9")], 1);
		await clock.advance(20_000);
		expect(both.map(({ settledOffsets, refusals }) => [settledOffsets.length, refusals.length])).toEqual([
			[1, 0],
			[1, 0],
		]);
		expect(database.row("lines", "l")?.offset).toBe(1);
	});

	it("a row that it stands in the way of waits with it, though its own table does not", async () => {
		const { clock, submit } = scene();
		const submission = submit([line(0, "o0"), note(1, "l0")]);
		await clock.advance(20_000);
		expect(submission.refusals).toEqual([]);
		submit(orders(1), 1);
		await clock.advance(20_000);
		expect([submission.settledOffsets.length, submission.refusals]).toEqual([2, []]);
	});

	it("and is refused with it where it never comes", async () => {
		const { clock, submit, writer } = scene(10_000);
		const submission = submit([line(0, "o0"), note(1, "l0")]);
		await clock.advance(20_000);
		expect(submission.refusals.map(({ offset }) => offset)).toEqual([0, 1]);
		expect([submission.refusals[1]?.fault.message.includes("did not come"), writer.queueRows]).toEqual([false, 0]);
	});

	it("one that is locked does not keep it from its turn, and nobody is refused", async () => {
		const { clock, database, writer, submit } = scene();
		const submission = submit(lines(3));
		await clock.advance(2_000);
		database.meets = failingAt("l1", "55P03");
		submit(orders(3), 1);
		await clock.advance(60_000);
		expect([submission.settledOffsets.sort(), submission.refusals, writer.stuckRows.map(({ id }) => id)]).toEqual([[0, 2], [], ["l1"]]);
		database.meets = () => {};
		await clock.advance(60_000);
		expect([submission.settledOffsets.length, writer.queueRows]).toEqual([3, 0]);
	});
});

describe("children by the thousand whose parents come later", () => {
	it("cost a few statements a try, and go in in batches", async () => {
		const { clock, database, writer, submit } = scene(3_600_000);
		const runs = [0, 1_000, 2_000].map((from) => submit(lines(1_000, from)));
		await clock.advance(1_000);
		const before = database.statements;
		await clock.advance(30_000);
		expect([writer.queueRows, writer.awaitedParents[0]?.rows]).toEqual([3_000, 3_000]);
		expect(database.statements - before).toBeLessThan(1_500);
		submit(orders(3_000), 1);
		await clock.advance(30_000);
		expect(runs.map(({ settledOffsets, refusals }) => [settledOffsets.length, refusals.length])).toEqual([
			[1_000, 0],
			[1_000, 0],
			[1_000, 0],
		]);
		expect(writer.queueRows).toBe(0);
	});

	it("those whose parents never come keep no other from its turn, and are all refused in time", async () => {
		const { clock, submit } = scene(120_000);
		const orphans = Array.from({ length: 300 }, (_, i) => line(i, `none${i}`));
		const submission = submit([...orphans, ...lines(50, 300)]);
		await clock.advance(5_000);
		submit(orders(50, 300), 1);
		await clock.advance(110_000);
		expect([submission.settledOffsets.length, submission.refusals.length]).toEqual([50, 0]);
		await clock.advance(60_000);
		expect(submission.refusals).toHaveLength(300);
	});
});
