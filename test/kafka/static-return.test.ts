/** Static members whose topics change while they are away for less than a session, on a real Kafka: the broker gives them what they had. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, inject, it } from "vitest";
import { Producer } from "../../src/kafka/producer.ts";
import { DaemonProcess } from "../support/daemons/daemon-process.ts";
import { untilCommitted } from "../support/kafka/group-offsets.ts";
import { deleteTopic, kafkaAt, loadTopic, raisePartitions } from "../support/kafka/load-topic.ts";
import { produceMany } from "../support/kafka/produce-many.ts";
import { describeOnKafka, uniqueName } from "../support/kafka/real-kafka.ts";
import { createTestDatabase } from "../support/postgres/test-database.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait-for.ts";

const brokers = inject("kafkaBrokers");
const COUNT = 40;
const TIMES = { timeout: 120_000 };

interface Scene {
	readonly partitions: number;
	readonly protocol?: string;
	readonly store?: string;
	/** What the topic's name may go on with. */
	readonly pattern?: string;
	readonly meanwhile: (topic: string) => Promise<void>;
	/** What the member has in the end; `t` is the topic. */
	readonly has: readonly string[];
}

/** Reads a topic, stops, lets it change, and starts again; resolves with what it said of the change, once it has all and all is read. */
async function returnedTo({ partitions, protocol = "classic", store = "kafka", pattern = "", meanwhile, has }: Scene): Promise<string> {
	await using folder = await temporaryFolder();
	await using db = await createTestDatabase();
	const [topic, group] = [uniqueName("return"), uniqueName("g")];
	await loadTopic(brokers, { name: topic, partitions }, records(topic, partitions, "before"));
	const file = join(folder.path, "pockaffe.yaml");
	const config = {
		kafka: { brokers: [brokers], topics: [pattern ? `^${topic}${pattern}` : topic], group, instanceId: "a", protocol },
		handler: { module: "pockaffe:json" },
		database: { url: db.url },
		tables: { events: { columns: { name: "text" }, create: true } },
		offsets: { commitIntervalMs: 50, store },
		http: { port: 0 },
	};
	await writeFile(file, JSON.stringify(config));
	const start = () => new DaemonProcess(["run", "-c", file], { cwd: folder.path });
	const untilRows = (count: number) =>
		waitFor(`${count} rows`, async () => (await db.database.query("select 1 from events")).length === count);
	{
		await using first = start();
		await untilRows(COUNT);
		await untilCommitted(brokers, group, topic);
		expect(await first.stop()).toBe(0);
	}
	await meanwhile(topic);
	await using back = start();
	const { msg } = await back.record("the change", ({ msg }) => msg.startsWith("topics changed"));
	await untilRows(2 * COUNT);
	const names = async () => (await back.status()).partitions.map(({ topic: of, partition }) => `${of.replace(topic, "t")}/${partition}`);
	await waitFor(`${has} to be all it has`, async () => String((await names()).sort()) === String(has));
	await untilCommitted(brokers, group, topic);
	await back.ready();
	expect(await back.stop()).toBe(0);
	return msg.replaceAll(topic, "t");
}

function records(topic: string, partitions: number, prefix: string) {
	return Array.from({ length: COUNT }, (_, i) => ({ topic, partition: i % partitions, key: `${prefix}${i}`, value: '{"name":"x"}' }));
}

async function makeAgain(topic: string, partitions: number): Promise<void> {
	await deleteTopic(brokers, topic);
	await loadTopic(brokers, { name: topic, partitions }, records(topic, partitions, "after"));
}

async function raise(topic: string, partitions: number): Promise<void> {
	await raisePartitions(brokers, topic, partitions);
	await using producer = await Producer.connect(kafkaAt(brokers));
	await produceMany(producer, records(topic, partitions, "after"));
}

describeOnKafka("the partitions of a static member that comes back", () => {
	it.each(["classic", "eager"])("are given up where its topic was made again with fewer (%s)", TIMES, async (protocol) => {
		const meanwhile = (topic: string) => makeAgain(topic, 2);
		const said = await returnedTo({ partitions: 4, protocol, meanwhile, has: ["t/0", "t/1"] });
		expect(said).toContain("(t/2, t/3 no longer there)");
	});

	it.each(["classic", "eager"])("are read where they were added meanwhile (%s)", TIMES, async (protocol) => {
		const meanwhile = (topic: string) => raise(topic, 4);
		const said = await returnedTo({ partitions: 2, protocol, meanwhile, has: ["t/0", "t/1", "t/2", "t/3"] });
		expect(said).toContain("(t/2, t/3 begun by nobody)");
	});

	it("of a topic that was made meanwhile and fits its pattern are read", TIMES, async () => {
		const meanwhile = async (topic: string) => {
			await loadTopic(brokers, { name: `${topic}-b`, partitions: 1 }, records(`${topic}-b`, 1, "after"));
		};
		const said = await returnedTo({ partitions: 1, pattern: "(-b)?$", meanwhile, has: ["t-b/0", "t/0"] });
		expect(said).toContain("(t-b/0 begun by nobody)");
	});

	it("are read from the beginning where its topic was made again with more, and offsets are in postgres", TIMES, async () => {
		const meanwhile = (topic: string) => makeAgain(topic, 2);
		const said = await returnedTo({ partitions: 1, store: "postgres", meanwhile, has: ["t/0", "t/1"] });
		expect(said).toContain("(t/1 begun by nobody)");
	});
});
