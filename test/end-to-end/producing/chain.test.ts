/**
 * topic -> handler -> produced topic -> handler -> table, each by two daemons under load, while daemons are killed and replaced and the
 * broker is restarted: what is produced, in which order, how many repeats there are, and what the table holds at the end.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import type { ReceivedMessage } from "../../../src/core/messages/message.ts";
import { SOURCE_HEADER, SOURCE_INDEX_HEADER } from "../../../src/core/messages/records.ts";
import type { DaemonProcess } from "../../support/daemons/daemon-process.ts";
import { eventLog, eventTable, readTable } from "../../support/daemons/event-log.ts";
import { committedOffsets, untilCommitted } from "../../support/kafka/group-offsets.ts";
import { type KafkaServer, startKafka } from "../../support/kafka/kafka-server.ts";
import { kafkaAt } from "../../support/kafka/load-topic.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { SteadyLoad } from "../../support/kafka/steady-load.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres/test-database.ts";
import { waitFor } from "../../support/wait-for.ts";
import { header, makeTopic, readTopic, type Service, service } from "./producing-scene.ts";

const PARTITIONS = 4;
const PER_SECOND = 400;
const MOST_EVENTS = 1_000_000;

const producing = (topic: string) => `export const handleMessage = ({ key, value }) => ({ produce: [{ topic: "${topic}", key, value }] });`;

const writing = `export function handleMessage({ key, value }) {
	const id = key.toString();
	if (value === null) return { id, delete: true };
	const { name, amount, note } = JSON.parse(value.toString());
	return { id, fields: { name, amount, note } };
}`;

/** Two daemons of a group. */
class Stage {
	readonly #service: Service;
	readonly #brokers: string;
	readonly #topic: string;
	readonly #daemons: DaemonProcess[] = [];

	constructor(of: Service, brokers: string, topic: string) {
		this.#service = of;
		this.#brokers = brokers;
		this.#topic = topic;
	}

	async start(): Promise<void> {
		for (let i = 0; i < 2; i++) this.#daemons.push(await this.#service.run());
	}

