/**
 * Damage to tables of all types, to letters and to what is kept of offsets, each kind alone: `verify` finds it and nothing else, and says
 * what it is. And what is no damage: it is let pass, and the last line says how much was compared.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { requirementsOf } from "../../../src/audit/verification/requirements.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { type SceneRecord, VerifiedScene } from "../../support/daemons/verified-scene.ts";

const columns = {
	name: "text",
	small: "smallint",
	big: "bigint",
	amount: "numeric",
	price: "numeric(10,2)",
	ratio: "double precision",
	single: "real",
	flag: "boolean",
	day: "date",
	moment: "timestamptz",
	span: "interval",
	doc: "jsonb",
	note: "json",
	raw: "bytea",
	ref: "uuid",
	code: "char(4)",
	short: "varchar(5)",
} as const;

const typed = {
	name: "Word",
	small: 5,
	big: "9007199254740993",
	amount: "1.50",
	price: "2.345",
	ratio: 0.1,
	single: 0,
	flag: true,
	day: "2024-02-29",
	moment: "2024-01-01T00:00:00.123456Z",
	span: "1 month",
	doc: { a: 1 },
	note: { a: 1, b: 2 },
	raw: "ab",
	ref: "6f9619ff-8b86-d011-b42d-00cf4fc964ff",
	code: "ab",
	short: "ab",
};

/** Partition 0 ends at 10, partition 1 at 4. Letters at 0/3 (rejected), 0/7 (a refused row), 1/2 (rejected). */
const records: readonly SceneRecord[] = [
	[0, "first", { name: "a" }],
	[0, "twice", { name: "before" }],
	[0, "gone", { name: "b" }],
	[0, "no row", { reject: "no good" }],
	[0, "twice", { name: "after" }],
	[0, "gone", null],
	[0, "typed", typed],
	[0, "too large", { name: "d", small: 99_999 }],
	[0, "empty", { name: "" }],
	[0, "last", { name: "e" }],
	[1, "p", { name: "f" }],
	[1, "q", { name: "g" }],
	[1, "no row either", { reject: "no good" }],
	[1, "r", { name: "h" }],
];
const IDS = 9;

interface Kind {
	readonly what: string;
	readonly sql: readonly string[];
	/** Kinds of differences with their ids or offsets; none: no damage. */
	readonly found?: readonly string[];
	/** In the lines above the last. */
	readonly words?: RegExp;
	readonly last?: RegExp;
}

const set = (id: string, change: string) => `update events set ${change} where id = '${id}'`;
const insert = (id: string, [partition, offset]: readonly [number, number], more = "") =>
	`insert into events (id, name, kafka_ts, kafka_offset, kafka_partition${more ? ", deleted" : ""}) values ('${id}', 'x', ${TS} + 1000 * ${offset}, ${offset}, ${partition}${more ? `, ${more}` : ""})`;
const TS = 1_700_000_000_000;
const letter = (change: string, where = `partition = 0 and reason = 'rejected'`) =>
	`update pockaffe_dead_letters set ${change} where ${where}`;
const offsets = (partition: number, next: number) => `update pockaffe_offsets set next_offset = ${next} where partition = ${partition}`;

/** By column: another value, or one that the type takes for the same. */
const values: readonly (readonly [column: keyof typeof columns, change: string, what: string])[] = [
	["name", "'word'", "another case"],
	["name", "'Word '", "a space behind it"],
	["small", "6", "another number"],
	["big", "9007199254740992", "a number that is the same for JavaScript"],
	["amount", "1.5", "another scale"],
	["amount", "1.51", "another digit"],
	["price", "2.34", "rounded otherwise"],
	["ratio", "0.1::float8 + 1e-17::float8 + 2e-17", "the next number that there is"],
	["single", "'-0'", "minus zero"],
	["flag", "false", "the opposite"],
	["day", "'2024-03-01'", "the day after"],
	["moment", "moment + interval '1 microsecond'", "a microsecond later"],
	["span", "'30 days'", "as many days"],
	["doc", `'{"a":1.0}'`, "another scale inside"],
	["doc", `'{"a":1,"b":null}'`, "a null more"],
	["note", `'{"b":2,"a":1}'`, "the same in another order"],
	["raw", "'\\x6162'::bytea || '\\x00'", "a byte more"],
	["ref", "'6f9619ff-8b86-d011-b42d-00cf4fc964fe'", "one digit"],
	["code", "'ac'", "another letter"],
	["short", "'ab '", "a space behind it"],
	["short", "null", "lost"],
];

