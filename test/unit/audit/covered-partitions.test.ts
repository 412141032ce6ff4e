/** What a verification looks at, from what Kafka has of the group and what is noted beside the rows. */
import { describe, expect, it } from "vitest";
import { coveredPartitions, grownSince } from "../../../src/audit/log/covered-partitions.ts";
import type { CoveredPartition } from "../../../src/audit/log/log-coverage.ts";
import type { LogReader } from "../../../src/kafka/log-reader.ts";
import type { Database } from "../../../src/sink/database/database.ts";
import { kafkaAt } from "../../support/kafka/load-topic.ts";

interface Noted {
	readonly start_offset: number;
	readonly reached_offset?: number;
	readonly topic_id?: string;
	readonly skipped?: object[];
}

const LOG = { low: 10, high: 60 };

/** A group of which Kafka has this offset, with this note. */
async function covered(offset: number | null, noted: Noted | null) {
	const rows = noted
		? [{ topic: "t", partition: 0, assumed: false, ...noted, skipped: noted.skipped ? JSON.stringify(noted.skipped) : null }]
		: [];
	const database = {
		// The notes' table and its columns are there.
		query: async (text: string) => (text.includes("start_offset") ? rows : [{ found: true }]),
	} as unknown as Database;
	const reader = {
		metadata: { topics: [{ name: "t", partitions: [{ id: 0 }] }] },
		committed: async () => [{ topic: "t", partition: 0, offset }],
		topicIds: async () => new Map([["t", "this"]]),
		watermarks: async () => LOG,
	} as unknown as LogReader;
	const config = { kafka: { ...kafkaAt("127.0.0.1:1"), topics: ["t"], group: "g" }, offsets: { store: "kafka", table: "offsets" } };
	const [range] = await coveredPartitions(config as never, database, reader);
	return range;
}

const stretch = (from: number, to: number, reason: string) => ({ from, to, reason });

it.each([
	["from where the group began to what it has committed", 50, { start_offset: 20 }, { from: 20, to: 50, isNoted: false }],
	[
		"to where its daemons noted that it had come, where Kafka forgot it",
		null,
		{ start_offset: 20, reached_offset: 40 },
		{ to: 40, isNoted: true },
	],
	["to what is committed, also where more is noted", 30, { start_offset: 20, reached_offset: 40 }, { to: 30, isNoted: false }],
	[
		"nothing of a note of another log",
		50,
		{ start_offset: 20, reached_offset: 40, topic_id: "that" },
		{ committed: null, to: 10, startIs: "new_log" },
	],
	["as far as the log goes", 99, { start_offset: 20 }, { to: 60, committed: 99 }],
	[
		"not what was passed over on purpose",
		50,
		{ start_offset: 20, skipped: [stretch(20, 30, "offsets_set")] },
		{ skipped: [stretch(20, 30, "offsets_set")], disbelieved: [] },
	],
	[
		"what is noted as gone before it was read, where the log holds it",
		50,
		{ start_offset: 0, skipped: [stretch(5, 30, "log_begins_after"), stretch(35, 40, "log_ends_before")] },
		{
			skipped: [stretch(5, 10, "log_begins_after")],
			disbelieved: [stretch(10, 30, "log_begins_after"), stretch(35, 40, "log_ends_before")],
		},
	],
] as const)("a verification looks at %s", async (_, offset, noted, expected) => {
	expect(await covered(offset, noted as unknown as Noted)).toMatchObject(expected);
});

it("a verification has nothing to look at where nothing is committed and nothing noted", async () => {
	await expect(covered(null, null)).rejects.toMatchObject({ code: "nothing_committed" });
	await expect(covered(null, { start_offset: 20 })).rejects.toMatchObject({ code: "nothing_committed" });
});

describe("what came since a look at the log", () => {
	const range = (topic: string, partition: number, to: number, over: Partial<CoveredPartition> = {}) =>
		({ topic, partition, topicId: topic, from: 0, to, high: to, ...over }) as CoveredPartition;

	it("goes on where each partition ended then, in whatever order Kafka lists them", () => {
		const before = [range("a", 0, 10), range("b", 0, 20)];
		const now = [range("b", 0, 25), range("a", 0, 12)];
		expect(grownSince(before, now)).toEqual([range("b", 0, 25, { from: 20 }), range("a", 0, 12, { from: 10 })]);
	});

	it.each([
		["another log replaced one", range("a", 0, 12, { topicId: "other" })],
		["one lost its end", range("a", 0, 8)],
		["one was not there", range("b", 0, 12)],
	])("is nothing where %s", (_, now) => {
		expect(grownSince([range("a", 0, 10)], [now])).toBeNull();
	});
});
