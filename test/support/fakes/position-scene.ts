/** A topic of one partition, a group, a configuration and a database that outlive the daemons on them. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Producer } from "../../../src/kafka/producer.ts";
import { type CommandResult, pockaffe } from "../daemons/command-line.ts";
import { DaemonProcess } from "../daemons/daemon-process.ts";
import { committedOffsets, untilCommitted } from "../kafka/group-offsets.ts";
import { kafkaAt, loadTopic } from "../kafka/load-topic.ts";
import { produceMany } from "../kafka/produce-many.ts";
import { uniqueName } from "../kafka/real-kafka.ts";
import { createTestDatabase, type TestDatabase } from "../postgres/test-database.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { waitFor } from "../wait-for.ts";

/** See the file's header. */
export interface PositionScene extends AsyncDisposable {
	readonly topic: string;
	readonly group: string;
	readonly db: TestDatabase;
	/** Ids of all rows, in order. */
	ids(): Promise<string[]>;
	/** A process: the daemon, or the command that `args` name. */
	start(env?: Record<string, string>, args?: readonly string[]): DaemonProcess;
	/** A command line, with the daemon's configuration. */
	run(...args: readonly string[]): Promise<CommandResult>;
	/** Records with these names for keys; each later than the one before, also in a topic made again. */
	produce(prefix: string, count: number): Promise<void>;
	untilRows(daemon: DaemonProcess, count: number): Promise<void>;
	/** The group's offset in Kafka. */
	committed(): Promise<number | null | undefined>;
	untilCommitted(): Promise<void>;
}

const FIRST_TIMESTAMP = 1_700_000_000_000;

export async function positionScene(brokers: string, kafka: Record<string, unknown> = {}, store = "kafka"): Promise<PositionScene> {
	const [folder, db] = [await temporaryFolder(), await createTestDatabase()];
	const [topic, group] = [uniqueName("kept"), uniqueName("g")];
	await loadTopic(brokers, { name: topic, partitions: 1 }, []);
	const config = {
		kafka: { brokers: [brokers], topics: [topic], group, properties: { "session.timeout.ms": 6_000 }, ...kafka },
		handler: { module: "pockaffe:json" },
		database: { url: db.url },
		tables: { events: { columns: { name: "text" }, create: true } },
		offsets: { commitIntervalMs: 50, store },
		http: { port: 0, admin: true },
	};
	const file = join(folder.path, "pockaffe.yaml");
	await writeFile(file, JSON.stringify(config));
	let produced = 0;
	const ids = async () => (await db.database.query('select id from events order by id collate "C"')).map(({ id }) => String(id));
	return {
		topic,
		group,
		db,
		ids,
		start: (env = {}, args = ["run"]) => new DaemonProcess([...args, "-c", file], { cwd: folder.path, env }),
		run: (...args) => pockaffe([...args, "-c", file], { cwd: folder.path, env: {} }),
		async produce(prefix, count) {
			await using producer = await Producer.connect(kafkaAt(brokers));
			const records = Array.from({ length: count }, (_, i) => ({
				topic,
				partition: 0,
				key: `${prefix}${i}`,
				value: '{"name":"x"}',
				timestamp: FIRST_TIMESTAMP + produced++,
			}));
			await produceMany(producer, records);
		},
		untilRows: async (daemon, count) =>
			void (await waitFor(
				() => `${count} rows\n${daemon.output.slice(-2000)}`,
				async () => (await ids()).length === count,
				60_000,
			)),
		committed: async () => (await committedOffsets(brokers, group, topic))[0],
		untilCommitted: () => untilCommitted(brokers, group, topic),
		async [Symbol.asyncDispose]() {
			await db[Symbol.asyncDispose]();
			await folder[Symbol.asyncDispose]();
		},
	};
}
