/** Each loss that can be made on purpose is found by `verify`, in words that say what it is; and a table that is right is verified. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type SceneRecord, VerifiedScene } from "../../support/daemons/verified-scene.ts";
import { withAddon } from "../../support/project/with-addon.ts";

/** Partition 0 ends at 9, partition 1 at 3; two of them are dead letters, at 3 and 7. */
const records: readonly SceneRecord[] = [
	[0, "first", { name: "a" }],
	[0, "twice", { name: "before" }],
	[0, "gone", { name: "b" }],
	[0, "refused", { reject: "no good" }],
	[0, "twice", { name: "after" }],
	[0, "gone", null],
	[0, "middle", { name: "c" }],
	[0, "too large", { name: "d", small: 99_999 }],
	[0, "last", { name: "e" }],
	[1, "p", { name: "f" }],
	[1, "q", { name: "g" }],
	[1, "r", { name: "h" }],
];

interface Loss {
	readonly needsAddon?: boolean;
	readonly what: string;
	/** Statements that make it. */
	readonly sql: readonly string[];
	/** Kinds of differences with their ids or offsets. */
	readonly found: readonly string[];
	readonly words: RegExp;
}

const row = (id: string, change: string) => `update events set ${change} where id = '${id}'`;
const note = (change: string) => `update pockaffe_offsets_start set ${change} where partition = 0`;
const skipped = (reason: string) => note(`skipped = '[{"from":0,"to":3,"reason":"${reason}"}]'`);
const letter = (reason: string, change: string) => `update pockaffe_dead_letters set ${change} where reason = '${reason}'`;

