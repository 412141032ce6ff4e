/** What a handler is given and what becomes of what it returns, in a real thread: also the handlers that need no code. */
import { describe, expect, it } from "vitest";
import type { ReceivedMessage } from "../../src/core/messages/message.ts";
import { events, received, runAll, type ThreadOptions, threadFor } from "../support/fakes/real-thread.ts";
import { columnOf, columnsOf, idsOf } from "../support/fakes/row-blocks.ts";

async function outcomeOf(source: string | null, messages: readonly ReceivedMessage[], options: ThreadOptions = {}) {
	await using real = await threadFor(source, options);
	const started = await real.thread.start();
	if (!started.ok) throw new Error(started.failure.message);
	const reply = await runAll(real.thread, messages);
	if (!reply.ok) throw new Error(reply.failure.message);
	return reply.outcome;
}

/** A handler that gives back what it was given, as JSON. */
const echo = `
	const shown = (bytes) => bytes === null ? null : Buffer.isBuffer(bytes) ? bytes.toString("hex") : "no buffer";
	export function handleMessage({ topic, partition, offset, key, value, ts, tsType, headers }) {
		const doc = { topic, partition, offset, key: shown(key), value: value?.length > 100 ? value.length : shown(value), ts, tsType,
			headers: headers.map(([name, content]) => [name, shown(content)]) };
		return { id: String(offset), fields: { doc } };
	}`;

describe("a message in the thread", () => {
	it("is Kaffe's map, with null told from empty, and headers in order with duplicates", async () => {
		const headers: [string, Buffer | null][] = [
			["a", Buffer.from("1")],
			["ä", null],
			["a", Buffer.alloc(0)],
		];
		const messages = [
			received(10, { key: null, value: null }),
			received(11, { key: "", value: "" }),
			received(12, { key: Buffer.from([0xff, 0x00]), value: Buffer.from([0]), headers }),
			received(13, { key: "k", value: Buffer.alloc(1_000_000, 120) }),
		];
		const outcome = await outcomeOf(echo, messages);
		const base = { topic: "orders", partition: 2, tsType: "undefined", headers: [] };
		expect(columnOf(outcome.blocks[0], 2).map((doc) => JSON.parse(doc ?? ""))).toEqual([
			{ ...base, offset: 10, ts: 1_010, key: null, value: null },
			{ ...base, offset: 11, ts: 1_011, key: "", value: "" },
			{
				...base,
				offset: 12,
				ts: 1_012,
				key: "ff00",
				value: "00",
				headers: [
					["a", "31"],
					["ä", null],
					["a", ""],
				],
			},
			{ ...base, offset: 13, ts: 1_013, key: "6b", value: 1_000_000 },
		]);
	});

	it("is handed over in order, and an async handler is awaited before the next", async () => {
		const source = `
			let running = 0;
			export async function handleMessage({ offset }) {
				if (++running > 1) throw new Error("two at once");
				await new Promise((resolve) => setTimeout(resolve, offset % 2));
				running--;
				return { id: "one", fields: { name: String(offset) } };
			}`;
		const outcome = await outcomeOf(
			source,
			[0, 1, 2, 3, 4].map((offset) => received(offset)),
		);
		expect(columnOf(outcome.blocks[0], 0)).toEqual(["0", "1", "2", "3", "4"]);
	});
});

