/** What a verification looks at, from what Kafka has of the group and what is noted beside the rows. */
import { describe, expect, it } from "vitest";
import { coveredPartitions, grownSince, knownTopics, resumedRanges } from "../../../src/audit/log/covered-partitions.ts";
import type { CoveredPartition } from "../../../src/audit/log/log-coverage.ts";
import type { LogReader } from "../../../src/kafka/log-reader.ts";
import type { Database } from "../../../src/sink/database/database.ts";
import { kafkaAt } from "../../support/kafka/load-topic.ts";

interface Noted {
	readonly start_offset: number;
	readonly assumed?: boolean;
	readonly reached_offset?: number;
	readonly topic_id?: string;
	readonly skipped?: object[];
}

const LOG = { low: 10, high: 60 };

const kafka = { ...kafkaAt("127.0.0.1:1"), topics: ["t"], group: "g" };

/** A group of which Kafka has this offset, with this note; `beside`: and this offset of partition 1, without a note. */
async function covered(offset: number | null, noted: Noted | null, beside?: number) {
	const rows = noted
		? [{ topic: "t", partition: 0, assumed: false, ...noted, skipped: noted.skipped ? JSON.stringify(noted.skipped) : null }]
		: [];
	const database = {
		// The notes' table and its columns are there.
		query: async (text: string) => (text.includes("start_offset") ? rows : [{ found: true }]),
	} as unknown as Database;
	const reader = {
		metadata: { topics: [{ name: "t", partitions: [{ id: 0 }] }] },
		committed: async () =>
			[offset, ...(beside === undefined ? [] : [beside])].map((each, partition) => ({ topic: "t", partition, offset: each })),
		topicIds: async () => new Map([["t", "this"]]),
		watermarks: async () => LOG,
	} as unknown as LogReader;
	const config = { kafka, offsets: { store: "kafka", table: "offsets" } };
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
	const message = expect.stringMatching(/^group \S+ has committed nothing of t: nothing was checked/);
	await expect(covered(null, null)).rejects.toMatchObject({ code: "nothing_committed", message });
	await expect(covered(null, { start_offset: 20 })).rejects.toMatchObject({ code: "nothing_committed" });
});

describe("the topics of a verification", () => {
	function coveredOf(topics: readonly string[]) {
		const at = (name: string, ...ids: number[]) => ({ name, partitions: ids.map((id) => ({ id })) });
		const query = async (text: string) => (text.includes("start_offset") ? [] : [{ found: true }]);
		const reader = {
			metadata: { topics: [at("orders", 1, 0), at("refunds", 0), at("others", 0)] },
			committed: async (of: readonly { topic: string; partition: number }[]) => of.map((each) => ({ ...each, offset: 40 })),
			topicIds: async () => new Map(),
			watermarks: async () => LOG,
		} as unknown as LogReader;
		const config = { kafka: { ...kafka, topics: ["orders", "^re"] }, offsets: { store: "kafka", table: "offsets" } };
		return coveredPartitions(config as never, { query } as unknown as Database, reader, topics);
	}

	it.each([
		[[], ["orders/0", "orders/1", "refunds/0"]],
		[["orders"], ["orders/0", "orders/1"]],
		[["refunds"], ["refunds/0"]],
	])("are those that the group reads, or of them the given ones: %o", async (topics, names) => {
		expect((await coveredOf(topics)).map(({ topic, partition }) => `${topic}/${partition}`)).toEqual(names);
	});

	it.each([[["others"]], [["orders", "others"]]])("can't be one that the group doesn't read: %o", async (topics) => {
		await expect(coveredOf(topics)).rejects.toMatchObject({
			code: "no_topic",
			message: expect.stringMatching(/^group g does not read topic others/),
		});
	});
});

describe("what came since a look at the log", () => {
	const range = (topic: string, partition: number, to: number, over: Partial<CoveredPartition> = {}) =>
		({ topic, partition, topicId: topic, from: 0, to, high: to, ...over }) as CoveredPartition;

	it("goes on where each partition ended then, in whatever order Kafka lists them", () => {
		const before = [range("a", 0, 10), range("b", 0, 20)];
		const now = [range("b", 0, 25), range("a", 0, 12)];
		expect(grownSince(before, now)).toEqual([range("b", 0, 25, { from: 20 }), range("a", 0, 12, { from: 10 })]);
		expect(grownSince(before, before)).toEqual([range("a", 0, 10, { from: 10 }), range("b", 0, 20, { from: 20 })]);
	});

	it.each([
		["another log replaced one", range("a", 0, 12, { topicId: "other" })],
		["one lost its end", range("a", 0, 8)],
		["one was not there", range("b", 0, 12)],
	])("is nothing where %s", (_, now) => {
		expect(grownSince([range("a", 0, 10)], [now])).toBeNull();
	});
});

it("a verification knows a partition that a daemon began and committed nothing of: messages of it may be lost", async () => {
	const began = { start_offset: 20 };
	expect(await covered(null, began, 5)).toMatchObject({ hasBegun: true, committed: null, from: 20, to: 20 });
	const others = [await covered(50, began, 5), await covered(null, null, 5), await covered(null, { ...began, assumed: true }, 5)];
	expect([...others, await covered(null, { ...began, topic_id: "that" }, 5)].map((range) => range?.hasBegun)).toEqual([
		false,
		false,
		false,
		false,
	]);
});

