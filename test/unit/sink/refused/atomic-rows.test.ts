import { describe, expect, it } from "vitest";
import { seededRandom } from "../../../../src/core/random.ts";
import type { WrittenFact } from "../../../../src/sink/writer/writing.ts";
import { type MessageRow, messagesOf, type RowMessage } from "../../../support/fakes/message-submissions.ts";
import { columnOf, layoutOf } from "../../../support/fakes/row-submissions.ts";
import { failingAt, memoryWriter } from "../../../support/postgres/memory-database.ts";

const layouts = [
	layoutOf({ name: "lines", columns: [columnOf("of", "text")] }),
	layoutOf({ name: "orders", columns: [columnOf("code", "text")] }),
	layoutOf({ name: "customers", columns: [columnOf("name", "text")] }),
];
const constraints = {
	unique: [["orders", "code"]],
	references: [
		[["lines", "of"], "orders"],
		[["orders", "code"], "customers"],
	],
} as const;

/** Orders and lines land together; customers are like any other table. */
function scene(
	over = {},
	held: Parameters<typeof memoryWriter>[1] = { references: [constraints.references[0]], unique: constraints.unique },
) {
	const atomic = new Set(["lines", "orders"]);
	const made = memoryWriter(layouts, held, { atomic, random: seededRandom(1), ...over });
	const counts = { rows: 0, refused: 0 };
	made.writer.on("batch:written", ({ rows, coalesced, refused }: WrittenFact) => {
		counts.rows += rows + coalesced;
		counts.refused += refused;
	});
	const submit = (messages: readonly RowMessage[], partition = 0) => {
		const submission = messagesOf(layouts, messages, { partition, lanes: 1 });
		made.writer.write(submission);
		return submission;
	};
	const ids = (table: string) => [...(made.database.tables.get(table)?.keys() ?? [])].sort();
	return { ...made, counts, submit, ids };
}

const line = (id: string, of: string | null): MessageRow => ({ table: "lines", id, values: [of] });
const order = (id: string, code: string | null = null): MessageRow => ({ table: "orders", id, values: [code] });
/** An order with two lines, children first. */
const whole = (offset: number, id = `o${offset}`): RowMessage => ({ offset, rows: [line(`${id}-1`, id), line(`${id}-2`, id), order(id)] });
const wholes = (count: number, from = 0) => Array.from({ length: count }, (_, i) => whole(from + i));

