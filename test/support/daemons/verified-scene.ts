/**
 * A topic of the embedded broker that a daemon has read to its end, and its tables in a real Postgres: what `verify` is asked of. What is
 * done to the database is put back afterwards, so that one run of the daemon serves many losses.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { verify } from "../../../src/audit/verification/verification.ts";
import type { VerificationParts } from "../../../src/audit/verification/verification-parts.ts";
import type { VerificationReport } from "../../../src/audit/verification/verification-report.ts";
import { reportLines } from "../../../src/commands/audit/verification-text.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { systemRandom } from "../../../src/core/random.ts";
import { type MockCluster, startMockCluster } from "../../../src/kafka/mock-cluster.ts";
import { Producer } from "../../../src/kafka/producer.ts";
import { ClusterInspector } from "../../../src/kafka/topics.ts";
import { DeadLetterTableStore } from "../../../src/sink/dead-letters/dead-letter-table-store.ts";
import { kafkaAt } from "../kafka/load-topic.ts";
import { produceMany } from "../kafka/produce-many.ts";
import { createTestDatabase, type TestDatabase } from "../postgres/test-database.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { waitFor } from "../wait-for.ts";
import { runDaemon } from "./daemon-process.ts";

/** A record: its partition, its key and its value; null deletes. */
export type SceneRecord = readonly [partition: number, key: string, value: object | null];

/** Of the first record; each has a second more. */
export const FIRST_MS = 1_700_000_000_000;
const TOPIC = "events";
const GROUP = "g";

/** Rows by key, deletes, `reject`, and what the database refuses. */
const handler = `export function handleMessage({ key, value }) {
	const id = key.toString();
	if (value === null) return { table: "events", id, delete: true };
	const { reject, ...fields } = JSON.parse(value.toString());
	return reject ? { reject } : { table: "events", id, fields };
}`;

/** See the file's header; `await using` ends it. */
export class VerifiedScene implements AsyncDisposable {
	readonly db: TestDatabase;
	/** Sections go over those of the configuration from then on. */
	readonly config: Record<string, Record<string, unknown>>;
	readonly #folder: Awaited<ReturnType<typeof temporaryFolder>>;
	readonly #cluster: MockCluster;
	readonly #brokers: string;
	#produced = 0;

	private constructor(folder: Awaited<ReturnType<typeof temporaryFolder>>, db: TestDatabase, cluster: MockCluster, config: object) {
		this.#folder = folder;
		this.db = db;
		this.#cluster = cluster;
		this.#brokers = cluster.brokers.join();
		this.config = {
			kafka: { brokers: cluster.brokers, topics: [TOPIC], group: GROUP, properties: { "session.timeout.ms": 6_000 } },
			handler: { module: "./handler.mjs", maxAttempts: 1 },
			database: { url: db.url },
			tables: { events: { columns: { name: "text", small: "smallint" }, create: true } },
			...config,
			offsets: { commitIntervalMs: 50, ...(config as { offsets?: object }).offsets },
		};
	}

	/** `module`: the handler's text, where it is to be another one. */
	static async open(config: object, records: readonly SceneRecord[], module = handler): Promise<VerifiedScene> {
		const [folder, db, cluster] = await Promise.all([temporaryFolder(), createTestDatabase(), startMockCluster({ topics: [TOPIC] })]);
		await writeFile(join(folder.path, "handler.mjs"), module);
		const scene = new VerifiedScene(folder, db, cluster, config);
		await scene.produce(records);
		await scene.consume();
		return scene;
	}

	/** Statements, one after the other. */
	async sql(...statements: string[]): Promise<void> {
		for (const statement of statements) await this.db.database.query(statement);
	}

	async produce(records: readonly SceneRecord[]): Promise<void> {
		await using producer = await Producer.connect(kafkaAt(this.#brokers));
		const all = records.map(([partition, key, value]) => {
			const timestamp = FIRST_MS + 1_000 * this.#produced++;
			return { topic: TOPIC, partition, key, value: value && JSON.stringify(value), timestamp };
		});
		await produceMany(producer, all);
	}

	/** A daemon until all is committed. */
	async consume(): Promise<void> {
		await using daemon = await runDaemon(this.#folder.path, this.config);
		await daemon.ready();
		const lag = () => daemon.metric("pockaffe_consumer_lag_messages");
		const committed = () => daemon.metric("pockaffe_committed_offset");
		await waitFor("all to be committed", async () => (await committed()) === this.#produced && (await lag()) === 0);
		const code = await daemon.stop();
		if (code !== 0) throw new Error(`the daemon ended with ${code}: ${daemon.output.slice(-2_000)}`);
	}

	/** The daemon's group by another name from here on: all that is kept of it in the database, and nothing in Kafka. */
	async regroup(group: string): Promise<void> {
		const { kafka } = this.config as { kafka: { group: string } };
		for (const table of ["pockaffe_offsets_start", "pockaffe_dead_letters"])
			await this.sql(`update ${table} set consumer_group = '${group}' where consumer_group = '${kafka.group}'`);
		kafka.group = group;
	}

	/** Sets the group's offset of a partition, in Kafka as other tools do. The embedded broker takes it of groups that had no members. */
	async setInKafka(partition: number, offset: number): Promise<void> {
		const { group } = this.config.kafka as { group: string };
		await using inspector = await ClusterInspector.connect(kafkaAt(this.#brokers), systemClock, group);
		await inspector.commit([{ topic: TOPIC, partition, offset }]);
	}

	/** The report, and how people read it; `over` as `verify` takes it. */
	async verify(over: Partial<VerificationParts> = {}): Promise<{ report: VerificationReport; text: string; last: string }> {
		await writeFile(join(this.#folder.path, "pockaffe.yaml"), JSON.stringify(this.config));
		const { config } = loadConfig({ file: undefined, environment: {}, cwd: this.#folder.path });
		const report = await verify({
			config,
			database: this.db.database,
			letters: (database) =>
				new DeadLetterTableStore(database, config.deadLetters.table, config.kafka.group).unreplayed().catch((error: { code?: string }) => {
					if (error.code === "42P01") return null;
					throw error;
				}),
			clock: systemClock,
			random: systemRandom,
			signal: new AbortController().signal,
			maxDifferences: 20,
			progress: () => {},
			...over,
		});
		const lines = [...reportLines(report)];
		return { report, text: lines.join("\n"), last: lines.at(-1) as string };
	}

	/** Keeps what these tables hold. */
	async keep(tables: readonly string[]): Promise<void> {
		for (const table of tables) await this.sql(`create table kept_${table} as table ${table}`);
	}

	/** Puts it back. */
	async putBack(tables: readonly string[]): Promise<void> {
		for (const table of tables) await this.sql(`truncate ${table}`, `insert into ${table} select * from kept_${table}`);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#cluster[Symbol.asyncDispose]();
		await this.db[Symbol.asyncDispose]();
		await this.#folder[Symbol.asyncDispose]();
	}
}
