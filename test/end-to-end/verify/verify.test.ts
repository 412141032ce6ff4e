/** `verify`: what it accounts for and what it finds, on a real Kafka and a real Postgres. */
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, inject, it } from "vitest";
import { verify } from "../../../src/audit/verification/verification.ts";
import type { VerificationReport } from "../../../src/audit/verification/verification-report.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { Producer, type ProducerRecord } from "../../../src/kafka/producer.ts";
import { ClusterInspector } from "../../../src/kafka/topics.ts";
import { DeadLetterTableStore } from "../../../src/sink/dead-letters/dead-letter-table-store.ts";
import { type CommandResult, pockaffe } from "../../support/daemons/command-line.ts";
import { DaemonProcess, runDaemon } from "../../support/daemons/daemon-process.ts";
import { setOffsets, untilCommitted } from "../../support/kafka/group-offsets.ts";
import { createTopicWith, deleteTopic, kafkaAt, loadTopic } from "../../support/kafka/load-topic.ts";
import { produceMany } from "../../support/kafka/produce-many.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { slowness } from "../../support/slowness.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

const brokers = inject("kafkaBrokers");
const FIRST = 1_700_000_000_000;

const handler = `
	export function init({ purpose }) { return purpose; }
	export function handleMessage({ key, value, offset }, purpose) {
		if (value === null) return { id: key.toString(), delete: true };
		const { way, ...fields } = JSON.parse(value.toString());
		if (way === "reject") return { reject: "no good" };
		if (way === "throw") throw new Error("poison");
		if (way === "verify-only" && purpose === "verify") throw new Error("not the same handler any more");
		if (way === "bad twice") return ["x", "y", "z"].map((id) => ({ id, fields: { small: id === "z" ? 1 : -1 } }));
		if (way === "two") return [{ id: key.toString(), fields }, { id: "bad", fields: { small: 1e9 } }];
		return { id: key.toString(), fields };
	}`;

interface Scene extends AsyncDisposable {
	readonly folder: string;
	readonly topic: string;
	readonly group: string;
	readonly db: Awaited<ReturnType<typeof createTestDatabase>>;
	/** May be changed between two runs. */
	readonly config: { kafka: Record<string, unknown>; offsets: Record<string, unknown>; deadLetters: Record<string, unknown> } & Record<
		string,
		unknown
	>;
	/** Appends to partition 0, timestamps ascending with every call. */
	produce(records: readonly (readonly [key: string, value: object | null])[]): Promise<void>;
	/** A daemon until everything is committed. */
	consume(): Promise<void>;
	verify(...args: string[]): Promise<CommandResult & { report: VerificationReport }>;
}

async function scene({ kafka = {}, handling = {} }: { kafka?: object; handling?: object } = {}): Promise<Scene> {
	const folder = await temporaryFolder();
	const db = await createTestDatabase();
	const [topic, group] = [uniqueName("verify"), uniqueName("g")];
	await loadTopic(brokers, { name: topic, partitions: 1 }, []);
	await writeFile(join(folder.path, "handler.mjs"), handler);
	const config = {
		kafka: { brokers: [brokers], topics: [topic], group, ...kafka },
		handler: { module: "./handler.mjs", maxAttempts: 1, ...handling },
		database: { url: db.url },
		tables: { events: { columns: { name: "text", amount: "numeric(12,2)", doc: "json", small: "smallint" }, create: true } },
		offsets: { commitIntervalMs: 50 },
		deadLetters: {},
	};
	let at = FIRST;
	return {
		folder: folder.path,
		topic,
		group,
		db,
		config,
		async produce(records) {
			await using producer = await Producer.connect(kafkaAt(brokers));
			const all = records.map(([key, value]): ProducerRecord => {
				at += 1_000;
				return { topic, partition: 0, key, value: value && JSON.stringify(value), timestamp: at };
			});
			await produceMany(producer, all);
		},
		async consume() {
			await using daemon = await runDaemon(folder.path, config);
			await using inspector = await ClusterInspector.connect(kafkaAt(brokers), systemClock, group);
			await daemon.record("a start", ({ from }) => from !== undefined);
			await waitFor("all to be committed", async () => (await inspector.groupOffsets([topic])).every(({ lag }) => lag === 0));
			expect(await daemon.stop()).toBe(0);
		},
		async verify(...args) {
			await writeFile(join(folder.path, "pockaffe.yaml"), JSON.stringify(config));
			const result = await pockaffe(["verify", "--json", ...args], { cwd: folder.path });
			// Without a report the words for it are what a failing test should show.
			return { ...result, report: result.stdout ? JSON.parse(result.stdout) : result.stderr };
		},
		async [Symbol.asyncDispose]() {
			await db[Symbol.asyncDispose]();
			await folder[Symbol.asyncDispose]();
		},
	};
}