describe("the rows of one message in tables that ask for it", () => {
	it("land in one transaction, many messages at a time, children before parents as they come", async () => {
		const { clock, database, submit, counts, writer } = scene();
		const submission = submit(wholes(100));
		let partial = 0;
		for (let i = 0; i < 100; i++) {
			await clock.advance(1);
			const orders = database.tables.get("orders")?.size ?? 0;
			if ((database.tables.get("lines")?.size ?? 0) !== 2 * orders) partial++;
		}
		expect([partial, submission.settledOffsets.length, submission.refusals, counts]).toEqual([0, 300, [], { rows: 300, refused: 0 }]);
		expect(database.transactions).toBeLessThan(4);
		const before = database.transactions;
		await clock.advance(10);
		submit(wholes(100, 100));
		await clock.advance(100);
		// Which table comes first was found out once.
		expect([database.transactions - before, database.tables.get("lines")?.size, writer.queueRows]).toEqual([1, 400, 0]);
	});

	it("are told by table, each with its share of the transaction's time", async () => {
		const { clock, submit, writer } = scene();
		submit(wholes(1));
		await clock.advance(10);
		const told: unknown[] = [];
		writer.on("batch:written", ({ table, rows, inserted, durationMs }) => told.push([table, rows, inserted, durationMs]));
		submit(wholes(1, 1));
		await clock.advance(10);
		// A transaction takes 2 ms.
		expect(told).toEqual([
			["orders", 1, 1, 1],
			["lines", 2, 2, 1],
		]);
	});

	it("are refused together where one of them is, and everything else goes in", async () => {
		const { clock, database, submit, counts, ids } = scene();
		database.meets = failingAt("o5-2", "22003");
		const submission = submit(wholes(20));
		await clock.advance(1_000);
		expect(submission.refusals.map(({ offset, fault }) => [offset, fault.table, fault.rowId, fault.sqlstate, fault.message])).toEqual([
			[5, "lines", "o5-2", "22003", expect.stringContaining("SQLSTATE 22003")],
			[5, "lines", "o5-1", "25P02", "not written, because another row of its message is refused (tables.lines.atomic)"],
			[5, "orders", "o5", "25P02", "not written, because another row of its message is refused (tables.lines.atomic)"],
		]);
		expect([submission.settledOffsets.length, counts]).toEqual([57, { rows: 57, refused: 3 }]);
		expect([ids("orders").includes("o5"), ids("lines").filter((id) => id.startsWith("o5-"))]).toEqual([false, []]);
	});

	it("leave older versions where they were, for a message that is refused stands for nobody", async () => {
		const { clock, database, submit } = scene();
		database.meets = failingAt("bad", "22003");
		const submission = submit([
			{ offset: 0, rows: [order("o", "first")] },
			{ offset: 1, rows: [order("o", "second"), line("bad", "o")] },
		]);
		await clock.advance(1_000);
		expect([submission.settledOffsets, submission.refusals.map(({ offset }) => offset)]).toEqual([[0], [1, 1]]);
		expect(database.row("orders", "o")?.values).toEqual(["first"]);
	});

	it("are not refused for being stale", async () => {
		const { clock, database, submit } = scene();
		submit([{ offset: 9, rows: [order("o", "newer")] }], 1);
		await clock.advance(100);
		const submission = submit([{ offset: 3, rows: [order("o", "older"), line("l", "o")] }]);
		await clock.advance(100);
		expect([submission.settledOffsets, submission.refusals]).toEqual([[3, 3], []]);
		expect([database.row("orders", "o")?.values, database.row("lines", "l")?.values]).toEqual([["newer"], ["o"]]);
	});

	it("take over unique values in the log's order", async () => {
		const { clock, database, submit } = scene();
		submit([{ offset: 0, rows: [order("z", "code"), line("lz", "z")] }]);
		await clock.advance(100);
		const submission = submit([
			{ offset: 1, rows: [order("z", null)] },
			{ offset: 2, rows: [order("a", "code"), line("la", "a")] },
			{ offset: 3, rows: [order("a", null), order("b", "code")] },
		]);
		await clock.advance(1_000);
		expect([submission.settledOffsets.length, submission.refusals]).toEqual([5, []]);
		expect(["z", "a", "b"].map((id) => database.row("orders", id)?.values[0])).toEqual([null, null, "code"]);
	});

	it("that only rows of an illegal log stand in the way of are refused, and say so", async () => {
		const { clock, submit, writer } = scene();
		const submission = submit([whole(0), { offset: 1, rows: [order("o1"), line("l", "nobody")] }, whole(2)]);
		await clock.advance(10_000);
		expect(submission.refusals.map(({ offset, fault }) => [offset, fault.rowId, fault.sqlstate])).toEqual([
			[1, "l", "23503"],
			[1, "o1", "25P02"],
		]);
		expect(submission.refusals[0]?.fault.message).toContain("also after everything earlier of its partition was written");
		expect([submission.settledOffsets.length, writer.queueRows]).toEqual([6, 0]);
	});
});

describe("a message that alone does not go in", () => {
	it.each(["55P03", "XX000", "P0002"])("%s: all others go in, and all of its rows by and by", async (code) => {
		const { clock, database, submit, writer, ids } = scene();
		database.meets = failingAt("o5-1", code);
		const submission = submit(wholes(20));
		await clock.advance(60_000);
		expect([submission.settledOffsets.length, submission.refusals, ids("orders").includes("o5")]).toEqual([57, [], false]);
		expect(writer.stuckRows).toMatchObject([{ table: "lines", id: "o5-1", offset: 5, rows: 3, sqlstate: code }]);
		expect([writer.isMoving(submission), writer.stuck, writer.queueRows]).toEqual([false, false, 3]);
		const second = submit(wholes(20, 20));
		await clock.advance(100);
		expect(second.settledOffsets).toHaveLength(60);
		database.meets = () => {};
		await clock.advance(60_000);
		expect([submission.settledOffsets.length, writer.queueRows, writer.stuckRows]).toEqual([60, 0, []]);
	});

	it("57014: one that is slow by itself neither", async () => {
		const { clock, database, submit } = scene();
		database.meets = failingAt("o5-1", "57014");
		const submission = submit(wholes(8));
		await clock.advance(60_000);
		expect([submission.settledOffsets.length, submission.refusals]).toEqual([21, []]);
		const second = submit(wholes(8, 20));
		await clock.advance(5_000);
		expect(second.settledOffsets).toHaveLength(24);
	});

	it("keeps those from being refused that wait for its rows", async () => {
		const { clock, database, submit } = scene();
		database.meets = failingAt("o5", "55P03");
		const submission = submit([...wholes(8), { offset: 8, rows: [line("late", "o5")] }]);
		await clock.advance(60_000);
		expect([submission.settledOffsets.length, submission.refusals]).toEqual([21, []]);
		database.meets = () => {};
		await clock.advance(60_000);
		expect([submission.settledOffsets.length, submission.refusals]).toEqual([25, []]);
	});

	it("is forgotten when its partition goes", async () => {
		const { clock, database, submit, writer } = scene();
		database.meets = failingAt("o0", "XX000");
		const submission = submit([whole(0)]);
		await clock.advance(10_000);
		expect(writer.stuckRows).toHaveLength(1);
		submission.release();
		expect([writer.stuckRows, writer.queueRows]).toEqual([[], 0]);
		await clock.advance(20_000);
		expect(submission.settledOffsets).toEqual([]);
	});
});