const rows: readonly Kind[] = [
	{ what: "a row is missing", sql: ["delete from events where id = 'typed'"], found: ["missing typed"] },
	{
		what: "all are missing",
		sql: ["truncate events"],
		found: ["empty", "first", "last", "p", "q", "r", "twice", "typed"].map((id) => `missing ${id}`),
	},
	{ what: "a row is old", sql: [set("twice", `name = 'before', kafka_offset = 1, kafka_ts = ${TS} + 1000`)], found: ["older twice"] },
	{
		what: "a delete is undone",
		sql: [set("gone", "deleted = false, name = 'b'")],
		found: ["different gone"],
		words: /columns name, deleted$/m,
	},
	{ what: "a tombstone has data", sql: [set("gone", "name = 'b'")], found: ["different gone"], words: /columns name$/m },
	{ what: "a row is a tombstone", sql: [set("first", "deleted = true, name = null")], found: ["different first"] },
	{ what: "an empty text is null", sql: [set("empty", "name = null")], found: ["different empty"] },
	{ what: "a null is an empty text", sql: [set("first", "short = ''")], found: ["different first"], words: /columns short$/m },
	{
		what: "two rows have each other's values",
		sql: [set("p", "name = 'g'"), set("q", "name = 'f'")],
		found: ["different p", "different q"],
	},
	{ what: "an id is another", sql: [set("first", "id = 'First'")], found: ["extra First", "missing first"] },
	{
		what: "a row is there twice, by another id",
		sql: [
			"insert into events select 'copy', name, small, big, amount, price, ratio, single, flag, day, moment, span, doc, note, raw, ref, code, short, kafka_ts, kafka_offset, kafka_partition, deleted from events where id = 'first'",
		],
		found: ["extra copy"],
	},
	{ what: "a row nobody made has a place in the log", sql: [insert("junk", [1, 1])], found: ["extra junk"] },
	{ what: "a tombstone nobody made has a place in the log", sql: [insert("junk", [1, 1], "true")], found: ["extra junk"] },
	{ what: "a row nobody made has a rejected message's place", sql: [insert("junk", [0, 3])], found: ["extra junk"] },
	{ what: "a row nobody made has the place of a message with a refused row", sql: [insert("junk", [0, 7])], found: ["extra junk"] },
	{
		what: "a row has a rejected message's place, and is newer than its own",
		sql: [set("first", `name = 'x', kafka_ts = ${TS} + 3000, kafka_offset = 3`)],
		found: ["newer first"],
	},
	{ what: "a row is behind the log's end", sql: [insert("junk", [0, 5_000])], found: ["extra junk"] },
	{ what: "a row is of a partition that is none", sql: [insert("junk", [77, 0])], found: ["extra junk"] },
	{ what: "a row has an offset that is none", sql: [insert("junk", [0, -1])], found: ["extra junk"] },
	{
		what: "a row is of a topic that nobody ever read",
		sql: ["alter table events add kafka_topic text", insert("junk", [0, 0]), set("junk", "kafka_topic = 'nope'")],
		found: ["extra junk"],
	},
	{ what: "the partition is another", sql: [set("first", "kafka_partition = 1")], found: ["newer first"] },
	{ what: "the offset is the next one's", sql: [set("first", "kafka_offset = 1")], found: ["newer first"] },
	{ what: "the offset is behind the log's end", sql: [set("first", `kafka_offset = 5000`)], found: ["newer first"] },
	{ what: "the timestamp is earlier", sql: [set("last", "kafka_ts = kafka_ts - 1")], found: ["older last"] },
	{ what: "the timestamp is later", sql: [set("last", "kafka_ts = kafka_ts + 1")], found: ["newer last"] },
	...values.map(([column, change, what]) => ({
		what: `${column} (${columns[column]}) is ${what}`,
		sql: [set("typed", `${column} = ${change}`)],
		found: ["different typed"],
		words: new RegExp(`events "typed" .* columns ${column}$`, "m"),
	})),
];

