/** What becomes of letters in their table, by the statements that go to the database. */
import { expect, it } from "vitest";
import type { Database } from "../../../src/sink/database/database.ts";
import { DeadLetterTableStore } from "../../../src/sink/dead-letters/dead-letter-table-store.ts";

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