describe("handler.concurrency", () => {
	const sleepy = `
		const running = new Map();
		let most = 0;
		export async function handleMessage({ offset, key, value }) {
			const name = key === null ? "none" : key.toString();
			if (key !== null && running.has(name)) throw new Error("two of one key at once");
			running.set(name, offset);
			most = Math.max(most, running.size);
			await new Promise((resolve) => setTimeout(resolve, Number(value)));
			running.delete(name);
			return { id: name, fields: { name: String(offset), doc: most } };
		}`;

	it("lets messages of different keys overlap, and never two of one", async () => {
		const messages = Array.from({ length: 12 }, (_, i) => received(i, { key: `k${i % 3}`, value: String((i * 7) % 5) }));
		const outcome = await outcomeOf(sleepy, messages, { concurrency: 8 });
		const [block] = outcome.blocks;
		expect(Math.max(...columnOf(block, 2).map(Number))).toBe(3);
		for (const key of ["k0", "k1", "k2"]) {
			const order = columnOf(block, 0)
				.filter((_, row) => idsOf(block)[row] === key)
				.map(Number);
			expect(order).toEqual([...order].sort((left, right) => left - right));
		}
		expect([outcome.from, outcome.to, outcome.counts.row]).toEqual([0, 12, 12]);
	});

	it("tells what is left when one fails", async () => {
		const source = `
			export async function handleMessage({ offset }) {
				await new Promise((resolve) => setTimeout(resolve, offset === 1 ? 5 : 20));
				if (offset === 1) throw new Error("boom");
			}`;
		await using real = await threadFor(source, { concurrency: 3 });
		await real.thread.start();
		const reply = await runAll(
			real.thread,
			[0, 1, 2, 3, 4].map((offset) => received(offset)),
		);
		expect(reply).toMatchObject({
			ok: false,
			failed: 1,
			failure: { message: "boom" },
			outcome: { from: 0, to: 3, handled: [0, 2] },
		});
	});

	it("is refused for handleMessages", async () => {
		await using real = await threadFor("export const handleMessages = () => [];", { concurrency: 2 });
		expect(await real.thread.start()).toMatchObject({
			ok: false,
			failure: { message: expect.stringContaining("handler.concurrency is 2, which is for handleMessage") },
		});
	});
});