const lettersAndOffsets: readonly Kind[] = [
	{
		what: "a letter is gone",
		sql: ["delete from pockaffe_dead_letters where partition = 1"],
		found: ["failed 2"],
		words: /rejected, and there is no dead letter of it/,
	},
	{
		what: "the letter of a refused row is gone",
		sql: ["delete from pockaffe_dead_letters where reason = 'row_fault'"],
		found: ["unwritable too large"],
	},
	{
		what: "all letters are gone with their table",
		sql: ["alter table pockaffe_dead_letters rename to elsewhere"],
		found: ["failed 2", "failed 3", "unwritable too large"],
		words: /there is no table pockaffe_dead_letters: /,
	},
	{ what: "a letter is marked as replayed", sql: [letter("state = 'replayed'")], found: ["failed 3"] },
	{ what: "a letter is another group's", sql: [letter("consumer_group = 'other'")], found: ["failed 3"] },
	{ what: "a letter is at another offset", sql: [letter(`"offset" = 6`)], found: ["failed 3"] },
	{ what: "a letter is of another record at its offset", sql: [letter("kafka_ts = kafka_ts + 1, topic_id = ''")], found: ["failed 3"] },
	{
		what: "a letter names another row",
		sql: [letter(`row_id = 'other', refused_rows = '[["events","other","22003"]]'`, "reason = 'row_fault'")],
		found: ["unwritable too large"],
	},
	{
		what: "an offset is behind the log's end",
		sql: [offsets(1, 400)],
		found: ["beyond 400"],
		words: /beyond {5}events\/1@400 is committed, and the log ends at 4/,
	},
	{
		what: "a note excuses what the log holds",
		sql: [
			`update pockaffe_offsets_start set skipped = '[{"from":0,"to":3,"reason":"log_begins_after"}]' where partition = 0`,
			"delete from events where id = 'first'",
		],
		found: ["missing first"],
	},
];

const harmless: readonly Kind[] = [
	{
		what: "nothing",
		sql: [],
		last: new RegExp(`^verified ${IDS} of ${IDS} ids: the tables are what the log says; 3 dead letters are open$`),
	},
	{
		what: "a tombstone is purged",
		sql: ["delete from events where id = 'gone'"],
		words: /^rows: 8 as the log says, 1 deleted and purged/m,
	},
	{ what: "a column is not configured", sql: ["alter table events add other text default 'x'"] },
	{ what: "a column is wider than configured", sql: ["alter table events alter short type varchar(50), alter code type char(9)"] },
	{
		what: "letters are discarded",
		sql: [letter("state = 'discarded'", "true")],
		words: /left out: 0 open, 3 discarded, 0 skipped/,
		last: /ids: the tables are what the log says$/,
	},
	{ what: "letters are skipped", sql: [letter("state = 'skipped'", "true")], words: /left out: 0 open, 0 discarded, 3 skipped/ },
	{
		what: "the row of a refused one was written another time",
		sql: [insert("too large", [0, 7])],
		last: /^verified 9 of 10 ids: .*; 1 is of a dead letter; /,
	},
	{
		what: "a row has the place of a message that the handler failed at",
		sql: [letter("reason = 'poison'"), insert("junk", [0, 3])],
		last: /^verified 9 of 10 ids: .*; 1 is of a dead letter; /,
	},
	{
		what: "a row is of a topic that the group read once",
		sql: [
			"alter table events add kafka_topic text",
			"insert into pockaffe_offsets_start (consumer_group, topic, partition, start_offset, assumed, recorded_at) select consumer_group, 'once', 0, 0, false, now() from pockaffe_offsets_start limit 1",
			insert("theirs", [0, 0]),
			set("theirs", "kafka_topic = 'once'"),
		],
		last: /^verified 9 of 10 ids: .*; 1 is of a message that was not read; /,
	},
	{
		what: "rows are newer than what is committed",
		sql: [offsets(0, 8), offsets(1, 1)],
		last: /^verified 5 of 9 ids: the tables are what the log says; 4 ids are ahead; 5 messages are unread; 2 dead letters are open$/,
	},
	{
		what: "a partition was begun and nothing of it is committed",
		sql: [
			"delete from pockaffe_offsets where partition = 1",
			"update pockaffe_offsets_start set reached_offset = null where partition = 1",
		],
		words: /^ {2}events\/1 {2}nothing is committed, though a daemon began here: not looked at$/m,
		last: /^verified 6 of 9 ids: .*; 3 ids are ahead; 4 messages are unread; /,
	},
];

