/** `reprocess`: rows computed anew after the handler was corrected, on a real Kafka and a real Postgres. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, inject, it } from "vitest";
import { reprocess } from "../../../src/audit/rows-anew/reprocessing.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { systemRandom } from "../../../src/core/random.ts";
import { Producer, type ProducerRecord } from "../../../src/kafka/producer.ts";
import { ClusterInspector } from "../../../src/kafka/topics.ts";
import { connectDatabase } from "../../../src/sink/database/database.ts";
import { type CommandResult, pockaffe } from "../../support/daemons/command-line.ts";
import { DaemonProcess, runDaemon } from "../../support/daemons/daemon-process.ts";
import { kafkaAt, loadTopic } from "../../support/kafka/load-topic.ts";
import { produceMany } from "../../support/kafka/produce-many.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

const brokers = inject("kafkaBrokers");
const FIRST = 1_700_000_000_000;

/** A handler over `{ id?, ...fields }`; `corrected` may change what it is given or answer by itself. */
const handler = (corrected = "") => `
	export function handleMessage({ key, value, offset }) {
		if (value === null) return { id: key.toString(), delete: true };
		const { id = key.toString(), ...fields } = JSON.parse(value.toString());
		${corrected}
		return { id, fields };
	}`;

interface Report {
	readonly messages: number;
	readonly changed: number;
	readonly added: number;
	readonly removed: number;
	readonly same: number;
	readonly moved: number;
	readonly rejected: number;
	readonly lettered: number;
	readonly failed: readonly { readonly offset: number; readonly reason: string }[];
	readonly refused: readonly { readonly id: string; readonly sqlstate: string }[];
}

/** A group whose daemon wrote `records` with the first handler, and has stopped. */
async function scene(
	records: readonly (readonly [key: string, value: object | null, partition?: number])[],
	{ first = handler(), table = {}, cas = {}, partitions = 1 }: { first?: string; table?: object; cas?: object; partitions?: number } = {},
) {
	const folder = await temporaryFolder();
	const db = await createTestDatabase();
	const [topic, group] = [uniqueName("reprocess"), uniqueName("g")];
	await loadTopic(brokers, { name: topic, partitions }, []);
	const config = {
		kafka: { brokers: [brokers], topics: [topic], group },
		handler: { module: "./handler.mjs", maxAttempts: 1 },
		database: { url: db.url },
		tables: { events: { columns: { name: "text", amount: "int" }, create: true, ...table } },
		cas,
		offsets: { commitIntervalMs: 50 },
		log: { format: "json" },
	};
	await writeFile(join(folder.path, "pockaffe.yaml"), JSON.stringify(config));
	const use = (source: string) => writeFile(join(folder.path, "handler.mjs"), source);
	await use(first);
	let at = FIRST;
	const produce = async (more: typeof records) => {
		await using producer = await Producer.connect(kafkaAt(brokers));
		await produceMany(
			producer,
			more.map(([key, value, partition = 0]): ProducerRecord => {
				at += 1_000;
				return { topic, partition, key, value: value && JSON.stringify(value), timestamp: at };
			}),
		);
	};
	const consume = async () => {
		await using daemon = await runDaemon(folder.path, config);
		await using inspector = await ClusterInspector.connect(kafkaAt(brokers), systemClock, group);
		await daemon.record("a start", ({ from }) => from !== undefined);
		await waitFor("all to be committed", async () => (await inspector.groupOffsets([topic])).every(({ lag }) => lag === 0));
		expect(await daemon.stop()).toBe(0);
	};
	await produce(records);
	await consume();
	return {
		folder: folder.path,
		db,
		topic,
		config,
		use,
		produce,
		consume,
		async reprocess(...args: string[]): Promise<CommandResult & { report: Report }> {
			const result = await pockaffe(["reprocess", "--json", ...args], { cwd: folder.path });
			return { ...result, report: result.stdout ? JSON.parse(result.stdout) : (result.stderr as never) };
		},
		async verify(): Promise<string> {
			const { stdout, stderr, code } = await pockaffe(["verify"], { cwd: folder.path });
			return code === 0 ? "verified" : stdout + stderr;
		},
		async rows(): Promise<(string | number | boolean | null)[][]> {
			const rows = await db.database.query("select id, name, amount, kafka_offset::int4 as at, deleted from events order by id");
			return rows.map(({ id, name, amount, at, deleted }) => [id, name, amount, at, ...(deleted ? ["deleted"] : [])] as never);
		},
		async [Symbol.asyncDispose]() {
			await db[Symbol.asyncDispose]();
			await folder[Symbol.asyncDispose]();
		},
	};
}