const losses: readonly Loss[] = [
	...["first", "middle", "last"].map((id) => ({
		what: `the ${id} row of a partition is deleted`,
		sql: [`delete from events where id = '${id}'`],
		found: [`missing ${id}`],
		words: new RegExp(`^ {2}missing {4}events "${id}" · expected events/0@\\d \\(timestamp \\d+\\)$`, "m"),
	})),
	{
		what: "all rows of a partition are deleted",
		sql: ["delete from events where kafka_partition = 1"],
		found: ["missing p", "missing q", "missing r"],
		words: /^differences: 3 missing, /m,
	},
	{
		what: "the table is emptied",
		sql: ["truncate events"],
		found: ["first", "last", "middle", "p", "q", "r", "twice"].map((id) => `missing ${id}`),
		words: /^rows: 0 as the log says, 1 deleted and purged/m,
	},
	{
		what: "a value is changed",
		sql: [row("middle", "name = 'x'")],
		found: ["different middle"],
		words: /different {2}events "middle" · .* · columns name$/m,
	},
	{
		what: "a value is lost",
		sql: [row("middle", "name = null")],
		found: ["different middle"],
		words: /columns name$/m,
	},
	{
		what: "an update is undone",
		sql: [row("twice", "name = 'before', kafka_offset = 1, kafka_ts = kafka_ts - 3000")],
		found: ["older twice"],
		words: /older {6}events "twice" · expected events\/0@4 .* · stored partition 0@1 /,
	},
	{
		what: "a delete is undone where it stands",
		sql: [row("gone", "deleted = false, name = 'b'")],
		found: ["different gone"],
		words: /events "gone" · expected events\/0@5 \(timestamp \d+, a delete\) · .* · columns name, deleted$/m,
	},
	{
		what: "a delete is undone by the row before it",
		sql: [row("gone", "deleted = false, name = 'b', kafka_offset = 2, kafka_ts = kafka_ts - 3000")],
		found: ["older gone"],
		words: /older {6}events "gone" · expected events\/0@5 \(timestamp \d+, a delete\) · stored partition 0@2 /,
	},
	{
		what: "a row is deleted that nothing wrote again",
		sql: [row("middle", "deleted = true, name = null")],
		found: ["different middle"],
		words: /columns name, deleted$/m,
	},
	{
		what: "a row has the coordinates of another log, and is older",
		sql: [row("middle", "kafka_ts = 1")],
		found: ["older middle"],
		words: /stored partition 0@6 \(timestamp 1\)/,
	},
	{
		what: "a row has the coordinates of another log, and is newer",
		sql: [row("middle", "kafka_ts = kafka_ts + 1, kafka_offset = 7000")],
		found: ["newer middle"],
		words: /newer {6}events "middle" · expected events\/0@6 .* · stored partition 0@7000 /,
	},
	{
		what: "a row is of another log",
		sql: ["insert into events (id, name, kafka_ts, kafka_offset, kafka_partition) values ('theirs', 'x', 5, 2, 0)"],
		found: ["extra theirs"],
		words: /extra {6}events "theirs" · stored partition 0@2 \(timestamp 5\)/,
	},
	{
		what: "a row has no coordinates",
		sql: [
			"alter table events alter kafka_ts drop not null, alter kafka_offset drop not null, alter kafka_partition drop not null",
			row("middle", "kafka_ts = null, kafka_offset = null, kafka_partition = null"),
		],
		found: ["older middle"],
		words: /older {6}events "middle" · .* · stored without coordinates$/m,
	},
	{
		what: "a dead letter is purged",
		sql: ["delete from pockaffe_dead_letters where reason = 'rejected'"],
		found: ["failed 3"],
		words: /failed {5}events\/0@3: rejected, and there is no dead letter of it: no good$/m,
	},
	{
		what: "a dead letter of a refused row is purged",
		sql: ["delete from pockaffe_dead_letters where reason = 'row_fault'"],
		found: ["unwritable too large"],
		words: /unwritable events "too large" · expected events\/0@7 .* · SQLSTATE 22003$/m,
	},
	{
		what: "a dead letter is marked as replayed",
		sql: [letter("rejected", "state = 'replayed'")],
		found: ["failed 3"],
		words: /events\/0@3: rejected, and there is no dead letter of it/,
	},
	{
		what: "a dead letter is of another log, by the topic's id",
		needsAddon: true,
		sql: [letter("rejected", "topic_id = 'another'")],
		found: ["failed 3"],
		words: /events\/0@3: rejected, and there is no dead letter of it/,
	},
	{
		what: "a dead letter is of another log, by its record's timestamp",
		sql: [letter("rejected", "kafka_ts = kafka_ts - 1, topic_id = ''")],
		found: ["failed 3"],
		words: /events\/0@3: rejected, and there is no dead letter of it/,
	},
	{
		what: "a dead letter of another log stands at a lost row's offset",
		sql: [letter("rejected", `"offset" = 6, kafka_ts = 1, topic_id = ''`), "delete from events where id = 'middle'"],
		found: ["failed 3", "missing middle"],
		words: /missing {4}events "middle"/,
	},
	...(["log_begins_after", "log_ends_before"] as const).map((reason) => ({
		what: `a note excuses what the log holds (${reason})`,
		sql: [skipped(reason), "delete from events where id = 'first'"],
		found: ["missing first"],
		words: new RegExp(`; 0 to 2 are noted as passed over \\(${reason}\\), but the log has them: they are looked at$`, "m"),
	})),
];

const kept = ["events", "pockaffe_dead_letters", "pockaffe_offsets_start"];