it.each(["55P03", "XX000", "42P01", "57P03"])("%s at all of them: nobody is to blame, and they wait", async (code) => {
	const { clock, database, submit, writer } = scene();
	database.meets = () => {
		throw Object.assign(new Error("no"), { code, severity: "ERROR" });
	};
	const submission = submit(wholes(50));
	await clock.advance(300_000);
	expect([submission.settledOffsets, submission.refusals, writer.stuckRows]).toEqual([[], [], []]);
	expect([writer.isStuck("lines") || writer.isStuck("orders"), writer.isMoving(submission)]).toEqual([true, false]);
	expect(database.transactions).toBeLessThan(700);
	database.meets = () => {};
	await clock.advance(20_000);
	expect([submission.settledOffsets.length, writer.stuck, writer.blocked]).toEqual([150, false, false]);
});

describe("messages that wait for a parent from elsewhere", () => {
	it("go in whole behind it where their table waits, by the hundred", async () => {
		const { clock, database, submit, writer, ids } = scene({
			waits: new Map([["lines", 600_000]]),
			atomic: new Set(["lines", "customers"]),
		});
		const messages = Array.from(
			{ length: 300 },
			(_, i): RowMessage => ({
				offset: i,
				rows: [line(`l${i}`, `o${i}`), { table: "customers", id: `c${i}`, values: ["n"] }],
			}),
		);
		const submission = submit(messages);
		await clock.advance(60_000);
		expect([ids("customers"), submission.refusals, writer.awaitedParents[0]?.rows]).toEqual([[], [], 600]);
		const before = database.transactions;
		submit(
			messages.map((_, i) => ({ offset: i, rows: [order(`o${i}`)] })),
			1,
		);
		await clock.advance(60_000);
		expect([submission.settledOffsets.length, submission.refusals, writer.queueRows]).toEqual([600, [], 0]);
		expect(database.transactions - before).toBeLessThan(20);
	});

	it("are not refused for what a database that is away could not say, and that is told", async () => {
		const { clock, database, submit, writer } = scene({ waits: new Map([["lines", 10_000]]) });
		const submission = submit([{ offset: 0, rows: [line("l", "o1"), order("o0")] }]);
		await clock.advance(5_000);
		database.meets = () => {
			throw Object.assign(new Error("no"), { code: "57P03", severity: "FATAL" });
		};
		const before = database.statements;
		await clock.advance(60_000);
		expect([submission.refusals, writer.isStuck("lines") || writer.isStuck("orders"), writer.stuckRows]).toEqual([[], true, []]);
		expect(database.statements - before).toBeLessThan(150);
		database.tables.get("orders")?.set("o1", { id: "o1", values: [null], deleted: false, timestamp: 0, offset: 0, partition: 1 });
		database.meets = () => {};
		await clock.advance(20_000);
		expect([submission.settledOffsets, submission.refusals, writer.stuck]).toEqual([[0, 0], [], false]);
	});

	it("are refused whole when its time is over", async () => {
		const { clock, submit, ids } = scene({ waits: new Map([["lines", 10_000]]) });
		const submission = submit([{ offset: 0, rows: [line("l", "missing"), order("o")] }]);
		await clock.advance(9_500);
		expect(submission.refusals).toEqual([]);
		await clock.advance(1_000);
		expect([submission.refusals.map(({ fault }) => fault.rowId), ids("orders")]).toEqual([["l", "o"], []]);
		expect(submission.refusals[0]?.fault.message).toContain("did not come within 10000 ms");
	});
});

it("wait for rows of other tables of their partition that are under way", async () => {
	const { clock, database, submit } = scene({}, { references: constraints.references });
	let isBlocked = true;
	database.meets = (table) => {
		if (table === "customers" && isBlocked) throw Object.assign(new Error("no"), { code: "57P03", severity: "ERROR" });
	};
	const submission = submit([
		{ offset: 0, rows: [{ table: "customers", id: "c", values: ["n"] }] },
		{ offset: 1, rows: [order("o", "c"), line("l", "o")] },
	]);
	await clock.advance(20_000);
	expect(submission.refusals).toEqual([]);
	isBlocked = false;
	await clock.advance(20_000);
	expect([submission.settledOffsets.length, submission.refusals]).toEqual([3, []]);
});
