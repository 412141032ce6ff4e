/** `verify`: what it accounts for and what it finds, on a real Kafka and a real Postgres. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, inject, it } from "vitest";
import type { VerificationReport } from "../../src/audit/verification.ts";
import { systemClock } from "../../src/core/clock.ts";
import { Producer, type ProducerRecord } from "../../src/kafka/producer.ts";
import { ClusterInspector } from "../../src/kafka/topics.ts";
import { type CommandResult, pockaffe } from "../support/command-line.ts";
import { runDaemon } from "../support/daemon-process.ts";
import { createTopicWith, deleteTopic, kafkaAt, loadTopic } from "../support/load-topic.ts";
import { describeOnKafka, uniqueName } from "../support/real-kafka.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { createTestDatabase } from "../support/test-database.ts";
import { waitFor } from "../support/wait-for.ts";

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
		if (way === "two") return [{ id: key.toString(), fields }, { id: "bad", fields: { small: 1e9 } }];
		return { id: key.toString(), fields };
	}`;

interface Scene extends AsyncDisposable {
	readonly folder: string;
	readonly topic: string;
	readonly group: string;
	readonly db: Awaited<ReturnType<typeof createTestDatabase>>;
	readonly config: Record<string, unknown>;
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
			await producer.produceMany(all);
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
	it("accounts for dead letters, purged deletes and rows past the end", { timeout: 120_000 }, async () => {
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
		await test.db.database.query("update events set kafka_offset = 100, kafka_ts = kafka_ts + 1000, name = 'ahead' where id = 'b'");
		await test.db.database.query("insert into events (id, kafka_ts, kafka_offset, kafka_partition) values ('new', 1700000100000, 101, 0)");
		const later = await test.verify();
		expect(later.report).toMatchObject({ verified: true, letters: { open: 3, discarded: 1 } });
		expect(later.report.counts).toMatchObject({ purged: 1, ahead: 2 });
	});

	it("finds what is missing, older, newer, different, extra, and what the handler can't repeat", { timeout: 120_000 }, async () => {
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

	it("looks at what the group was to read: from where it began, to what it has committed", { timeout: 120_000 }, async () => {
		await using test = await scene({ kafka: { startFrom: "latest" } });
		await test.produce([["before", { name: "never meant to arrive" }]]);
		await test.consume();
		await test.produce([["after", { name: "x" }]]);
		await test.consume();
		await test.produce([["not yet", { name: "x" }]]);
		const { report } = await test.verify();
		expect(report).toMatchObject({ verified: true, messages: 1, partitions: [{ start: 1, from: 1, to: 2 }], counts: { matched: 1 } });
	});

	it("doesn't guess what a compacted log no longer holds, whose lag reaches 0 all the same", { timeout: 120_000 }, async () => {
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

	it("says in one line what it can't work with", async () => {
		await using test = await scene();
		await writeFile(join(test.folder, "handler.mjs"), "export const nothing = 1;");
		await test.produce([["a", {}]]);
		const nothing = await test.verify();
		expect(nothing.code).toBe(1);
		expect(nothing.stderr).toMatch(/^pockaffe: can't verify: SQLSTATE 42P01: relation "events" does not exist\n$/);
		const wrong = await pockaffe(["verify"], { cwd: test.folder, env: { POCKAFFE_KAFKA_TOPICS: "no-such-topic" } });
		expect([wrong.code, wrong.stderr]).toEqual([1, "pockaffe: there is no topic no-such-topic: nothing can be verified\n"]);
		const bare = await pockaffe(["verify"], { cwd: "/" });
		expect(bare.code).toBe(2);
	});
});
