/** What becomes of letters in their table, by the statements that go to the database. */
import { expect, it } from "vitest";
import type { Database } from "../../../src/sink/database/database.ts";
import { DeadLetterTableStore } from "../../../src/sink/dead-letters/dead-letter-table-store.ts";
import { replayFailure, storedLetter } from "../../support/fakes/dead-letters.ts";

/**
 * A store, and the statements with their parameters that it sent, but for those that look for columns. `answers`: of one after the other.
 */
function store({
	columns = ["topic_id"] as readonly string[],
	rows = [] as readonly object[],
	answers = [] as (readonly object[])[],
} = {}) {
	const sent: { text: string; parameters: readonly (string | null)[] }[] = [];
	const query = async (text: string, parameters: readonly (string | null)[] = []) => {
		if (text.includes("pg_attribute")) return [{ found: columns.includes(parameters[1] as string) }];
		sent.push({ text, parameters });
		return answers.shift() ?? rows;
	};
	return { sent, letters: new DeadLetterTableStore({ query } as unknown as Database, "letters", "g") };
}

it("letters of a reason or a state alone are discarded or purged, and how many they were is told", async () => {
	const { sent, letters } = store({ answers: [[{ count: 3 }], [{ count: 5 }]] });
	expect([
		await letters.discard({ reason: "poison" }),
		await letters.purge({ states: ["replayed", "discarded"], topic: "orders" }),
	]).toEqual([3, 5]);
	expect(sent.map(({ text }) => /(update|delete from) .* (where .*?) returning/.exec(text)?.slice(1))).toEqual([
		["update", "where l.consumer_group = $1::text::text and l.reason = $2::text::text and l.state in ('open', 'skipped')"],
		["delete from", "where l.consumer_group = $1::text::text and l.topic = $2::text::text and l.state in ($3::text, $4::text)"],
	]);
	expect(sent.map(({ parameters }) => parameters)).toEqual([
		["g", "poison"],
		["g", "orders", "replayed", "discarded"],
	]);
});

it("what was not replayed yet is known by its place, with all its refused rows", async () => {
	const place = { topic: "orders", partition: 2, offset: "7", topic_id: "", kafka_ts: "1000" };
	const letter = {
		...place,
		reason: "row_fault",
		state: "open",
		table_name: "a",
		row_id: "1",
		sqlstate: "22003",
		// Kept where they are several.
		refused_rows: [
			["a", "1", "22003"],
			["b", "2"],
		],
	};
	const older = { ...letter, offset: "8", refused_rows: null };
	const { sent, letters } = store({ rows: [letter, older] });
	const known = { topic: "orders", partition: 2, topicId: null, timestamp: 1_000, reason: "row_fault", state: "open" };
	expect(await letters.unreplayed()).toEqual([
		{
			...known,
			offset: 7,
			rowsLeftOut: 0,
			rows: [
				["a", "1", "22003"],
				["b", "2", null],
			],
		},
		{ ...known, offset: 8, rowsLeftOut: 0, rows: [["a", "1", "22003"]] },
	]);
	expect(sent[0]?.text).toContain("where consumer_group = $1::text and state <> 'replayed'");
});

/** A store of letters at these offsets, some with two timestamps, in two partitions; what was read, page by page. */
async function pagesOf(sizes: readonly (readonly [partition: number, offset: number, kafkaTs: number, bytes: number])[], most?: number) {
	const limits: number[] = [];
	const at = new Date(1_000);
	const shown = { topic: "orders", topic_id: "", headers: [["a", "eA=="]], first_at: at, last_at: at, reason: "poison", state: "open" };
	const query = async (text: string, parameters: readonly string[]) => {
		if (text.includes("pg_attribute")) return [{ found: true }];
		if (text.includes("max(l.")) {
			const partitions = [...new Set(sizes.map(([partition]) => partition))];
			return partitions.map((partition) => ({ topic: "orders", partition, topic_id: "", last_offset: "90" }));
		}
		const isSizes = text.includes("octet_length");
		const [, , partition = 0] = parameters.map(Number);
		const [afterOffset = 0, afterTs = 0, toOffset = 0, toTs = Number.POSITIVE_INFINITY] = parameters.slice(isSizes ? -3 : -4).map(Number);
		const limit = Number(/limit (\d+)/.exec(text)?.[1]);
		if (isSizes) limits.push(limit);
		const isBehind = (offset: number, ts: number) => offset > afterOffset || (offset === afterOffset && ts > afterTs);
		const found = sizes.filter(
			([of, offset, ts]) => of === partition && isBehind(offset, ts) && (offset < toOffset || (offset === toOffset && ts <= toTs)),
		);
		return found.slice(0, limit).map(([of, offset, ts, bytes]) =>
			isSizes
				? { key_offset: `${offset}`, key_ts: `${ts}`, bytes }
				: {
						...shown,
						partition: of,
						offset: `${offset}`,
						kafka_ts: `${ts}`,
						attempts: 3,
						table_name: null,
						row_id: null,
						sqlstate: null,
					},
		);
	};
	const store = new DeadLetterTableStore({ query } as unknown as Database, "letters", "g");
	const pages: string[] = [];
	for await (const page of store.read({ topic: "orders" }, most))
		pages.push(page.map(({ partition, offset, timestamp }) => `${partition}/${offset}@${timestamp}`).join(" "));
	return { pages, limits };
}

it("letters are read log by log, in pages of so many bytes; one that is larger is a page alone", async () => {
	const mb = 2 ** 20;
	const sizes = [
		[0, 1, 5, 9 * mb],
		[0, 1, 8, 7 * mb],
		[0, 2, 5, 1],
		[0, 3, 5, 40 * mb],
		[0, 4, 5, 0],
		[1, 1, 5, 1],
		[1, 95, 5, 1],
	] as const;
	// The last came since.
	expect((await pagesOf(sizes)).pages).toEqual(["0/1@5 0/1@8", "0/2@5", "0/3@5", "0/4@5", "1/1@5"]);
});

it("no more letters are read than asked for, over all logs", async () => {
	const sizes = [0, 1].flatMap((partition) => [1, 2, 3].map((offset) => [partition, offset, 5, 1] as const));
	const { pages, limits } = await pagesOf(sizes, 4);
	expect([pages, limits[0], limits.at(-1)]).toEqual([["0/1@5 0/2@5 0/3@5", "1/1@5"], 4, 1]);
	expect((await pagesOf(sizes)).limits[0]).toBe(500);
});

it("what became of replayed letters is noted with what the table has columns for", async () => {
	const { sent, letters } = store({ columns: ["handler_version"] });
	await letters.settle([{ letter: storedLetter(), failure: { ...replayFailure } }]);
	expect(sent.map(({ text }) => ["handler_version", "refused_rows", "topic_id"].map((column) => text.includes(`${column} =`)))).toEqual([
		[true, false, false],
	]);
});
