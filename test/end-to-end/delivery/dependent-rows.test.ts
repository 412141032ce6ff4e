/** Tables with a foreign key and a unique column, through Kafka: what the log says is in the tables, and no message is a dead letter. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, inject, it } from "vitest";
import { Producer, type ProducerRecord } from "../../../src/kafka/producer.ts";
import { runDaemon } from "../../support/daemons/daemon-process.ts";
import { untilCommitted } from "../../support/kafka/group-offsets.ts";
import { kafkaAt, loadTopic } from "../../support/kafka/load-topic.ts";
import { produceMany } from "../../support/kafka/produce-many.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres/test-database.ts";
import { slowness } from "../../support/slowness.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

/** A message's rows as the handler returns them: table, id, and the value of its one column. */
type Row = readonly [table: "orders" | "lines" | "people", id: string, value: string | null];
type Message = readonly Row[];

const columns = { orders: "note", lines: "order_id", people: "email" } as const;

const handler = `
	const columns = ${JSON.stringify(columns)};
	export const handleMessage = ({ value }) =>
		JSON.parse(value.toString()).map(([table, id, field]) => ({ table, id, fields: { [columns[table]]: field } }));`;

async function makeTables(db: TestDatabase, withTopic: boolean): Promise<void> {
	const system = `kafka_ts bigint not null, kafka_offset bigint not null, kafka_partition int4 not null,
		${withTopic ? "kafka_topic text not null," : ""} deleted boolean not null default false`;
	await db.database.query(`create table orders (id text primary key, note text, ${system})`);
	await db.database.query(`create table lines (id text primary key, order_id text references orders (id), ${system})`);
	await db.database.query(`create table people (id text primary key, email text unique, ${system})`);
}

/** The newest of each id. */
function fold(messages: readonly Message[]): Record<string, string[]> {
	const newest = new Map(messages.flat().map(([table, id, value]) => [`${table} ${id}`, [table, `${id}: ${value}`] as const]));
	const rows: Record<string, string[]> = { orders: [], lines: [], people: [] };
	for (const [table, row] of newest.values()) rows[table]?.push(row);
	return Object.fromEntries(Object.entries(rows).map(([table, each]) => [table, each.sort()]));
}

async function stored(db: TestDatabase): Promise<Record<string, string[]>> {
	const rows: Record<string, string[]> = {};
	for (const [table, column] of Object.entries(columns)) {
		const found = await db.database.query(`select id, ${column} as value from ${table}`);
		rows[table] = found.map(({ id, value }) => `${id}: ${value}`).sort();
	}
	return rows;
}

const letters = (db: TestDatabase) => db.database.query('select "offset"::int, refused_rows from pockaffe_dead_letters');

function records(topic: string, partition: number, messages: readonly Message[]): ProducerRecord[] {
	return messages.map((rows, i) => ({ topic, partition, key: String(i), value: JSON.stringify(rows), timestamp: 1_000 + i }));
}

function configOf(topics: readonly string[], group: string, url: string, lines: object = {}): Record<string, unknown> {
	return {
		kafka: { brokers: [inject("kafkaBrokers")], topics, group },
		handler: { module: "./handler.mjs" },
		database: { url },
		tables: {
			lines: { columns: { order_id: "text" }, ...lines },
			people: { columns: { email: "text" } },
			orders: { columns: { note: "text" } },
		},
		offsets: { commitIntervalMs: 100 },
	};
}

/** Orders with their lines in one message, children first; addresses that one gives up and another takes. */
function log(partition: number): Message[] {
	return Array.from({ length: 600 }, (_, i): Message => {
		const order = `p${partition}-o${i % 200}`;
		const line = (n: number): Row => ["lines", `p${partition}-l${i}-${n}`, order];
		const [giver, taker] = [`p${partition}-z${i % 7}`, `p${partition}-a${(i * 3) % 7}`];
		const address = `p${partition}-mail${i}`;
		if (i % 3 === 0) return [line(0), line(1), ["orders", order, `note ${i}`]];
		// What the giver had it gives up in one message; the taker has it from the next one on.
		if (i % 3 === 1) return [["people", giver, address], ["orders", order, `note ${i}`], line(2)];
		const given = `p${partition}-mail${i - 1}`;
		return [
			["people", `p${partition}-z${(i - 1) % 7}`, null],
			["people", taker, given],
			["orders", order, "x"],
		];
	});
}

