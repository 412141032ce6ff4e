/** Which rows are not in their table because a newer message's row is there. */
import { expect, it } from "vitest";
import { newerRows } from "../../../../src/sink/comparison/newer-rows.ts";
import type { Database, DatabaseRow } from "../../../../src/sink/database/database.ts";
import { columnOf, layoutOf } from "../../../support/fakes/row-submissions.ts";

const row = (offset: number, topic = "orders") => ({ id: `id${offset}`, topic, partition: 1, offset });

function asking(answer: readonly DatabaseRow[]) {
	const asked: string[] = [];
	const query = async (text: string) => {
		asked.push(text);
		return answer;
	};
	const database = { query } as unknown as Database;
	return { asked, database };
}

it("asks nothing for no rows", async () => {
	const { asked, database } = asking([]);
	expect([await newerRows(database, layoutOf(), []), asked]).toEqual([[], []]);
});

it("compares offset and partition, and the topic where the table has it", async () => {
	const layout = layoutOf({ name: "app.events", columns: [columnOf("name", "text")] });
	const { asked, database } = asking([]);
	await newerRows(database, layout, [row(1)]);
	await newerRows(database, { ...layout, withTopic: true }, [row(1)]);
	const [without, withTopic] = asked;
	expect(without).toMatch(
		/join "app"\."events" t on t\."id" = n\."id" where t\.kafka_offset is distinct from n\.kafka_offset or t\.kafka_partition is distinct from n\.kafka_partition$/,
	);
	expect(withTopic).toMatch(/ or t\.kafka_topic is distinct from n\.kafka_topic$/);
	expect([without?.includes("by_topic"), withTopic?.includes("t.kafka_topic as by_topic")]).toEqual([false, true]);
});

it("names each row's message and that of the stored row, in the rows' topic where the table has none", async () => {
	const { database } = asking([
		{ id: "id1", of_offset: "1", of_partition: 1, by_offset: "9", by_partition: 2 },
		{ id: "id2", of_offset: "2", of_partition: 1, by_offset: null, by_partition: 2 },
		{ id: "id3", of_offset: "3", of_partition: 1, by_offset: "4", by_partition: null },
	]);
	expect(await newerRows(database, layoutOf(), [row(1), row(2), row(3)])).toEqual([
		{ ...row(1), by: { topic: "orders", partition: 2, offset: 9 } },
		{ ...row(2), by: null },
		{ ...row(3), by: null },
	]);
});

it("names the topics that the table has", async () => {
	const { database } = asking([
		{ id: "id1", of_topic: "a", by_topic: "b", of_offset: "1", of_partition: 1, by_offset: "9", by_partition: 2 },
	]);
	expect(await newerRows(database, { ...layoutOf(), withTopic: true }, [row(1, "orders")])).toEqual([
		{ ...row(1, "a"), by: { topic: "b", partition: 2, offset: 9 } },
	]);
});
