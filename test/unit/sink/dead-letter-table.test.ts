/** How letters are tried against a database that the test plays. */
import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import type { DeadLetter } from "../../../src/core/dead-letters/dead-letter.ts";
import type { Database, StatementLimits } from "../../../src/sink/database/database.ts";
import { DeadLetterTable } from "../../../src/sink/dead-letters/dead-letter-table.ts";
import { deadLetter } from "../../support/fakes/dead-letters.ts";
import { ManualClock } from "../../support/fakes/manual-clock.ts";

const never = new AbortController().signal;
const large = Buffer.alloc(3 * 2 ** 20, "v");
const hashOf = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

interface Stored {
	readonly offset: number;
	readonly value: string | null;
	readonly omitted: DeadLetter["omitted"] | null;
}

/** A table on a database whose statements `refuse` may fail with a code. */
async function tableWith(
	refuse: (bytes: number, attempt: number) => string | null,
	columns: readonly string[] = ["refused_rows", "omitted"],
) {
	const clock = new ManualClock();
	const stored: Stored[] = [];
	const limits: (StatementLimits | undefined)[] = [];
	let attempts = 0;
	const query = async (text: string, parameters: readonly (string | null)[] = [], limit?: StatementLimits) => {
		if (text.includes("pg_attribute")) return [{ found: columns.includes(parameters[1] as string) }];
		if (!text.startsWith("insert")) return [{ found: text.includes("to_regclass") }];
		limits.push(limit);
		const [document, value] = parameters as [string, string | null];
		const code = refuse(document.length + (value?.length ?? 0), ++attempts);
		if (code) throw Object.assign(new Error(code), { code });
		const letters: Stored[] = JSON.parse(document);
		for (const letter of letters) stored.push({ ...letter, value: value ?? letter.value });
		return letters.map(() => ({ stored: 1 }));
	};
	const database = { query } as unknown as Database;
	const table = new DeadLetterTable({ database, table: "letters", consumerGroup: "g", version: "1", clock, random: () => 1 });
	await table.prepare();
	const cut: string[] = [];
	table.on("letter:cut", ({ letter, why }) => cut.push(`${letter.offset} ${Object.keys(letter.omitted)} ${why}`));
	const store = async (letter: DeadLetter) => {
		let isDone = false;
		const done = table.store(letter, never).then(() => (isDone = true));
		for (let waits = 0; waits < 30 && !isDone; waits++) await clock.advance(5_000);
		expect(isDone).toBe(true);
		await done;
	};
	return { store, stored, limits, cut, attempts: () => attempts };
}

it("a large value goes beside the document, and has its time", async () => {
	const table = await tableWith(() => null);
	await table.store(deadLetter({ value: large }));
	await table.store(deadLetter({ offset: 8 }));
	const values = table.stored.map(({ value }) => Buffer.from(value as string, "base64"));
	expect([values[0]?.equals(large), String(values[1])]).toEqual([true, "value"]);
	// The key counts, too.
	expect(table.limits).toEqual([{ statementTimeoutMs: 30_000 + 3 * 2 ** 10 + 1 }, undefined]);
});

it.each(["57014", "53200", "54000", "XX000", "08P01", "QUERY_DEADLINE", "CONNECTION_CLOSED"])(
	"a letter that the server fails at three times (%s) goes in without its value, with size and hash",
	async (code) => {
		const table = await tableWith((bytes) => (bytes > 2 ** 20 ? code : null));
		await table.store(deadLetter({ value: large }));
		expect(table.stored).toMatchObject([{ value: null, omitted: { value: { bytes: large.length, sha256: hashOf(large) } } }]);
		expect([table.attempts(), table.cut]).toEqual([4, [expect.stringMatching(`^7 value .*${code}`)]]);
	},
);

it("one that the client can't send goes in without its value at once", async () => {
	const table = await tableWith((bytes) => (bytes > 2 ** 20 ? "ERR_STRING_TOO_LONG" : null));
	await table.store(deadLetter({ value: large }));
	expect([table.attempts(), table.cut.length]).toEqual([2, 1]);
});

it.each(["42501", "53100", "57014"])("a large letter waits whole where the database fails at everything (%s)", async (code) => {
	const table = await tableWith((_, attempt) => (attempt < 10 ? code : null));
	await table.store(deadLetter({ value: large }));
	expect([table.stored.map(({ omitted }) => omitted), table.cut]).toEqual([[null], []]);
});

it("a table without a column for what is left out gets letters whole or not at all", async () => {
	const table = await tableWith((bytes, attempt) => (bytes > 2 ** 20 && attempt < 9 ? "57014" : null), ["refused_rows"]);
	await table.store(deadLetter({ value: large }));
	expect([table.attempts(), table.cut]).toEqual([9, []]);
});