describe.each(["kafka", "postgres"] as const)("verify, with offsets in %s,", (store) => {
	let scene: VerifiedScene;
	const tables = store === "postgres" ? [...kept, "pockaffe_offsets"] : kept;
	const found = async () => {
		const { report, text } = await scene.verify();
		const named = report.differences.map((each) => `${each.kind} ${"id" in each ? each.id : each.offset}`).sort();
		return { named, text, verified: report.verified };
	};
	/** Sets the group's offset of partition 0, where it is kept. */
	const setOffset = (offset: number) =>
		store === "kafka" ? scene.setInKafka(0, offset) : scene.sql(`update pockaffe_offsets set next_offset = ${offset} where partition = 0`);

	beforeAll(async () => {
		scene = await VerifiedScene.open({ offsets: { store } }, records);
		await scene.keep(tables);
	});

	afterEach(async () => {
		await scene.putBack(tables);
	});

	afterAll(async () => {
		await scene[Symbol.asyncDispose]();
	});

	it("says verified where the tables are what the log says", async () => {
		const { named, text, verified } = await found();
		expect([named, verified]).toEqual([[], true]);
		expect(text).toMatch(/^rows: 8 as the log says, 0 deleted and purged/m);
		expect(text).toMatch(/^dead letters, left out: 2 open, 0 discarded, 0 skipped$/m);
		expect(text).toMatch(/\nverified 8 of 8 ids: the tables are what the log says; 2 dead letters are open$/);
	});

	// What is done to rows, letters and notes is the same wherever the offsets are.
	// Without the addon no topic's id is known.
	const findable = losses.filter(({ needsAddon = false }) => !(needsAddon && withAddon.skip));
	it.each(store === "kafka" ? findable : findable.slice(0, 1))("finds that $what", async ({ sql, found: expected, words }) => {
		await scene.sql(...sql);
		const { named, text, verified } = await found();
		expect([named, verified], text).toEqual([expected, false]);
		expect(text).toMatch(words);
		expect(text).toMatch(/\nNOT verified: \d differences?, \d of \d ids compared/);
	});

	it.runIf(store === "kafka")(
		"tells what it does not look at: what was passed over on purpose, a later beginning; and discarded letters",
		async () => {
			await scene.sql(skipped("offsets_set"), "delete from events where id = 'first'", letter("rejected", "state = 'discarded'"));
			const { text, verified } = await found();
			expect(verified).toBe(true);
			expect(text).toContain("; 0 to 2 were passed over (offsets_set)");
			expect(text).toMatch(/^dead letters, left out: 1 open, 1 discarded/m);
			expect(text).toMatch(/^passed over unread: 3 offsets; no rows are expected of them$/m);
			expect(text).toMatch(/\nverified 7 of 7 ids: the tables are what the log says; 1 dead letter is open; 3 offsets were passed over$/);
			await scene.sql(note("start_offset = 4, skipped = null"));
			expect((await found()).text).toContain("offsets 4 to 9; the group began at 4: what the log holds before it is not looked at");
		},
	);

	it.runIf(store === "kafka")("finds what a trigger keeps out", async () => {
		await scene.sql(
			"create function keeps_out() returns trigger language plpgsql as $$ begin if new.name = 'kept out' then return null; end if; return new; end $$",
			"create trigger keeps_out before insert on events for each row execute function keeps_out()",
		);
		await scene.produce([
			[1, "new", { name: "kept out" }],
			[1, "p", { name: "kept out" }],
		]);
		await scene.consume();
		const { named, verified } = await found();
		expect([named, verified]).toEqual([["missing new", "older p"], false]);
	});

	// The last one: it leaves the group by another name, and messages that nobody handled.
	it("finds what is gone where Kafka forgot the group, and what was passed over where its offset was moved forward, or past the log's end", async () => {
		if (store === "kafka") {
			await scene.regroup("moved");
			await scene.sql("delete from events where id = 'first'");
			const forgotten = await found();
			expect(forgotten.named).toContain("missing first");
			expect(forgotten.text).toContain("offsets 0 to 9; Kafka has no offset of the group: its note says how far it came");
		}
		const before = (await found()).named;
		await scene.produce([
			[0, "late", { name: "x" }],
			[0, "later", { name: "y" }],
		]);
		expect(await found()).toMatchObject({
			named: before,
			text: expect.stringMatching(/^not looked at: [1-9] messages? after the committed offsets$/m),
		});
		await setOffset(11);
		expect(await found()).toMatchObject({ named: [...before, "missing late", "missing later"].sort(), verified: false });
		await setOffset(999);
		const { named, text } = await found();
		expect(named).toEqual([...before, "beyond 999", "missing late", "missing later"].sort());
		expect(text).toContain("beyond     events/0@999 is committed, and the log ends at 11: it lost its end, or somebody set the offset");
	});
});