it("how a partition's start is known is told", async () => {
	const notes = [{ start_offset: 20 }, { start_offset: 20, assumed: true }, null, { start_offset: 20, topic_id: "that" }];
	const ranges = await Promise.all(notes.map((noted) => covered(50, noted)));
	expect(ranges.map((range) => [range?.startIs, range?.from])).toEqual([
		["recorded", 20],
		["assumed", 20],
		["unknown", 10],
		["new_log", 10],
	]);
});

describe("a verification of offsets in the database", () => {
	/** The table of offsets answers this, or fails; and the statements that were sent. */
	function offsetsIn(answer: () => readonly object[], isThere = true) {
		const sent: string[] = [];
		const query = async (text: string) => {
			sent.push(text);
			if (text.includes("start_offset")) return [];
			if (text.includes("next_offset") && !text.includes("pg_attribute")) return answer();
			// The table of an earlier version lacks columns.
			return [{ found: isThere && !text.includes("attname") }];
		};
		const reader = {
			metadata: { topics: [{ name: "t", partitions: [{ id: 0 }] }] },
			committed: async () => expect.unreachable("Kafka has no offset of it"),
			topicIds: async () => new Map([["t", "this"]]),
			watermarks: async () => LOG,
		} as unknown as LogReader;
		const config = { kafka, offsets: { store: "postgres", table: "offsets" } };
		return { sent, ranges: coveredPartitions(config as never, { query } as unknown as Database, reader) };
	}

	it("begins with what is stored there", async () => {
		const { ranges } = offsetsIn(() => [{ topic: "t", partition: 0, next_offset: "40" }]);
		expect(await ranges).toMatchObject([{ committed: 40, isNoted: false, to: 40 }]);
	});

	it("changes nothing, also where columns are missing", async () => {
		const { sent, ranges } = offsetsIn(() => {
			throw Object.assign(new Error("no such column"), { code: "42703" });
		});
		await expect(ranges).rejects.toThrow("no such column");
		expect(sent.filter((text) => /^\s*(create|alter|insert|update|delete)/i.test(text))).toEqual([]);
	});

	it("has nothing to look at where the table has nothing of the group, and names the table", async () => {
		const { ranges } = offsetsIn(() => []);
		const message = expect.stringMatching(/has committed nothing of t in offsets: nothing was checked/);
		await expect(ranges).rejects.toMatchObject({ code: "nothing_committed", message });
	});

	it("has nothing to look at where there is no table", async () => {
		const { ranges } = offsetsIn(() => [], false);
		await expect(ranges).rejects.toMatchObject({
			code: "nothing_committed",
			message: expect.stringContaining("there is no table offsets"),
		});
	});
});

describe("topics that may have fed the tables", () => {
	const reader = { metadata: { topics: [{ name: "there", partitions: [] }] } } as unknown as LogReader;
	const config = { kafka: { ...kafka, topics: ["read", "^read-too"] }, offsets: { table: "offsets" } };

	/** Which of some topics are known, with these topics noted. */
	async function known(noted: readonly (readonly [topic: string, isOwn: boolean])[], isThere = true): Promise<string[]> {
		const query = async (text: string) =>
			text.includes("select distinct topic") ? noted.map(([topic, is_own]) => ({ topic, is_own })) : [{ found: isThere }];
		const isKnown = await knownTopics(config as never, { query } as unknown as Database, reader);
		return ["own", "others", "there", "read", "read-too-7", "none"].filter(isKnown);
	}

	const all = ["own", "others", "there", "read", "read-too-7"];

	it("are those that are configured, noted by any group, or in Kafka", async () => {
		expect(
			await known([
				["own", true],
				["others", false],
			]),
		).toEqual(all);
	});

	it("are all where the group has noted none, or nobody has", async () => {
		expect(await known([["others", false]])).toEqual([...all, "none"]);
		expect(await known([], true)).toEqual([...all, "none"]);
		expect(await known([["own", true]], false)).toEqual([...all, "none"]);
	});
});

describe("an interrupted verification", () => {
	const range = (partition: number, over: Partial<CoveredPartition> = {}) =>
		({ topic: "t", partition, topicId: "this", high: 60, to: 50, ...over }) as CoveredPartition;

	it("goes on with the parts that it had, and those that came since", () => {
		const before = [range(0), range(1, { topicId: null })];
		const now = [range(0, { to: 55 }), range(1, { high: 50 }), range(2)];
		expect(resumedRanges(before, now)).toEqual([...before, range(2)]);
	});

	it.each([
		["another log", range(0, { topicId: "that" })],
		["another log", range(0, { high: 49 })],
		["not there any more", range(1)],
	])("can't go on where a part is %s", (words, now) => {
		expect(() => resumedRanges([range(0)], [now])).toThrow(`t/0 is ${words} since the verification was begun`);
	});
});