describeOnKafka("a log of rows that depend on each other", () => {
	it("is as the log says, without a dead letter", async () => {
		await using folder = await temporaryFolder();
		await using db = await createTestDatabase();
		await makeTables(db, false);
		await writeFile(join(folder.path, "handler.mjs"), handler);
		const [topic, group] = [uniqueName("dependent"), uniqueName("group")];
		const logs = [log(0), log(1)];
		await loadTopic(
			inject("kafkaBrokers"),
			{ name: topic, partitions: 2 },
			logs.flatMap((each, partition) => records(topic, partition, each)),
		);
		await using daemon = await runDaemon(folder.path, configOf([topic], group, db.url));
		await untilCommitted(inject("kafkaBrokers"), group, topic);
		expect(await letters(db)).toEqual([]);
		expect(await stored(db)).toEqual(fold(logs.flat()));
		expect(await daemon.stop()).toBe(0);
	});

	it("one of whose rows is refused leaves none of them behind, and one letter names them", async () => {
		await using folder = await temporaryFolder();
		await using db = await createTestDatabase();
		await makeTables(db, false);
		await db.database.query("alter table orders add check (note <> 'bad')");
		await writeFile(join(folder.path, "handler.mjs"), handler);
		const [topic, group] = [uniqueName("atomic"), uniqueName("group")];
		const messages = Array.from({ length: 200 }, (_, i): Message => {
			const note = i === 50 ? "bad" : i === 120 ? "\0" : `note ${i}`;
			return [
				["lines", `l${i}-0`, `o${i}`],
				["orders", `o${i}`, note],
				["lines", `l${i}-1`, `o${i}`],
				["people", `p${i}`, null],
			];
		});
		await loadTopic(inject("kafkaBrokers"), { name: topic, partitions: 1 }, records(topic, 0, messages));
		const config = configOf([topic], group, db.url, { atomic: "message" }) as { tables: Record<string, object> };
		await using daemon = await runDaemon(folder.path, {
			...config,
			tables: { ...config.tables, orders: { columns: { note: "text" }, atomic: "message" } },
		});
		await untilCommitted(inject("kafkaBrokers"), group, topic);
		const found = await db.database.query(`select "offset"::int, sqlstate, row_id, refused_rows from pockaffe_dead_letters order by 1`);
		// What the server refuses, and what the handler's thread does.
		expect(found.map(({ offset, sqlstate, row_id }) => [offset, sqlstate, row_id])).toEqual([
			[50, "23514", "o50"],
			[120, "22021", "o120"],
		]);
		for (const { offset, refused_rows } of found) {
			const rows = (typeof refused_rows === "string" ? JSON.parse(refused_rows) : refused_rows) as [string, string, string][];
			expect(new Set(rows.map(([table, id]) => `${table} ${id}`))).toEqual(
				new Set([`orders o${offset}`, `lines l${offset}-0`, `lines l${offset}-1`]),
			);
		}
		const kept = messages.map((rows, i) => (i === 50 || i === 120 ? rows.filter(([table]) => table === "people") : rows));
		expect(await stored(db)).toEqual(fold(kept));
		expect(await daemon.stop()).toBe(0);
	});

	it("waits for parents from another topic; a stop meanwhile hands over at once", async () => {
		await using folder = await temporaryFolder();
		await using db = await createTestDatabase();
		await makeTables(db, true);
		await writeFile(join(folder.path, "handler.mjs"), handler);
		const [children, parents, group] = [uniqueName("children"), uniqueName("parents"), uniqueName("group")];
		const brokers = inject("kafkaBrokers");
		const lines = Array.from({ length: 500 }, (_, i): Message => [["lines", `l${i}`, `o${i % 50}`]]);
		const orders = Array.from({ length: 50 }, (_, i): Message => [["orders", `o${i}`, "n"]]);
		await loadTopic(brokers, { name: children, partitions: 1 }, records(children, 0, lines));
		await loadTopic(brokers, { name: parents, partitions: 1 }, []);
		const config = configOf([children, parents], group, db.url, { references: { waitMs: 60_000 } });
		const waiting = async (daemon: Awaited<ReturnType<typeof runDaemon>>) =>
			await waitFor("them to wait", async () => (await daemon.metric("pockaffe_write_awaiting_parent_rows")) === lines.length);
		await using first = await runDaemon(folder.path, config);
		await waiting(first);
		const told = await first.record("what they wait for", ({ msg }) =>
			msg.includes("for the row that its foreign key lines_order_id_fkey refers to"),
		);
		expect(told).toMatchObject({ level: "warn", topic: children, partition: 0, table: "lines", id: "l0", offset: 0 });
		const startedAt = performance.now();
		expect(await first.stop()).toBe(0);
		expect(performance.now() - startedAt).toBeLessThan(5_000 * (await slowness()));
		await using second = await runDaemon(folder.path, config);
		await waiting(second);
		await using producer = await Producer.connect(kafkaAt(brokers), { lingerMs: 5 });
		await produceMany(producer, records(parents, 0, orders));
		await untilCommitted(brokers, group, children);
		expect(await letters(db)).toEqual([]);
		expect(await stored(db)).toEqual(fold([...lines, ...orders]));
		await second.ready();
		expect(await second.stop()).toBe(0);
	});
});
