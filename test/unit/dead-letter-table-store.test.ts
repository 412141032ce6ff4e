/** What becomes of letters in their table, by the statements that go to the database. */
import { expect, it } from "vitest";
import type { Database } from "../../src/sink/database.ts";
import { DeadLetterTableStore } from "../../src/sink/dead-letter-table-store.ts";

const identity = { topic: "orders", partition: 2, offset: 7, topicId: "id", timestamp: 1_000 };

/** A store, and the statements with their parameters that it sent, but for those that look for columns. */
function store({ columns = ["topic_id"] as readonly string[], rows = [] as readonly object[] } = {}) {
	const sent: { text: string; parameters: readonly (string | null)[] }[] = [];
	const query = async (text: string, parameters: readonly (string | null)[] = []) => {
		if (text.includes("pg_attribute")) return [{ found: columns.includes(parameters[1] as string) }];
		sent.push({ text, parameters });
		return rows;
	};
	return { sent, letters: new DeadLetterTableStore({ query } as unknown as Database, "letters", "g") };
}

it("a letter that went through is replayed, one that failed again stays open with its new error", async () => {
	const { sent, letters } = store();
	await letters.replayed(identity, null);
	await letters.replayed(identity, "still \u0000 broken");
	expect(sent.map(({ parameters }) => parameters.slice(-2))).toEqual([
		["replayed", null],
		["open", "still  broken"],
	]);
	for (const { text, parameters } of sent) {
		expect(text).toMatch(/^update "letters" set state = \$7::text, error = coalesce\(\$8::text, error\)/);
		expect(parameters.slice(0, 6)).toEqual(["g", "orders", "2", "7", "id", "1000"]);
	}
});

it("it and nobody else's: by group and place, of the log that it is of where the table knows", async () => {
	const { sent, letters } = store({ columns: [] });
	await letters.replayed(identity, null);
	const { text, parameters } = sent[0] as (typeof sent)[number];
	const where =
		'where consumer_group = $1::text::text and topic = $2::text::text and partition = $3::text::int4 and "offset" = $4::text::bigint';
	expect(text).toContain(`${where} and kafka_ts = $5::text::bigint returning`);
	expect(parameters.slice(0, 5)).toEqual(["g", "orders", "2", "7", "1000"]);
	const nameless = store();
	await nameless.letters.replayed({ ...identity, topicId: null }, null);
	expect(nameless.sent[0]?.parameters[4]).toBe("");
});

it("letters of a reason or a state alone are discarded or purged, and how many they were is told", async () => {
	const { sent, letters } = store({ rows: [{ count: 3 }] });
	expect([await letters.discard({ reason: "poison" }), await letters.purge({ state: "replayed", topic: "orders" })]).toEqual([3, 3]);
	expect(sent.map(({ text }) => /(update|delete from) .* (where .*?) returning/.exec(text)?.slice(1))).toEqual([
		["update", "where consumer_group = $1::text::text and reason = $2::text::text"],
		["delete from", "where consumer_group = $1::text::text and topic = $2::text::text and state = $3::text::text"],
	]);
	expect(sent.map(({ parameters }) => parameters)).toEqual([
		["g", "poison"],
		["g", "orders", "replayed"],
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
		refused_rows: [["b", "2", "23514"]],
	};
	const { sent, letters } = store({ rows: [letter] });
	const [found] = await letters.unreplayed();
	expect(found).toMatchObject({
		topic: "orders",
		partition: 2,
		offset: 7,
		topicId: null,
		timestamp: 1_000,
		reason: "row_fault",
		state: "open",
	});
	expect(sent[0]?.text).toContain("where consumer_group = $1::text and state <> 'replayed'");
});