const kept = ["events", "pockaffe_dead_letters", "pockaffe_offsets_start", "pockaffe_offsets"];

describe("verify", () => {
	let scene: VerifiedScene;
	const found = async (...over: Parameters<VerifiedScene["verify"]>) => {
		const { report, ...text } = await scene.verify(...over);
		const named = report.differences.map((each) => `${each.kind} ${"id" in each ? each.id : each.offset}`).sort();
		return { named, report, ...text };
	};

	beforeAll(async () => {
		scene = await VerifiedScene.open({ offsets: { store: "postgres" }, tables: { events: { columns, create: true } } }, records);
		await scene.sql("create schema whole", ...kept.map((table) => `create table whole.${table} (like ${table} including all)`));
		await scene.sql(...kept.map((table) => `insert into whole.${table} table ${table}`));
	});

	afterEach(async () => {
		await scene.sql("drop table if exists elsewhere", ...kept.map((table) => `drop table if exists ${table}`));
		await scene.sql(...kept.map((table) => `create table ${table} (like whole.${table} including all)`));
		await scene.sql(...kept.map((table) => `insert into ${table} table whole.${table}`));
	});

	afterAll(async () => {
		await scene[Symbol.asyncDispose]();
	});

	it.each([...rows, ...lettersAndOffsets])("finds that $what, and nothing else", async ({ sql, found: expected, words }) => {
		await scene.sql(...sql);
		const { named, report, text, last } = await found();
		expect(named, text).toEqual(expected);
		expect(report.verified).toBe(false);
		expect(last).toMatch(/^NOT verified: \d+ differences?, \d+ of \d+ ids compared/);
		if (words) expect(text).toMatch(words);
	});

	it.each(harmless)("is content where $what", async ({ sql, words, last: expected = /^verified 9 of 9 ids: / }) => {
		await scene.sql(...sql);
		const { named, report, text, last } = await found();
		expect([named, report.verified], text).toEqual([[], true]);
		expect(last).toMatch(expected);
		if (words) expect(text).toMatch(words);
	});

	it("is no success where all that it met is ahead", async () => {
		await scene.sql(offsets(0, 0), offsets(1, 1), "delete from events where id = 'p'");
		await scene.sql("insert into pockaffe_dead_letters select * from pockaffe_dead_letters limit 0");
		const { report, last } = await found({ scope: { topics: [], tables: [], ids: new Set(["first", "last"]) } });
		expect([report.verified, report.lookedAt]).toEqual([false, { ids: 0, of: 2, share: 0 }]);
		expect(last).toMatch(/^NOT verified: 0 of 2 ids, so nothing is known; 2 ids are ahead; /);
	});

	it("says which requirements don't hold", async () => {
		const requirements = requirementsOf("open-letters=0,unread=0,share=1");
		expect((await found({ requirements })).last).toMatch(/^NOT as required \(open-letters is 3, not 0\): verified 9 of 9 ids: /);
		await scene.sql(letter("state = 'discarded'", "true"));
		expect((await found({ requirements })).report.unmet).toEqual([]);
		await scene.sql(offsets(0, 8));
		expect((await found({ requirements })).report.unmet).toEqual(["unread is 2, not 0", "share is 0.7777, not 1"]);
	});

	describe("comes back to what was ahead", () => {
		/** Each wait of the verification's does the next of these. */
		const clockThat = (...steps: (() => Promise<void>)[]) => ({
			...systemClock,
			sleep: async () => {
				const step = steps.shift();
				if (!step) throw new Error("it waited once more");
				await step();
			},
		});

		it("until the share is reached that is required, and finds what is damaged there", async () => {
			await scene.sql(offsets(0, 4), offsets(1, 1));
			const steps = [
				() => scene.sql(offsets(0, 9)),
				() => Promise.resolve(),
				() => scene.sql(offsets(0, 10), offsets(1, 4), set("q", "name = 'x'")),
			];
			const { named, report, last } = await found({ clock: clockThat(...steps), comeBackMs: 60_000 });
			expect(named).toEqual(["different q"]);
			expect(report.counts).toMatchObject({ ahead: 0, matched: 8, different: 1, newer: 0 });
			expect(last).toMatch(/^NOT verified: 1 difference, 9 of 9 ids compared; 3 dead letters are open\. /);
		}, 60_000);

		it("as far as is required", async () => {
			await scene.sql(offsets(0, 4), offsets(1, 1));
			const requirements = requirementsOf("share=0.6");
			const { report } = await found({ clock: clockThat(() => scene.sql(offsets(0, 9))), comeBackMs: 60_000, requirements });
			expect(report.lookedAt).toMatchObject({ ids: 6, of: 9 });
			expect([report.unmet, report.verified, report.messages]).toEqual([[], true, 10]);
		});

		it("no longer than it may", async () => {
			await scene.sql(offsets(0, 4));
			const { report } = await found({ comeBackMs: 50, requirements: requirementsOf("share=1") });
			expect(report.unmet).toEqual([expect.stringMatching(/^share is 0\.\d+, not 1$/)]);
		});
	});

	describe("looks at a part", () => {
		const everything = { topics: [], tables: [] };

		beforeAll(async () => {
			scene.config.tables = { ...scene.config.tables, others: { columns: { name: "text" } } };
			await scene.sql("create table others (like events including all)");
		});

		afterAll(async () => {
			await scene.sql("drop table others");
			delete (scene.config.tables as Record<string, unknown>).others;
		});

		it("of the tables", async () => {
			await scene.sql(
				"insert into others (id, kafka_ts, kafka_offset, kafka_partition) values ('junk', 1, 1, 0)",
				"delete from events where id = 'first'",
			);
			expect((await found({ scope: { ...everything, tables: ["others"] } })).named).toEqual(["extra junk"]);
			expect((await found({ scope: { ...everything, tables: ["events"] } })).named).toEqual(["missing first"]);
			await scene.sql("truncate others");
			await expect(found({ scope: { ...everything, tables: ["nope"] } })).rejects.toThrow("nope is not a configured table");
		});

		it("of the topics", async () => {
			expect((await found({ scope: { ...everything, topics: ["events"] } })).report.lookedAt.ids).toBe(IDS);
			await expect(found({ scope: { ...everything, topics: ["nope"] } })).rejects.toThrow("group g does not read topic nope");
		});

		it("of the ids, by name", async () => {
			await scene.sql("delete from events where id in ('first', 'last')", insert("junk", [1, 1]), insert("more junk", [1, 1]));
			const ids = new Set(["first", "typed", "junk", "nowhere"]);
			const { named, report } = await found({ scope: { ...everything, ids } });
			expect([named, report.counts.matched]).toEqual([["extra junk", "missing first"], 1]);
		});

		it("of the ids, by lot", async () => {
			const drawn = new Set<string>();
			for (let seed = 0; seed < 12; seed++) {
				await scene.sql("truncate events");
				const { report, named } = await found({ scope: { ...everything, sample: 3 }, random: () => seed / 12 });
				// The row that the database refused may be one of them, and need not be there.
				expect([2, 3]).toContain(report.lookedAt.of);
				expect(named.length).toBe(report.lookedAt.ids - report.counts.purged);
				for (const each of named) drawn.add(each);
			}
			expect(drawn.size).toBeGreaterThan(5);
		});
	});
});
