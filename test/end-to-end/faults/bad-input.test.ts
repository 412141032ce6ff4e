/** Bad messages, one of each kind, with a real Kafka and Postgres: each ends where it belongs, says why, and nothing else is lost by it. */
import { expect, inject, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import type { ProducerRecord } from "../../../src/kafka/producer.ts";
import { ClusterInspector } from "../../../src/kafka/topics.ts";
import { runDaemon } from "../../support/daemons/daemon-process.ts";
import { kafkaAt, loadTopic } from "../../support/kafka/load-topic.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

const megabyte = "m".repeat(1_000_000);

/** Key, value, and what must come of it: a row's name, a tombstone, or a dead letter's reason and SQLSTATE. */
const cases: readonly (readonly [what: string, key: Buffer | string | null, value: string | null, expected: unknown])[] = [
	["a good one", "good", '{"name":"first","amount":1}', { name: "first" }],
	["not JSON", "not-json", "{nope", ["rejected", null]],
	["a JSON list", "list", "[1]", ["rejected", null]],
	["an empty value", "empty-value", "", ["rejected", null]],
	["a null value", "null-value", null, "tombstone"],
	["a null key", null, '{"name":"nobody"}', ["rejected", null]],
	["an empty key", "", '{"name":"empty key"}', { name: "empty key" }],
	["a key that isn't UTF-8", Buffer.from([0xff, 0xfe]), '{"name":"binary"}', ["rejected", null]],
	["a value of a megabyte", "megabyte", JSON.stringify({ name: megabyte }), { name: megabyte }],
	["a text with NUL", "nul", '{"name":"a\\u0000b"}', ["row_fault", "22021"]],
	["a lone surrogate", "surrogate", '{"name":"\\ud800"}', ["row_fault", "22021"]],
	["a pair of surrogates", "pair", '{"name":"\\ud83d\\ude00"}', { name: "😀" }],
	["a number out of range", "range", '{"amount":9223372036854775808}', ["row_fault", "22003"]],
	["the largest number", "largest", '{"name":"n","amount":9223372036854775807}', { name: "n", amount: "9223372036854775807" }],
	["a fraction for a bigint", "fraction", '{"amount":1.75}', ["row_fault", "22P02"]],
	["a word for a number", "word", '{"amount":"abc"}', ["row_fault", "22P02"]],
	["a separator of ours", "separator", '{"name":"\\u001e\\u001f\\u0001"}', { name: "\u001e\u001f\u0001" }],
	["an unknown field", "unknown", '{"name":"u","more":1}', { name: "u" }],
	["a last good one", "last", '{"name":"last","amount":2}', { name: "last" }],
];

describeOnKafka("bad input", () => {
	it("dead-letters what can't be handled or written, and writes everything else", async () => {
		await using folder = await temporaryFolder();
		await using db = await createTestDatabase();
		const [topic, group] = [uniqueName("bad"), uniqueName("group")];
		const records = cases.map(([, key, value]): ProducerRecord => ({ topic, partition: 0, key, value }));
		await loadTopic(inject("kafkaBrokers"), { name: topic, partitions: 1 }, records);
		await using daemon = await runDaemon(folder.path, configFor(topic, group, db.url));
		try {
			await committed(topic, group, cases.length);
			const rows = await db.database.query("select id, name, amount::text, deleted, kafka_offset::int from events");
			const letters = await db.database.query('select "offset"::int, reason, sqlstate, value, key, error from pockaffe_dead_letters');
			for (const [offset, [what, key, value, expected]] of cases.entries()) {
				const row = rows.find(({ kafka_offset }) => kafka_offset === offset);
				const letter = letters.find((each) => each.offset === offset);
				if (Array.isArray(expected)) {
					expect([letter?.reason, letter?.sqlstate], what).toEqual(expected);
					expect(row, what).toBeUndefined();
					expect(letter?.value, what).toEqual(value === null ? null : Buffer.from(value));
					expect(letter?.key, what).toEqual(key === null ? null : Buffer.from(key));
				} else {
					expect(letter, what).toBeUndefined();
					const shown = expected === "tombstone" ? { deleted: true, name: null } : { deleted: false, ...(expected as object) };
					expect(row, what).toMatchObject(shown);
				}
			}
			await daemon.ready();
			// Bytes of values never reach the log.
			expect(daemon.output).not.toContain("nope");
			expect(daemon.output).not.toContain("mmmm");
		} finally {
			expect(await daemon.stop()).toBe(0);
		}
	});

	it("coalesces 10,000 messages of one id into one row, each counted", async () => {
		await using folder = await temporaryFolder();
		await using db = await createTestDatabase();
		const [topic, group] = [uniqueName("same"), uniqueName("group")];
		const records = Array.from(
			{ length: 10_000 },
			(_, i): ProducerRecord => ({ topic, partition: 0, key: "one", value: `{"name":"${i}"}`, timestamp: 1_000 + i }),
		);
		await loadTopic(inject("kafkaBrokers"), { name: topic, partitions: 1 }, records);
		await using daemon = await runDaemon(folder.path, configFor(topic, group, db.url));
		try {
			await committed(topic, group, 10_000);
			expect(await db.database.query("select name, kafka_offset::int from events")).toMatchObject([{ name: "9999", kafka_offset: 9999 }]);
			expect(await daemon.metric("pockaffe_cas_rows_total")).toBe(10_000);
			expect(await daemon.metric("pockaffe_cas_rows_total", 'result="inserted"')).toBe(1);
		} finally {
			expect(await daemon.stop()).toBe(0);
		}
	});
});

function configFor(topic: string, group: string, url: string): Record<string, unknown> {
	return {
		kafka: { brokers: [inject("kafkaBrokers")], topics: [topic], group },
		handler: { module: "pockaffe:json" },
		database: { url },
		tables: { events: { columns: { name: "text", amount: "bigint" }, create: true } },
		offsets: { commitIntervalMs: 100 },
	};
}

async function committed(topic: string, group: string, offset: number): Promise<void> {
	await using inspector = await ClusterInspector.connect(kafkaAt(inject("kafkaBrokers")), systemClock, group);
	await waitFor(`offset ${offset} to be committed`, async () => (await inspector.groupOffsets([topic]))[0]?.committed === offset);
}