const kinds = ({ report }: { report: VerificationReport }) =>
	report.differences.map((each) => [each.kind, "id" in each ? each.id : each.offset]);

describeOnKafka("verify", () => {
	it("accounts for dead letters, purged deletes and rows past the end", async () => {
		await using test = await scene();
		await test.produce([
			["a", { name: "first", amount: 1.5, doc: { x: [1, 2] } }],
			["b", { name: "b" }],
			["a", { way: "reject" }],
			["c", { way: "throw" }],
			["d", { way: "two", name: "good beside bad" }],
			["e", { name: "e" }],
			["e", null],
			["f", { name: "f", small: 99_999 }],
			["g", { name: "g" }],
		]);
		await test.consume();
		const { report, code } = await test.verify();
		expect(report.differences).toEqual([]);
		expect(report).toMatchObject({ verified: true, messages: 9, absentOffsets: 0, letters: { open: 4, discarded: 0, skipped: 0 } });
		expect(report.counts).toMatchObject({ matched: 5, purged: 0 });
		expect(code).toBe(0);
		// Tombstones purged by hand; a letter looked after; the daemon goes on while we look.
		await test.db.database.query("delete from events where deleted");
		await test.db.database.query("update pockaffe_dead_letters set state = 'discarded' where reason = 'rejected'");
		await test.produce(["b", "new"].map((id) => [id, { name: "ahead" }] as const));
		await test.db.database.query("update events set kafka_offset = 9, kafka_ts = kafka_ts + 100000, name = 'ahead' where id = 'b'");
		await test.db.database.query("insert into events (id, kafka_ts, kafka_offset, kafka_partition) values ('new', 1700000100000, 10, 0)");
		const later = await test.verify();
		expect(later.report).toMatchObject({ verified: true, behind: 2, letters: { open: 3, discarded: 1 }, lettersMissing: null });
		expect(later.report.counts).toMatchObject({ purged: 1, ahead: 2 });
	});

	it("finds rows of messages that the log never had, also under the id of a letter's row", async () => {
		await using test = await scene();
		await test.produce([
			["a", { name: "a" }],
			["refused", { small: 99_999 }],
			["b", { name: "b" }],
		]);
		await test.consume();
		const { database } = test.db;
		await database.query("update events set kafka_offset = 999999, kafka_ts = kafka_ts + 100000 where id = 'b'");
		await database.query(
			"insert into events (id, kafka_ts, kafka_offset, kafka_partition) values ('past', 1700000100000, 3, 0), ('refused', 1, 0, 0)",
		);
		const forged = await test.verify();
		expect(forged.code).toBe(1);
		expect(kinds(forged).sort()).toEqual([
			["extra", "past"],
			["extra", "refused"],
			["newer", "b"],
		]);
		expect(forged.report.counts).toMatchObject({ ahead: 0, lettered: 0 });
		// The letter's message made it all the same, by a replay with another handler: then the row has its timestamp too.
		await database.query(
			"update events set kafka_offset = 1, kafka_ts = (select kafka_ts from pockaffe_dead_letters) where id = 'refused'",
		);
		expect((await test.verify()).report.counts).toMatchObject({ extra: 1, lettered: 1 });
	});

	it("says what it didn't look at, and is no success where that is everything", async () => {
		await using test = await scene({ kafka: { startFrom: "latest" } });
		await test.produce([["before", { name: "never meant to arrive" }]]);
		await test.consume();
		await test.produce([
			["lag", { name: "x" }],
			["lag too", { name: "x" }],
		]);
		const nothing = await test.verify();
		expect([nothing.code, nothing.stdout, nothing.stderr]).toEqual([
			1,
			"",
			`pockaffe: group ${test.group}: no message was read, and 2 come after the committed offsets: nothing was checked (did the daemon run?)\n`,
		]);
		await test.consume();
		await test.produce([["more lag", { name: "x" }]]);
		expect((await test.verify()).report).toMatchObject({ verified: true, messages: 2, behind: 1 });
		const text = await pockaffe(["verify"], { cwd: test.folder });
		expect(text.stdout).toContain("not looked at: 1 message after the committed offsets\n");
	});

	it.each([
		["init ends the process", "export function init() { process.exit(3); } export const handleMessage = () => null;", {}],
		["every message takes too long", "export function handleMessage() { for (;;); }", { timeoutMs: 200 }],
	])("ends in one line where threads only die: %s", async (_, text, over) => {
		await using test = await scene({ handling: { module: "./deadly.mjs", ...over } });
		test.config.supervisor = { maxRestarts: 2 };
		await writeFile(join(test.folder, "deadly.mjs"), text);
		await test.produce(Array.from({ length: 9 }, (_, i) => [`id ${i}`, {}] as const));
		await setOffsets(brokers, test.group, [{ topic: test.topic, partition: 0, offset: 9 }]);
		const { code, stdout, stderr } = await test.verify();
		expect([code, stdout]).toEqual([1, ""]);
		expect(stderr).toMatch(
			/^pockaffe: nothing can be verified: the handler's thread ended 5 times in a row without handling a message .*\n$/,
		);
	});

	it.each([
		["leaks", "for (let i = 0; i < 4; i++) kept.push(new Array(1e5).fill(i));"],
		[
			"puts its thread out of order",
			"if (offset % 10 === 3) kept.push(offset); else if (kept.length > 0) throw new Error('out of order');",
		],
	])("finds nothing where a handler %s, for messages that are handled in a new thread", async (_, act) => {
		await using test = await scene({ handling: { module: "./spoils.mjs", maxAttempts: 5, retryBackoffMs: 1 } });
		test.config.workers = { maxHeapMb: 64 };
		const text = `const kept = [];
			export function handleMessage({ key, offset }) { ${act} return { id: key.toString(), fields: {} }; }`;
		await writeFile(join(test.folder, "spoils.mjs"), text);
		await test.produce(Array.from({ length: 60 }, (_, i) => [`id ${i}`, {}] as const));
		await test.consume();
		expect((await test.verify()).report).toMatchObject({ verified: true, counts: { matched: 60, failed: 0 } });
	});

	it("says what was in hand where a message ends the process", async () => {
		await using test = await scene({ handling: { module: "./kills.mjs" } });
		const text = "if (offset === 5) { process.kill(process.pid, 'SIGKILL'); for (;;); } return { id: key.toString(), fields: {} };";
		await writeFile(join(test.folder, "kills.mjs"), `export function handleMessage({ key, offset }) { ${text} }`);
		await test.produce(Array.from({ length: 9 }, (_, i) => [`id ${i}`, {}] as const));
		await setOffsets(brokers, test.group, [{ topic: test.topic, partition: 0, offset: 9 }]);
		const { code, stdout, stderr } = await test.verify();
		expect([code, stdout]).toEqual([137, ""]);
		expect(stderr).toMatch(
			new RegExp(
				`^pockaffe: the handler ended the process .*: ${test.topic}/0 offsets? [3-5](?: to [5-8])?\\. Nothing was verified, and nothing was changed\\.\n$`,
			),
		);
	});

	it("goes on behind a message that ends its thread", async () => {
		await using test = await scene({ handling: { module: "./sometimes.mjs" } });
		test.config.supervisor = { maxRestarts: 2 };
		await test.produce(Array.from({ length: 12 }, (_, i) => [`id ${i}`, {}] as const));
		await writeFile(join(test.folder, "sometimes.mjs"), "export const handleMessage = ({ key }) => ({ id: key.toString(), fields: {} });");
		await test.consume();
		await writeFile(
			join(test.folder, "sometimes.mjs"),
			"export const handleMessage = ({ key, offset }) => (offset % 3 ? { id: key.toString(), fields: {} } : process.exit(4));",
		);
		const { report } = await test.verify();
		expect(report.counts).toMatchObject({ failed: 4, matched: 8, extra: 4 });
	});

	it("says that there is no table of letters", async () => {
		await using test = await scene();
		await test.produce([
			["a", { name: "a" }],
			["b", { way: "reject" }],
		]);
		await test.consume();
		test.config.deadLetters.table = "not_there";
		expect((await test.verify()).report).toMatchObject({ verified: false, lettersMissing: "table not_there", counts: { failed: 1 } });
		const text = await pockaffe(["verify"], { cwd: test.folder });
		expect(text.stdout).toContain("there is no table not_there: ");
		expect(text.stdout).toMatch(/differs without anything being lost/);
		await test.db.database.query("delete from events where id = 'a'");
		expect((await pockaffe(["verify"], { cwd: test.folder })).stdout).toMatch(
			/^NOT verified: 2 differences, 1 of 1 ids compared\. Find out why; then pockaffe reprocess/m,
		);
	});

	it("finds what is missing, older, newer, different, extra, and what the handler can't repeat", async () => {
		await using test = await scene();
		await test.produce([
			...["missing", "older", "different", "json", "kept", "deleted", "resurrected"].map(
				(id) => [id, { name: id, doc: { a: 1 } }] as const,
			),
			["resurrected", null],
			["flaky", { way: "verify-only", name: "x" }],
			["lost letter", { way: "reject" }],
		]);
		await test.consume();
		const { database } = test.db;
		await database.query("delete from events where id = 'missing'");
		await database.query("update events set kafka_ts = kafka_ts - 1 where id = 'older'");
		await database.query("update events set name = null where id = 'different'");
		await database.query("update events set doc = '{\"a\":2}' where id = 'json'");
		await database.query("update events set deleted = true, name = null, doc = null where id = 'deleted'");
		await database.query("update events set deleted = false, name = 'back' where id = 'resurrected'");
		await database.query(
			"insert into events (id, kafka_ts, kafka_offset, kafka_partition) values ('extra', 1, 0, 0), ('elsewhere', 1, 0, 77)",
		);
		await database.query("delete from pockaffe_dead_letters");
		const found = await test.verify();
		expect(found.code).toBe(1);
		expect(kinds(found).sort()).toEqual(
			[
				["failed", 8],
				["failed", 9],
				["different", "deleted"],
				["different", "different"],
				["different", "json"],
				["missing", "missing"],
				["older", "older"],
				["different", "resurrected"],
				["extra", "elsewhere"],
				["extra", "extra"],
				["extra", "flaky"],
			].sort(),
		);
		const [different] = found.report.differences.filter((each) => "id" in each && each.id === "resurrected");
		expect(different).toMatchObject({ columns: ["name", "deleted"], stored: { offset: 7, deleted: false }, expected: { deleted: true } });
		const limited = await test.verify("--limit", "2");
		expect(limited.report.differences.length).toBe(2);
		expect(limited.report.counts).toEqual(found.report.counts);
		const text = await pockaffe(["verify"], { cwd: test.folder });
		expect(text.stdout).toMatch(/older {6}events "older" · expected .*\/0@1 .* · stored partition 0@1/);
		expect(text.stdout).toContain("NOT verified");
		expect(text.stdout).not.toContain("back");
	});

	it("looks at what the group was to read: from where it began, to what it has committed", async () => {
		await using test = await scene({ kafka: { startFrom: "latest" } });
		await test.produce([["before", { name: "never meant to arrive" }]]);
		await test.consume();
		await test.produce([["after", { name: "x" }]]);
		await test.consume();
		await test.produce([["not yet", { name: "x" }]]);
		const { report } = await test.verify();
		expect(report).toMatchObject({ verified: true, messages: 1, partitions: [{ start: 1, from: 1, to: 2 }], counts: { matched: 1 } });
	});

	it("doesn't guess what a compacted log no longer holds, whose lag reaches 0 all the same", async () => {
		await using test = await scene({ handling: { module: "./by-value.mjs" } });
		await writeFile(
			join(test.folder, "by-value.mjs"),
			"export const handleMessage = ({ value }) => { const { name } = JSON.parse(value); return { id: name, fields: { name } }; };",
		);
		await deleteTopic(brokers, test.topic);
		const compact = { "cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.001", "delete.retention.ms": "0" };
		await createTopicWith(brokers, { name: test.topic, partitions: 1 }, compact);
		await test.produce([
			["k", { name: "compacted away" }],
			["other", { name: "stays" }],
			["k", { name: "newest of its key" }],
		]);
		await test.consume();
		// Every record rolls a segment, and behind the next one the cleaner may work.
		const cleaned = await waitFor("compaction", async () => {
			await test.produce([["k", { name: "newest of its key" }]]);
			await test.consume();
			const { report } = await test.verify();
			return report.absentOffsets > 0 && report;
		});
		expect(cleaned).toMatchObject({ verified: true, counts: { matched: 2, unchecked: 1 } });
	});

	it("goes on from where the group began when its offsets move into the database", async () => {
		await using test = await scene({ kafka: { startFrom: "latest" } });
		await test.produce([["before", { name: "never meant to arrive" }]]);
		await test.consume();
		await test.produce([["after", { name: "x" }]]);
		await test.consume();
		test.config.offsets.store = "postgres";
		await test.produce([["later", { name: "x" }]]);
		await test.consume();
		const { report } = await test.verify();
		expect(report).toMatchObject({
			verified: true,
			partitions: [{ start: 1, startIs: "recorded", from: 1, to: 3 }],
			counts: { matched: 2 },
		});
	});

	it("assumes the beginning of a group that had committed before, and says so", async () => {
		await using test = await scene();
		await test.produce(["theirs", "theirs too", "ours"].map((id) => [id, { name: id }] as const));
		await setOffsets(brokers, test.group, [{ topic: test.topic, partition: 0, offset: 2 }]);
		await test.consume();
		const { report } = await test.verify();
		expect(report).toMatchObject({ verified: true, partitions: [{ start: 2, startIs: "assumed" }], counts: { matched: 1 } });
		const text = await pockaffe(["verify"], { cwd: test.folder });
		expect(text.stdout).toContain(
			"offsets 2 to 3; the group had committed before its first note: its offset then, 2, is taken for its beginning",
		);
		await test.db.database.query("delete from pockaffe_offsets_start");
		const unknown = await test.verify();
		expect(unknown.report).toMatchObject({ verified: false, partitions: [{ start: 0, startIs: "unknown" }], counts: { missing: 2 } });
	});

	it("reads the letters of what it looks at, also of what was committed a moment ago", async () => {
		await using test = await scene();
		await test.produce([["a", { name: "a" }]]);
		await test.consume();
		await test.verify();
		const { config } = loadConfig({ file: undefined, environment: {}, cwd: test.folder });
		const report = await verify({
			config,
			database: test.db.database,
			// Beside the running daemon: a message is lettered and committed while the verification begins.
			async letters() {
				const letters = await new DeadLetterTableStore(test.db.database, "pockaffe_dead_letters", test.group).unreplayed();
				await test.produce([["b", { way: "reject" }]]);
				await test.consume();
				return letters;
			},
			clock: systemClock,
			random: Math.random,
			signal: new AbortController().signal,
			maxDifferences: 10,
			progress: () => {},
		});
		expect(report).toMatchObject({ verified: true, messages: 1, differences: [] });
		expect((await test.verify()).report).toMatchObject({ verified: true, messages: 2, letters: { open: 1 } });
	});

	it("can't check rows of a topic that is gone", async () => {
		await using test = await scene();
		test.config.kafka.topics = [`^${test.topic}`];
		const gone = `${test.topic}-gone`;
		await loadTopic(brokers, { name: gone, partitions: 1 }, [{ topic: gone, partition: 0, key: "x", value: "{}" }]);
		await test.produce([["a", { name: "a" }]]);
		await test.consume();
		await untilCommitted(brokers, test.group, gone);
		expect((await test.verify()).report).toMatchObject({ verified: true, counts: { matched: 2, unchecked: 0 } });
		await deleteTopic(brokers, gone);
		expect((await test.verify()).report).toMatchObject({ verified: true, counts: { matched: 1, unchecked: 1, extra: 0 } });
	});

	it.each(["table", "topic"])("leaves out of a message just the rows its letter was made of (%s)", async (target) => {
		await using test = await scene();
		test.config.deadLetters = target === "topic" ? { target, topic: `${test.topic}-letters` } : { target };
		await test.produce([["prepare", { name: "x" }]]);
		await test.consume();
		await test.db.database.query("alter table events add check (small >= 0)");
		await test.produce([
			["good", { way: "two", name: "good beside bad" }],
			["many", { way: "bad twice" }],
		]);
		await test.consume();
		expect((await test.verify()).report).toMatchObject({ verified: true, letters: { open: 2 }, counts: { matched: 3 } });
		await test.db.database.query("delete from events where id in ('good', 'z')");
		const lost = await test.verify();
		expect(kinds(lost).sort()).toEqual([
			["missing", "good"],
			["missing", "z"],
		]);
	});

	it("ends in one line when interrupted, and leaves nothing behind", async () => {
		await using test = await scene();
		await test.produce([["a", { name: "a" }]]);
		await test.consume();
		const temporary = join(test.folder, "tmp");
		await mkdir(temporary);
		// The comparison waits for its table.
		test.db.database.query("begin; lock table events in access exclusive mode; select pg_sleep(60)").catch(() => {});
		await using verifying = new DaemonProcess(["verify"], { cwd: test.folder, env: { TMPDIR: temporary } });
		const waits = "select 1 from pg_locks where relation = 'events'::regclass and not granted";
		await waitFor("the comparison", async () => (await test.db.database.query(waits)).length > 0);
		expect(await readdir(temporary)).toHaveLength(1);
		const interruptedAt = performance.now();
		expect(await verifying.stop("SIGINT")).toBe(1);
		expect(performance.now() - interruptedAt).toBeLessThan(7_000 * (await slowness()));
		expect(verifying.output).toBe("pockaffe: the verification was interrupted\n");
		expect(await readdir(temporary)).toEqual([]);
	});

	it("ends in one line where the disk is full, and leaves nothing behind", async () => {
		await using test = await scene({ handling: { module: "./large.mjs" } });
		const temporary = join(test.folder, "tmp");
		await mkdir(temporary);
		// Its first file is a device that is always full; the rows are more than are kept in memory.
		await writeFile(
			join(test.folder, "large.mjs"),
			`import { readdirSync, symlinkSync } from "node:fs";
			export function init() {
				const [folder] = readdirSync("${temporary}");
				symlinkSync("/dev/full", "${temporary}/" + folder + "/table-0-0.run");
			}
			export const handleMessage = ({ key }) => ({ id: key.toString(), fields: { name: "x".repeat(4_000_000) } });`,
		);
		await test.produce(Array.from({ length: 40 }, (_, i) => [`id ${i}`, {}] as const));
		await setOffsets(brokers, test.group, [{ topic: test.topic, partition: 0, offset: 40 }]);
		await writeFile(join(test.folder, "pockaffe.yaml"), JSON.stringify(test.config));
		const full = await pockaffe(["verify"], { cwd: test.folder, env: { TMPDIR: temporary } });
		expect([full.code, full.stdout]).toEqual([1, ""]);
		expect(full.stderr).toMatch(/^pockaffe: what doesn't fit into memory can't be written to \S+\/tmp\/pockaffe-verify-\S+: ENOSPC.*\n$/);
		expect(await readdir(temporary)).toEqual([]);
		const nowhere = await pockaffe(["verify"], { cwd: test.folder, env: { TMPDIR: "/nowhere" } });
		expect([nowhere.code, nowhere.stderr]).toEqual([1, expect.stringMatching(/^pockaffe: can't make a folder in \/nowhere .*ENOENT.*\n$/)]);
	});

	it("is no success where the group has committed nothing", async () => {
		await using test = await scene();
		await test.consume();
		// An empty topic, all of which was read.
		const empty = await test.verify();
		expect([empty.code, empty.report]).toMatchObject([0, { verified: true, messages: 0, partitions: [{ committed: 0 }] }]);
		const elsewhere = { POCKAFFE_OFFSETS_STORE: "postgres", POCKAFFE_OFFSETS_TABLE: "not_there" };
		const noTable = await pockaffe(["verify"], { cwd: test.folder, env: elsewhere });
		expect([noTable.code, noTable.stderr]).toEqual([
			1,
			expect.stringMatching(/^pockaffe: group \S+ has committed nothing of \S+: there is no table not_there: nothing was checked .*\n$/),
		]);
		expect(await test.db.database.query("select to_regclass('not_there') as made")).toEqual([{ made: null }]);
		const misspelt = await pockaffe(["verify"], { cwd: test.folder, env: { POCKAFFE_KAFKA_GROUP: "no-such-group" } });
		expect([misspelt.code, misspelt.stdout, misspelt.stderr]).toEqual([
			1,
			"",
			`pockaffe: group no-such-group has committed nothing of ${test.topic}: nothing was checked (is kafka.group the daemon's, and did it run?)\n`,
		]);
	});

	it("says in one line what it can't work with", async () => {
		await using test = await scene();
		await test.produce([["a", {}]]);
		await setOffsets(brokers, test.group, [{ topic: test.topic, partition: 0, offset: 1 }]);
		const nothing = await test.verify();
		expect(nothing.code).toBe(1);
		expect(nothing.stderr).toMatch(/^pockaffe: can't verify: SQLSTATE 42P01: relation "events" does not exist \(undefined_table\)\n$/);
		const wrong = await pockaffe(["verify"], { cwd: test.folder, env: { POCKAFFE_KAFKA_TOPICS: "no-such-topic" } });
		expect([wrong.code, wrong.stderr]).toEqual([1, "pockaffe: there is no topic no-such-topic: nothing can be verified\n"]);
		const bare = await pockaffe(["verify"], { cwd: "/" });
		expect(bare.code).toBe(2);
	});
});
