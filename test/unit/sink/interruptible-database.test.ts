import { expect, it } from "vitest";
import { interruptible } from "../../../src/sink/comparison/interruptible-database.ts";
import type { Database } from "../../../src/sink/database/database.ts";

const never = () => new Promise<never>(() => {});

/** A database that gives one page and no answer. */
const silent: Database = {
	query: never,
	transaction: never,
	async *stream() {
		yield [{ id: "a" }];
		await never();
	},
	async close() {},
};

it("an interrupt ends the wait for an answer, for a page, and what is asked afterwards", async () => {
	const interrupt = new AbortController();
	const database = interruptible(silent, interrupt.signal);
	const pages: unknown[] = [];
	const streamed = (async () => {
		for await (const page of database.stream("select", 1)) pages.push(page);
	})();
	const asked = database.query("select");
	const changing = database.transaction([]);
	await new Promise(setImmediate);
	const reason = new Error("SIGINT");
	interrupt.abort(reason);
	await expect(asked).rejects.toBe(reason);
	await expect(changing).rejects.toBe(reason);
	await expect(streamed).rejects.toBe(reason);
	expect(pages).toEqual([[{ id: "a" }]]);
	await expect(database.query("select")).rejects.toBe(reason);
	await expect(database.transaction([])).rejects.toBe(reason);
	await expect(database.stream("select", 1)[Symbol.asyncIterator]().next()).rejects.toBe(reason);
});

it("what nobody interrupts is as it was", async () => {
	const rows = [{ id: "a" }];
	const database = interruptible(
		{
			...silent,
			query: async () => rows,
			async *stream() {
				yield rows;
				yield rows;
			},
		},
		new AbortController().signal,
	);
	const pages: unknown[] = [];
	for await (const page of database.stream("select", 1)) pages.push(page);
	expect([await database.query("select"), pages]).toEqual([rows, [rows, rows]]);
});

it("nothing is asked of the server after an interrupt", async () => {
	const asked: string[] = [];
	const ask = (what: string) => async () => {
		asked.push(what);
		return [];
	};
	const stream = async function* () {
		asked.push("stream");
		yield [];
	};
	const interrupt = AbortSignal.abort(new Error("SIGINT"));
	const database = interruptible({ ...silent, query: ask("query"), transaction: ask("transaction"), stream } as Database, interrupt);
	await expect(database.query("select")).rejects.toThrow("SIGINT");
	await expect(database.transaction([])).rejects.toThrow("SIGINT");
	await expect(database.stream("select", 1)[Symbol.asyncIterator]().next()).rejects.toThrow("SIGINT");
	expect(asked).toEqual([]);
});