	/** `kill -9` of the older daemon; another comes at once. */
	async kill(): Promise<void> {
		expect(await this.#daemons.shift()?.stop("SIGKILL")).toBe(137);
		this.#daemons.push(await this.#service.run());
	}

	/** All daemons are replaced, one after the other. */
	async roll(): Promise<void> {
		for (let i = 0; i < 2; i++) {
			expect(await this.#daemons.shift()?.stop()).toBe(0);
			const next = await this.#service.run();
			this.#daemons.push(next);
			await next.ready();
		}
	}

	/** Resolves when every partition has committed more than at the call: it has an owner that works. */
	async goesOn(): Promise<void> {
		const committed = () => committedOffsets(this.#brokers, this.#service.group, this.#topic);
		const before = await waitFor("an answer about offsets", committed);
		const isMore = async () => (await committed()).every((offset, i) => (offset ?? 0) > (before[i] ?? 0));
		await waitFor(() => `commits of ${this.#topic}\n${this.#daemons.map(({ output }) => output.slice(-2_000)).join("\n")}`, isMore);
	}

	async end(): Promise<void> {
		await untilCommitted(this.#brokers, this.#service.group, this.#topic);
		for (const daemon of this.#daemons) expect(await daemon.stop()).toBe(0);
	}
}

describeOnKafka("a chain of daemons, from topic to topic to table", () => {
	let kafka: KafkaServer;

	beforeAll(async () => {
		kafka = await startKafka();
	});

	afterAll(() => kafka?.stop());

	it("loses no record and keeps their order over kills, broker restarts and a rolling restart; a reader drops exactly the repeats", async () => {
		const { brokers } = kafka;
		await using db = await createTestDatabase();
		await using readersDb = await createTestDatabase();
		const [source, middle] = [uniqueName("chain"), uniqueName("middle")];
		for (const topic of [source, middle]) await makeTopic(brokers, topic, PARTITIONS);
		await using first = await service(brokers, producing(middle), { topic: source, url: db.url, handler: { produces: [middle] } });
		const writer = { topic: middle, tables: { events: eventTable }, cas: { version: "offset" }, handler: { dropRepeats: true } };
		await using second = await service(brokers, writing, { ...writer, url: db.url });
		const stages = [new Stage(first, brokers, source), new Stage(second, brokers, middle)] as const;
		const [producers, writers] = stages;
		for (const stage of stages) await stage.start();
		const goOn = () => Promise.all(stages.map((stage) => stage.goesOn()));
		const log = { topic: source, count: MOST_EVENTS, ids: 2_000, partitions: PARTITIONS, seed: 28, wander: false, deletes: 0.02 };
		await using load = await SteadyLoad.start(brokers, eventLog(log), PER_SECOND);
		await goOn();
		for (const stage of stages) {
			await stage.kill();
			await goOn();
		}
		await kafka.kill();
		await kafka.restart();
		await goOn();
		await Promise.all([producers.kill(), writers.kill()]);
		await goOn();
		for (const stage of stages) await stage.roll();
		await goOn();
		await kafka.kill("SIGTERM");
		await producers.kill();
		await kafka.restart();
		await goOn();
		await writers.kill();
		await goOn();
		await load.stop();
		for (const stage of stages) await stage.end();

		const messages = await readTopic(kafkaAt(brokers), source, PARTITIONS);
		const records = await readTopic(kafkaAt(brokers), middle, PARTITIONS);
		const repeats = expectComplete(messages.flat(), records);
		for (const each of records) expect(outOfOrder(each)).toEqual([]);
		const fold = foldOf(messages);
		expect(await wrongRows(db, fold)).toEqual([]);

		// Whoever reads the produced topic from its beginning drops those repeats, and no other record.
		await using third = await service(brokers, writing, { ...writer, url: readersDb.url });
		const reader = await third.run();
		await untilCommitted(brokers, third.group, middle);
		expect(await reader.metric("pockaffe_handler_outcomes_total", 'outcome="repeated"')).toBe(repeats);
		expect(await wrongRows(readersDb, fold)).toEqual([]);
		expect(await reader.stop()).toBe(0);
		console.info(`chain: ${messages.flat().length} messages, ${records.flat().length} records, ${repeats} of them repeats`);
	});
});

/** Each message has its record, and whatever else there is repeats one of those; returns how many repeats there are. */
function expectComplete(messages: readonly ReceivedMessage[], records: readonly (readonly ReceivedMessage[])[]): number {
	const expected = new Map(messages.map((message) => [`${message.topic}/${message.partition}/${message.offset}`, contentOf(message)]));
	const found = new Map<string, number>();
	const wrong: string[] = [];
	for (const record of records.flat()) {
		const from = header(record, SOURCE_HEADER);
		if (header(record, SOURCE_INDEX_HEADER) !== "0" || expected.get(from) !== contentOf(record)) wrong.push(from);
		found.set(from, (found.get(from) ?? 0) + 1);
	}
	expect(wrong.slice(0, 5)).toEqual([]);
	expect([...expected.keys()].filter((from) => !found.has(from)).slice(0, 5)).toEqual([]);
	return [...found.values()].reduce((sum, count) => sum + count - 1, 0);
}

function contentOf({ key, value, timestamp }: ReceivedMessage): string {
	return JSON.stringify([String(key), value && String(value), timestamp]);
}

/** First deliveries ahead of earlier ones from the same source partition, in a partition of the produced topic. */
function outOfOrder(log: readonly ReceivedMessage[]): string[] {
	const [seen, last] = [new Set<string>(), new Map<string, number>()];
	return log.flatMap((record) => {
		const from = header(record, SOURCE_HEADER);
		if (seen.has(from)) return [];
		seen.add(from);
		const at = from.lastIndexOf("/");
		const [partition, offset] = [from.slice(0, at), Number(from.slice(at + 1))];
		const isLate = offset < (last.get(partition) ?? -1);
		last.set(partition, offset);
		return isLate ? [from] : [];
	});
}

/** Each id's last value: ids stay on their partition. */
function foldOf(messages: readonly (readonly ReceivedMessage[])[]): Map<string, string | null> {
	return new Map(messages.flat().map(({ key, value }) => [String(key), value && JSON.parse(String(value)).name]));
}

/** The first ids whose row is not as it must be. */
async function wrongRows({ database }: TestDatabase, fold: ReadonlyMap<string, string | null>): Promise<string[]> {
	const rows = new Map([...(await readTable(database, "events"))].map(([id, { name, deleted }]) => [id, deleted ? null : name]));
	const ids = new Set([...rows.keys(), ...fold.keys()]);
	return [...ids].filter((id) => !rows.has(id) || !fold.has(id) || rows.get(id) !== fold.get(id)).slice(0, 5);
}