describe("an outcome", () => {
	it("may be nothing, a row, a list of rows, a delete, or a rejection, each counted", async () => {
		const source = `
			export const handleMessages = async (batch) => [
				undefined,
				null,
				{ id: 1, fields: { name: "a" } },
				[{ id: 2n, fields: {} }, { id: "3", fields: { name: "c" } }],
				{ id: "4", delete: true },
				{ reject: "no" },
				[],
				...["5", "6", "7"].map((id) => ({ id, delete: true })),
			].slice(0, batch.length);`;
		const outcome = await outcomeOf(
			source,
			[0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map((offset) => received(offset)),
		);
		expect(outcome.counts).toEqual({ row: 2, delete: 4, none: 3, rejected: 1 });
		expect(outcome.rejected).toEqual([{ message: 5, why: "no" }]);
		const [block] = outcome.blocks;
		expect([idsOf(block), [...(block?.messages ?? [])], [...(block?.deletes ?? [])]]).toEqual([
			["1", "2", "3", "4", "5", "6", "7"],
			[2, 3, 3, 4, 7, 8, 9],
			[0, 0, 0, 1, 1, 1, 1],
		]);
		expect(columnOf(block, 0)).toEqual(["a", null, "c", null, null, null, null]);
	});

	it("may finish messages later", async () => {
		const source = "export const handleMessages = (batch) => ({ finishedTo: batch[0].offset });";
		expect(await outcomeOf(source, [received(5), received(6)])).toMatchObject({ finished: { from: 0, to: 5 }, from: 0, to: 2 });
		expect(await outcomeOf("export const handleMessages = () => ({ finishedTo: null });", [received(5)])).toMatchObject({
			finished: { from: 0, to: null },
		});
	});

	it("that its table can't hold is that message's fault, and the others go", async () => {
		const source = `
			export const handleMessage = ({ offset }) => [
				{ id: "a" + offset, fields: { name: offset === 1 ? "nul \\0" : "good" } },
				{ id: "b" + offset, fields: { name: "good" } },
			];`;
		const outcome = await outcomeOf(source, [received(0), received(1), received(2)]);
		expect(idsOf(outcome.blocks[0])).toEqual(["a0", "b0", "b1", "a2", "b2"]);
		expect(outcome.faults).toMatchObject([{ message: 1, fault: { table: "events", rowId: "a1", sqlstate: "22021" } }]);
	});
});

describe("pockaffe:json", () => {
	const json = (messages: readonly ReceivedMessage[], options: unknown = {}, tables = [events]) =>
		outcomeOf(null, messages, { module: "pockaffe:json", options, tables });

	it("takes fields as columns, paths too, and the key as the id", async () => {
		const outcome = await json([received(0, { value: '{"name":"a","price":{"amount":5},"doc":{"x":[1]}}' })]);
		expect(idsOf(outcome.blocks[0])).toEqual(["key-0"]);
		expect(columnsOf(outcome.blocks[0])).toEqual([["a"], ["5"], ['{"x":[1]}']]);
	});

	it("takes the field that options.id names as the id", async () => {
		const values = ['{"order":"A-1"}', '{"order":12345678901234567890}', "{}", '{"order":{}}'];
		const outcome = await json(
			values.map((value, offset) => received(offset, { value })),
			{ id: "order" },
		);
		expect(idsOf(outcome.blocks[0])).toEqual(["A-1", "12345678901234567890"]);
		expect(outcome.rejected.map(({ message }) => message)).toEqual([2, 3]);
	});

	it("never rounds a number", async () => {
		const numbers = ["9007199254740993", "123456789012345678901234567890", "1e400", "0.1000000000000000055", "-0"];
		const values = numbers.map((number) => `{"price":{"amount":${number}},"doc":{"n":${number}}}`);
		const outcome = await json(values.map((value, offset) => received(offset, { value })));
		expect(columnOf(outcome.blocks[0], 1)).toEqual(numbers);
		expect(columnOf(outcome.blocks[0], 2)).toEqual(numbers.map((number) => `{"n":${number}}`));
	});

	it("takes an integer however it is spelt, and leaves what is none to the server", async () => {
		const numbers = ["1.0", "1e3", "-20E-1", "0.0", "1.5", "1e-1", "1e19", '"1.0"'];
		const outcome = await json(numbers.map((number, offset) => received(offset, { value: `{"price":{"amount":${number}}}` })));
		expect(columnOf(outcome.blocks[0], 1)).toEqual(["1", "1000", "-2", "0", "1.5", "1e-1", "1e19", "1.0"]);
	});

	it("takes a path to the id, which a column may take too", async () => {
		const outcome = await json(
			['{"name":"a","price":{"id":7,"amount":5}}', '{"name":"b","price":{}}', '{"name":"c","price":[]}'].map((value, offset) =>
				received(offset, { value }),
			),
			{ id: "price.id" },
		);
		expect([idsOf(outcome.blocks[0]), columnsOf(outcome.blocks[0])]).toEqual([["7"], [["a"], ["5"], [null]]]);
		expect(outcome.rejected.map(({ why }) => why)).toEqual(Array(2).fill("the field price.id is missing or is no id"));
		expect(outcome.warnings).toEqual([]);
		const named = await json([received(0, { value: '{"name":"a"}' })], { id: "name" });
		expect([idsOf(named.blocks[0]), columnOf(named.blocks[0], 0)]).toEqual([["a"], ["a"]]);
	});

	it("rejects an object of something else, and takes an empty one", async () => {
		const values = ['{"schema":{"type":"struct"},"payload":{"name":"secret"}}', "{}", '{"name":null,"payload":1}'];
		const outcome = await json(values.map((value, offset) => received(offset, { value })));
		expect(outcome.rejected).toEqual([
			{
				message: 0,
				why: 'the object has none of the fields that columns of events are read from ("name", "price", "doc"), it has "schema", "payload": a column\'s from is a path, e.g. payload.name',
			},
		]);
		expect(outcome.rows).toBe(2);
	});

	it("ignores unknown fields with one warning", async () => {
		const outcome = await json([0, 1, 2].map((offset) => received(offset, { value: '{"name":"a","colour":"red","size":3}' })));
		expect(outcome.rows).toBe(3);
		expect(outcome.warnings).toEqual([expect.stringMatching(/colour.*ignored/)]);
	});

	it("deletes by a null value, and rejects what is no object without quoting it", async () => {
		const values = [null, "", "secret", "[1]", '"secret"', "5", "null", Buffer.from([0xff])];
		const outcome = await json(values.map((value, offset) => received(offset, { value })));
		expect([...(outcome.blocks[0]?.deletes ?? [])]).toEqual([1]);
		expect(outcome.rejected.map(({ message }) => message)).toEqual([1, 2, 3, 4, 5, 6, 7]);
		expect(JSON.stringify(outcome.rejected)).not.toContain("secret");
	});

	it("does not reach into prototypes", async () => {
		const outcome = await json([received(0, { value: '{"__proto__":{"name":"x"},"constructor":1,"doc":null}' })]);
		expect(columnOf(outcome.blocks[0], 0)).toEqual([null]);
	});

	it("refuses options it doesn't know", async () => {
		await expect(json([received(0)], { ids: "order" })).rejects.toThrow("there is no option ids");
	});
});

describe("pockaffe:log", () => {
	it("makes no row", async () => {
		const outcome = await outcomeOf(null, [received(0)], { module: "pockaffe:log" });
		expect([outcome.blocks, outcome.counts.none]).toEqual([[], 1]);
	});
});
