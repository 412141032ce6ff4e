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

/** What is sent to a server that has letters without a topic id, or an earlier key, and fails with these codes one after the other. */
async function sentTo({ codes = [] as (string | null)[], hasNameless = false, inTheWay = 0 } = {}) {
	const clock = new ManualClock();
	const sent: string[] = [];
	let answers = 0;
	const query = async (text: string, parameters: readonly (string | null)[] = []) => {
		if (text.includes("pg_constraint")) return [{ name: "letters_pkey", columns: "consumer_group,offset,partition,topic" }];
		if (text.includes('exists (select from "letters"')) {
			if (text.startsWith("select")) return [{ found: hasNameless }];
			sent.push(`adopt ${(JSON.parse(parameters[0] as string) as unknown[]).length}`);
			return [];
		}
		if (!text.startsWith("insert")) return [{ found: true }];
		const key = text.includes('"offset", topic_id, kafka_ts) do update') ? "own" : "earlier";
		const letters: { offset: number }[] = JSON.parse(parameters[0] as string);
		sent.push(`${key} key: ${letters.length > 9 ? letters.length : letters.map(({ offset }) => offset)}`);
		const code = codes.shift();
		if (code) throw Object.assign(new Error(code), { code });
		return letters.slice(answers++ < inTheWay ? 1 : 0).map(() => ({ stored: 1 }));
	};
	const database = { query } as unknown as Database;
	const table = new DeadLetterTable({ database, table: "letters", consumerGroup: "g", version: "1", clock, random: () => 1 });
	await table.prepare();
	const told: string[] = [];
	table.on("target:blocked", ({ message }) => told.push(message));
	table.on("target:unblocked", () => told.push("unblocked"));
	return { table, clock, sent, told };
}

it("letters that had no topic id get it before another with one is stored beside them", async () => {
	const { table, sent } = await sentTo({ hasNameless: true });
	await table.store(deadLetter(), never);
	expect(sent).toEqual(["adopt 1", "own key: 7"]);
});

it("a table has one key or the other; the statement follows it", async () => {
	const { table, clock, sent } = await sentTo({ codes: ["42P10", "42P10", null] });
	const stored = table.store(deadLetter(), never);
	await clock.advance(60_000);
	await stored;
	expect(sent).toEqual(["own key: 7", "earlier key: 7", "own key: 7"]);
});

it("letters of one turn go together, two hundred at most, and two of the same message one after the other", async () => {
	const { table, sent } = await sentTo();
	await Promise.all([7, 8, 7].map((offset) => table.store(deadLetter({ offset }), never)));
	expect(sent.splice(0)).toEqual(["own key: 7,8", "own key: 7"]);
	await Promise.all(Array.from({ length: 230 }, (_, offset) => table.store(deadLetter({ offset }), never)));
	expect(sent).toEqual(["own key: 200", "own key: 30"]);
});

it("a letter that fails twice holds up its partition, which is told with its place, until it is stored", async () => {
	const { table, clock, told } = await sentTo({ codes: ["53100", "53100", "53100", null] });
	const stored = table.store(deadLetter(), never);
	const isMoving = () => [table.isMoving(deadLetter()), table.isMoving({ topic: "orders", partition: 3 }), table.blocked];
	await clock.advance(0);
	expect([isMoving(), told]).toEqual([[true, false, false], []]);
	for (let waits = 0; !table.blocked && waits < 99; waits++) await clock.advance(100);
	expect([isMoving(), told]).toEqual([
		[false, false, true],
		[
			expect.stringMatching(
				/^dead letters can't be stored in letters: SQLSTATE 53100.* \(orders\/2 offset 7\); free space on the server's disk; it goes on by itself$/,
			),
		],
	]);
	await clock.advance(60_000);
	await stored;
	expect([told.slice(1), table.blocked]).toEqual([["unblocked"], false]);
});

it("a letter whose place another message's open letter has waits for that one, and says how to resolve it", async () => {
	const { table, clock, told } = await sentTo({ inTheWay: 2 });
	const stored = table.store(deadLetter(), never);
	await clock.advance(60_000);
	await stored;
	expect(told).toEqual([
		"dead letters can't be stored in letters: an open letter of another log of the topic is in its place (orders/2 offset 7); " +
			"resolve that one first (pockaffe dead-letters replay --topic orders --partition 2 --offset 7, or discard)",
		"unblocked",
	]);
});

it("a letter whose owner gives up is tried no more, and holds nobody up", async () => {
	const { table, clock, sent, told } = await sentTo({ codes: Array<string>(99).fill("53100") });
	const gone = new AbortController();
	const fate = table.store(deadLetter(), gone.signal).catch((error: Error) => error.message);
	await clock.advance(10_000);
	gone.abort(new Error("given away"));
	await clock.advance(60_000);
	const tries = sent.length;
	await clock.advance(60_000);
	expect([await fate, told.at(-1), table.isMoving(deadLetter()), sent.length - tries]).toEqual(["given away", "unblocked", false, 0]);
});
