/**
 * The right to write to a topic is taken away from a running daemon whose handler produces, or is missing at its start, and given again:
 * said with what gives it, nothing is lost, no order is changed, and partitions that produce elsewhere, or only rows, go on.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { Producer } from "../../../src/kafka/producer.ts";
import { ClusterInspector } from "../../../src/kafka/topics.ts";
import { notReadyFor } from "../../support/daemons/delivery-scene.ts";
import { eventTable } from "../../support/daemons/event-log.ts";
import { produceMany } from "../../support/kafka/produce-many.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { type Right, type SecuredKafka, startSecuredKafka } from "../../support/kafka/secured-kafka.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { waitFor } from "../../support/wait-for.ts";
import { firsts, readTopic, service } from "./producing-scene.ts";

const COUNT = 200;
const DRAIN_MS = 60_000;
const offsets = Array.from({ length: 2 * COUNT }, (_, offset) => offset);

describeOnKafka("the right to write to a produced topic", () => {
	let kafka: SecuredKafka;

	beforeAll(async () => {
		kafka = await startSecuredKafka(["app", "starter"]);
	});

	afterAll(() => kafka?.[Symbol.asyncDispose]());

	/** Partition 0 produces to `out`, 1 to `other`, 2 makes rows. */
	const handler = (out: string, other: string) => `export const handleMessage = ({ partition, key, value }) => partition < 2
		? { produce: [{ topic: ["${out}", "${other}"][partition], key, value, partition: 0 }] }
		: { id: key.toString(), fields: { name: value.toString() } };`;

	it.each([
		["and Describe remains", { describes: true, alone: false }],
		["and nothing else remains", { describes: false, alone: false }],
		["and it was the only topic to write to", { describes: true, alone: true }],
	])("is taken away while it runs, %s: told with what gives it, others go on, and so does this one", async (_, how) => {
		await using db = await createTestDatabase();
		const [source, out, other] = [uniqueName("source"), uniqueName("out"), uniqueName("other")];
		await kafka.createTopic(source, 3);
		for (const topic of [out, other]) await kafka.createTopic(topic, 1);
		await using daemon = await service(kafka.brokers, handler(out, other), {
			...{ topic: source, url: db.url, kafka: kafka.as("app") },
			handler: { produces: [out, other] },
			tables: { events: eventTable },
		});
		const write = (topic: string): Right => ["Write", "topic", topic];
		await kafka.give("app", ["Read", "topic", source], ["Read", "group", daemon.group], write(out), write(other));
		if (how.describes) await kafka.give("app", ["Describe", "topic", out], ["Describe", "topic", other]);
		await using producer = await Producer.connect(kafka.admin);
		let next = 0;
		const load = async () => {
			const numbers = Array.from({ length: COUNT }, () => next++);
			const records = numbers.flatMap((i) => [0, 1, 2].map((partition) => ({ topic: source, partition, key: `k${i}`, value: `v${i}` })));
			await produceMany(producer, records);
		};
		await using inspector = await ClusterInspector.connect(kafka.admin, systemClock, daemon.group);
		const committed = async () => (await inspector.groupOffsets([source])).map((each) => each.committed);
		const untilCommitted = (what: string, expected: readonly unknown[]) =>
			waitFor(what, async () => JSON.stringify(await committed()) === JSON.stringify(expected));

		await load();
		const running = await daemon.run();
		await untilCommitted("all before", [COUNT, COUNT, COUNT]);
		await kafka.take("app", write(out), ...(how.alone ? [write(other)] : []));
		await load();
		const reason = await notReadyFor(running, "produce_blocked", new RegExp(`records for topic ${out} can't be produced: .*uthorization`));
		expect(reason).toMatchObject({ topic: out, partition: null });
		const gives = `--allow-principal User:app --operation Write --topic ${out}`;
		expect(reason.message).toContain(gives);
		await running.record("the right in the log", ({ level, msg }) => level === "error" && msg.includes(gives));
		await untilCommitted("what does not write there", [COUNT, how.alone ? COUNT : 2 * COUNT, 2 * COUNT]);
		await kafka.give("app", write(out), ...(how.alone ? [write(other)] : []));
		await untilCommitted("all", [2 * COUNT, 2 * COUNT, 2 * COUNT]);
		await running.ready();
		for (const topic of [out, other]) {
			const [log = []] = await readTopic(kafka.admin, topic, 1);
			expect(firsts(log).map(({ offset }) => offset)).toEqual(offsets);
		}
		expect((await db.database.query("select 1 from events")).length).toBe(2 * COUNT);
		expect(await running.metric("pockaffe_dead_letters_total")).toBe(0);
		expect(running.child.exitCode).toBeNull();
		expect(await running.stop()).toBe(0);
	});

	it("is missing at the start, for every topic: told with what gives it, a drain does not wait, and with it all goes on", {}, async () => {
		await using db = await createTestDatabase();
		const [source, out, other] = [uniqueName("source"), uniqueName("out"), uniqueName("other")];
		await kafka.createTopic(source, 3);
		for (const topic of [out, other]) await kafka.createTopic(topic, 1);
		await using daemon = await service(kafka.brokers, handler(out, other), {
			...{ topic: source, url: db.url, kafka: kafka.as("starter"), drain: { timeoutMs: DRAIN_MS } },
			handler: { produces: [out, other] },
			tables: { events: eventTable },
		});
		await kafka.give("starter", ["Read", "topic", source], ["Read", "group", daemon.group]);
		await kafka.give("starter", ["Describe", "topic", out], ["Describe", "topic", other]);
		await using producer = await Producer.connect(kafka.admin);
		const numbers = Array.from({ length: COUNT }, (_, i) => i);
		await produceMany(
			producer,
			numbers.flatMap((i) => [0, 1, 2].map((partition) => ({ topic: source, partition, key: `k${i}`, value: `v${i}` }))),
		);
		await using inspector = await ClusterInspector.connect(kafka.admin, systemClock, daemon.group);
		const untilCommitted = (what: string, expected: readonly unknown[]) =>
			waitFor(what, async () => {
				const offsets = await inspector.groupOffsets([source]);
				return JSON.stringify(offsets.map(({ committed }) => committed)) === JSON.stringify(expected);
			});

		const gives = (topic: string) => `--allow-principal User:starter --operation Write --topic ${topic}`;
		const first = await daemon.run();
		for (const topic of [out, other])
			await first.record(`the right to write to ${topic} in the log`, ({ level, msg }) => level === "error" && msg.includes(gives(topic)));
		const reason = await notReadyFor(first, "produce_blocked", /records for topic \S+ can't be produced: .*uthorization/);
		expect(reason.message).toContain(gives(String(reason.topic)));
		const stoppedAt = performance.now();
		expect(await first.stop()).toBe(0);
		expect(performance.now() - stoppedAt).toBeLessThan(DRAIN_MS / 2);

		const second = await daemon.run();
		await notReadyFor(second, "produce_blocked", /uthorization/);
		await kafka.give("starter", ["Write", "topic", out], ["Write", "topic", other]);
		await untilCommitted("all", [COUNT, COUNT, COUNT]);
		await second.ready();
		for (const topic of [out, other]) {
			const [log = []] = await readTopic(kafka.admin, topic, 1);
			expect(firsts(log).map(({ offset }) => offset)).toEqual(numbers);
		}
		expect(await second.stop()).toBe(0);
	});
});