describeOnKafka("reprocess", () => {
	it("puts what the corrected handler makes in the place of what the same messages made", async () => {
		await using test = await scene([
			["a", { name: "a", amount: 1 }],
			["b", { name: "b", amount: 2 }],
			["a", { name: "a again", amount: 3 }],
			["c", { name: "c" }],
			["d", { name: "d", amount: 4 }],
		]);
		await test.use(handler("if (fields.amount) fields.amount *= 100;"));
		expect(await test.verify()).toMatch(/different/);
		const before = await test.rows();
		const dry = await test.reprocess("--dry-run");
		expect(dry.report).toMatchObject({ messages: 5, changed: 3, added: 0, removed: 0, same: 1, moved: 0, failed: [], refused: [] });
		const unasked = await test.reprocess();
		expect([unasked.code, unasked.stderr]).toEqual([2, expect.stringMatching(/3 rows would change.*--yes/)]);
		expect(await test.rows()).toEqual(before);
		const { report, code, stderr } = await test.reprocess("--yes");
		expect([code, stderr]).toEqual([0, ""]);
		expect(report).toMatchObject({ messages: 5, changed: 3, same: 1 });
		expect(await test.rows()).toEqual([
			["a", "a again", 300, 2],
			["b", "b", 200, 1],
			["c", "c", null, 3],
			["d", "d", 400, 4],
		]);
		expect(await test.verify()).toBe("verified");
		expect((await test.reprocess("--yes")).report).toMatchObject({ changed: 0, same: 4 });
	});

	it("leaves a row that a newer message wrote, though the stretch ends before it", async () => {
		await using test = await scene([
			["a", { name: "a", amount: 1 }],
			["b", { name: "b", amount: 2 }],
			["a", { name: "a again", amount: 3 }],
		]);
		await test.use(handler("fields.amount *= 100;"));
		// As a daemon would write it in this moment: of a message behind the committed ones.
		await test.db.database.query("update events set kafka_offset = 50, kafka_ts = kafka_ts + 90000, name = 'newer' where id = 'b'");
		const { report } = await test.reprocess("--to", "2", "--topic", test.topic, "--yes");
		expect(report).toMatchObject({ messages: 2, changed: 0, moved: 1 });
		expect(await test.rows()).toEqual([
			["a", "a again", 3, 2],
			["b", "newer", 2, 50],
		]);
		expect((await test.reprocess("--from", "2", "--topic", test.topic, "--yes")).report).toMatchObject({ messages: 1, changed: 1 });
		expect((await test.rows())[0]).toEqual(["a", "a again", 300, 2]);
	});

	it("replaces a row that its message makes no more by that of the message before, wherever that is, or removes it", async () => {
		await using test = await scene([
			["a", { name: "a", amount: 1 }],
			["b", { name: "b", amount: 2 }],
			["a", { name: "drop", amount: 3 }],
			["b", { name: "drop", amount: 4 }],
			["only", { name: "drop", amount: 5 }],
			["gone", { name: "delete", amount: 6 }],
			["gone before", null],
			["x", { name: "moves", amount: 7 }],
		]);
		await test.use(
			handler(`
				if (fields.name === "drop") return null;
				if (fields.name === "delete") return { id, delete: true };
				if (fields.name === "moves") return { id: "y", fields };`),
		);
		const { report } = await test.reprocess("--from", "2", "--topic", test.topic, "--yes");
		expect(report).toMatchObject({ messages: 6, changed: 3, added: 1, removed: 2, failed: [] });
		expect(await test.rows()).toEqual([
			["a", "a", 1, 0],
			["b", "b", 2, 1],
			["gone", null, null, 5, "deleted"],
			["gone before", null, null, 6, "deleted"],
			["y", "moves", 7, 7],
		]);
		expect(await test.verify()).toBe("verified");
	});

	it("takes the older message where a corrected version is lower", async () => {
		const cas = { version: "field", field: "amount" };
		await using test = await scene(
			[
				["a", { name: "five", amount: 5 }],
				["a", { name: "wrong nine", amount: 9 }],
				["b", { name: "nine", amount: 9 }],
			],
			{ table: { columns: { name: "text", amount: "bigint" } }, cas },
		);
		await test.use(handler(`if (fields.name === "wrong nine") fields.amount = 3;`));
		expect((await test.reprocess("--from", "1", "--topic", test.topic, "--yes")).report).toMatchObject({ changed: 1, same: 1 });
		expect((await test.rows()).map(([id, name]) => [id, name])).toEqual([
			["a", "five"],
			["b", "nine"],
		]);
		expect(await test.verify()).toBe("verified");
	});

	it("makes dead letters of what is rejected now, keeps the rows of what fails, and leaves letters out", async () => {
		await using test = await scene(
			[
				["a", { name: "a", amount: 1 }],
				["a", { name: "reject", amount: 2 }],
				["b", { name: "throw", amount: 3 }],
				["c", { name: "poison", amount: 4 }],
				["d", { name: "d", amount: 5 }],
			],
			{ first: handler(`if (fields.name === "poison") throw new Error("at first");`) },
		);
		await test.use(
			handler(`
				if (fields.name === "reject") return { reject: "no good" };
				if (fields.name === "throw") throw new Error("still a bug");
				if (fields.name === "d") fields.amount = 1e12;`),
		);
		const { report, code } = await test.reprocess("--yes");
		expect(code).toBe(1);
		expect(report).toMatchObject({ changed: 1, added: 0, removed: 0, rejected: 1, lettered: 1 });
		expect(report.failed.map(({ offset, reason }) => [offset, reason])).toEqual([[2, "poison"]]);
		expect(report.refused.map(({ id, sqlstate }) => [id, sqlstate])).toEqual([["d", "22003"]]);
		expect(await test.rows()).toEqual([
			["a", "a", 1, 0],
			["b", "throw", 3, 2],
			["d", "d", 5, 4],
		]);
		const letters = await test.db.database.query(`select reason, "offset"::int4 as at from pockaffe_dead_letters order by 2`);
		expect(letters.map(({ reason, at }) => [reason, at])).toEqual([
			["rejected", 1],
			["poison", 3],
		]);
		const [rejected] = await test.db.database.query("select topic_id from pockaffe_dead_letters where reason = 'rejected'");
		const [poison] = await test.db.database.query("select topic_id from pockaffe_dead_letters where reason = 'poison'");
		expect(rejected?.topic_id).toEqual(poison?.topic_id);
		expect((await test.reprocess("--yes")).report).toMatchObject({ changed: 0, rejected: 0, lettered: 2 });
	});

	it("tells rows that the server refuses, and leaves what was there", async () => {
		await using test = await scene([
			["a", { name: "a", amount: 1 }],
			["b", { name: "b", amount: 2 }],
			["c", { name: "c", amount: 3 }],
		]);
		await test.db.database.query("alter table events add constraint small check (amount < 200)");
		await test.use(handler("fields.amount *= 100;"));
		const { report, code } = await test.reprocess("--yes");
		expect([code, report.changed, report.refused]).toEqual([
			1,
			1,
			["b", "c"].map((id) => expect.objectContaining({ table: "events", id, sqlstate: "23514" })),
		]);
		expect((await test.rows()).map(([, , amount]) => amount)).toEqual([100, 2, 3]);
	});

	it("looks at the messages of a file of keys alone", async () => {
		await using test = await scene([
			["a", { name: "a", amount: 1 }],
			["b", { name: "b", amount: 2 }],
		]);
		await test.use(handler("fields.amount *= 100;"));
		await writeFile(join(test.folder, "keys"), "b\nnobody\n");
		expect((await test.reprocess("--keys", "keys", "--yes")).report).toMatchObject({ messages: 1, changed: 1, same: 0, moved: 0 });
		expect((await test.rows()).map(([, , amount]) => amount)).toEqual([1, 200]);
		await writeFile(join(test.folder, "keys"), "\n");
		const empty = await test.reprocess("--keys", "keys", "--yes");
		expect([empty.code, empty.stderr]).toEqual([2, expect.stringMatching(/there is no key in it/)]);
	});

	it("refuses a piece of the log to a handler whose rows come of several messages", async () => {
		await using test = await scene([
			["a", { name: "a", amount: 1 }],
			["a", { name: "sum", amount: 2 }],
			["b", { name: "b", amount: 3 }],
			["b", { name: "sum", amount: 4 }],
		]);
		const sums = `
			export const init = () => ({ sum: 0 });
			export function handleMessages(batch, state) {
				const outcomes = [];
				let finishedTo = null;
				for (const { key, value, offset } of batch) {
					const fields = JSON.parse(value.toString());
					state.sum += fields.amount;
					const isLast = fields.name === "sum";
					outcomes.push(isLast ? { id: key.toString(), fields: { name: "sum", amount: state.sum } } : null);
					if (!isLast) continue;
					state.sum = 0;
					finishedTo = offset;
				}
				return { outcomes, finishedTo };
			}`;
		await test.use(sums);
		const piece = await test.reprocess("--from", "1", "--topic", test.topic, "--yes");
		expect([piece.code, piece.stderr]).toEqual([2, expect.stringMatching(/finishedTo.*reprocess the whole log/)]);
		const whole = await test.reprocess("--yes");
		expect([whole.code, whole.report]).toEqual([0, expect.objectContaining({ messages: 4, changed: 2 })]);
		expect((await test.rows()).map(([id, , amount]) => [id, amount])).toEqual([
			["a", 3],
			["b", 7],
		]);
	});

	it("finds the message before in a partition that is not looked at, too", async () => {
		await using test = await scene(
			[
				["a", { name: "first", amount: 1 }, 0],
				["a", { name: "drop", amount: 2 }, 1],
			],
			{ partitions: 2 },
		);
		await test.use(handler(`if (fields.name === "drop") return null;`));
		const { report } = await test.reprocess("--topic", test.topic, "--partition", "1", "--yes");
		expect(report).toMatchObject({ messages: 1, changed: 1, removed: 0 });
		expect((await test.rows()).map(([id, name]) => [id, name])).toEqual([["a", "first"]]);
		expect(await test.verify()).toBe("verified");
	});

	it("writes what a daemon found stale beside a row that went back meanwhile", async () => {
		const cas = { version: "field", field: "amount" };
		await using test = await scene([["a", { name: "wrong nine", amount: 9 }]], {
			table: { columns: { name: "text", amount: "bigint" } },
			cas,
		});
		await test.use(handler(`if (fields.name === "wrong nine") fields.amount = 3;`));
		const config = loadConfig({ file: join(test.folder, "pockaffe.yaml"), environment: {}, cwd: test.folder }).config;
		const database = connectDatabase({ ...config.database, connections: 2, clock: systemClock });
		const report = await reprocess(
			{
				config,
				database,
				letters: async () => [],
				store: async () => {},
				stretch: [{ topic: test.topic, partition: 0, from: 0, to: 1_000 }],
				clock: systemClock,
				random: systemRandom,
				signal: new AbortController().signal,
				progress: () => {},
				waits: () => {},
			},
			async () => {
				await test.produce([["a", { name: "eight", amount: 8 }]]);
				await test.consume();
				expect((await test.rows()).map(([, name]) => name)).toEqual(["wrong nine"]);
				return true;
			},
		);
		await database.close();
		expect(report).toMatchObject({ messages: 1, changed: 1 });
		expect((await test.rows()).map(([, name]) => name)).toEqual(["eight"]);
		expect(await test.verify()).toBe("verified");
	});

	it("changes nothing where a message before the stretch, whose row may count again, can't be handled", async () => {
		await using test = await scene([
			["a", { name: "throw", amount: 1 }],
			["a", { name: "drop", amount: 2 }],
		]);
		await test.use(handler(`if (fields.name === "drop") return null; if (fields.name === "throw") throw new Error("a bug");`));
		const { code, stderr } = await test.reprocess("--from", "1", "--topic", test.topic, "--yes");
		expect([code, stderr]).toEqual([1, expect.stringMatching(/fails at .*@0, which lies before the stretch.*Nothing was changed/)]);
		expect((await test.rows()).map(([, name]) => name)).toEqual(["drop"]);
	});

	it("refuses what it can't do row by row: atomic messages, ids that are equal in several spellings, rows that take others along", async () => {
		const records = [["a", { name: "drop", amount: 1 }]] as const;
		const dropping = handler(`if (fields.name === "drop") return null;`);
		{
			await using atomic = await scene(records, { table: { atomic: "message" } });
			const { code, stderr } = await atomic.reprocess("--yes");
			expect([code, stderr]).toEqual([2, expect.stringMatching(/atomic: message/)]);
		}
		await using test = await scene(records);
		await test.use(dropping);
		const query = (text: string) => test.db.database.query(text);
		await query("create table children (parent text references events on delete cascade)");
		const cascade = await test.reprocess("--yes");
		expect([cascade.code, cascade.stderr]).toEqual([1, expect.stringMatching(/children.*cascade/)]);
		await query("drop table children");
		await query("create collation folding (provider = icu, locale = 'und-u-ks-level2', deterministic = false)");
		await query("alter table events alter id type text collate folding");
		const folding = await test.reprocess("--yes");
		expect([folding.code, folding.stderr]).toEqual([2, expect.stringMatching(/collation/)]);
		expect(await test.rows()).toHaveLength(1);
	});

	it("comes to the same after a kill in the middle", async () => {
		const count = 5_000;
		await using test = await scene(Array.from({ length: count }, (_, i) => [`${10_000 + i}`, { name: "n", amount: i }] as const));
		await test.use(handler("fields.amount += 1_000_000;"));
		const changed = async () =>
			Number((await test.db.database.query("select count(*)::int4 as n from events where amount >= 1000000"))[0]?.n);
		const lock = "do $$ begin perform id from events where id = '14000' for update; perform pg_sleep(600); end $$";
		const locker = connectDatabase({ url: test.db.url, connections: 1, clock: systemClock, statementTimeoutMs: 0, deadlineMs: 600_000 });
		const locked = locker.query(lock).catch(() => {});
		const sleeper = "from pg_stat_activity where query like 'do $$ begin perform id%' and wait_event = 'PgSleep'";
		await waitFor("the lock", async () => (await test.db.database.query(`select 1 ${sleeper}`)).length === 1);
		{
			await using command = new DaemonProcess(["reprocess", "--yes"], { cwd: test.folder });
			await waitFor("it to wait for the lock", async () => command.output.includes("waiting for the database"));
			command.child.kill("SIGKILL");
		}
		await test.db.database.query(`select pg_terminate_backend(pid) ${sleeper}`);
		await locked;
		await locker.close();
		const atKill = await changed();
		expect(atKill).toBeGreaterThan(0);
		expect(atKill).toBeLessThan(count);
		expect((await test.reprocess("--yes")).report).toMatchObject({ changed: count - atKill, same: atKill });
		expect(await changed()).toBe(count);
		expect(await test.verify()).toBe("verified");
	});
});
