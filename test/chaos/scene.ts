/** What chaos is done to: a broker, a database that notes every row moved back, a producer without rest, and daemons as processes. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, openSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "../../src/core/clock.ts";
import type { Random } from "../../src/core/random.ts";
import { EmbeddedPostgres } from "../../src/embedded/embedded-postgres.ts";
import { Producer, type ProducerRecord } from "../../src/kafka/producer.ts";
import { awaitTopic, createTopic } from "../../src/kafka/topics.ts";
import { connectDatabase, type Database, probeDatabase } from "../../src/sink/database/database.ts";
import { type KafkaServer, startKafka } from "../support/kafka/kafka-server.ts";
import { kafkaAt } from "../support/kafka/load-topic.ts";
import { waitFor } from "../support/wait-for.ts";

export const topic = "chaos";
export const group = "chaos";
const PARTITIONS = 6;
const IDS = 20_000;
const SESSION_TIMEOUT_MS = 6_000;
const main = new URL("../../dist/main.js", import.meta.url).pathname;

/** Crashes by chance in every way; rejects, poisons and bad rows by what the message says, so that they are the same in every life. */
const handler = `
	let handled = 0;
	export function init({ purpose }) { return { calm: purpose === "verify" }; }
	export function handleMessage({ key, value, offset }, { calm }) {
		if (!calm) {
			const chance = Math.random();
			if (chance < 0.0001) throw new Error("by chance");
			if (chance < 0.00011) process.exit(1);
			if (chance < 0.00012) setImmediate(() => { throw new Error("uncaught, by chance"); });
			if (chance < 0.000125) for (;;);
		}
		if (value === null) return { id: key.toString(), delete: true };
		const { way, ...fields } = JSON.parse(value.toString());
		if (way === "reject") return { reject: "as the message says" };
		if (way === "poison") throw new Error("as the message says");
		return { id: key.toString(), fields };
	}`;

/** How many of each were produced. */
export interface Produced {
	messages: number;
	rejects: number;
	poisons: number;
}

/** A running scene; `await using` ends all of it. */
export class Scene implements AsyncDisposable {
	readonly folder: string;
	readonly kafka: KafkaServer;
	readonly postgres: EmbeddedPostgres;
	readonly produced: Produced = { messages: 0, rejects: 0, poisons: 0 };
	readonly daemons: ChaosDaemon[] = [];
	readonly #random: Random;
	readonly #config: Record<string, unknown>;
	#producing = true;
	#producer: Promise<void> = Promise.resolve();

	private constructor(folder: string, kafka: KafkaServer, postgres: EmbeddedPostgres, random: Random) {
		this.folder = folder;
		this.kafka = kafka;
		this.postgres = postgres;
		this.#random = random;
		const protocol = pick(random, ["classic", "eager", "consumer"]);
		// Of KIP-848 groups the broker decides.
		const properties = protocol === "consumer" ? {} : { "session.timeout.ms": SESSION_TIMEOUT_MS };
		this.#config = {
			kafka: { brokers: [kafka.brokers], topics: [topic], group, protocol, properties },
			handler: { module: "./handler.mjs", timeoutMs: 2_000, maxAttempts: 3, retryBackoffMs: 5 },
			supervisor: { maxRestarts: 100, maxBackoffMs: 1_000 },
			database: { url: postgres.url },
			tables: { events: { columns: { name: "text", amount: "int", note: "text" } } },
			offsets: { store: pick(random, ["kafka", "postgres"]), commitIntervalMs: 200 },
			// The bad ones are spread evenly; chance must not open it.
			deadLetters: { breaker: { share: 1, consecutive: 0 } },
			http: { port: 0 },
			log: { level: "info", format: "json" },
		};
	}

	static async start(folder: string, random: Random): Promise<Scene> {
		const kafka = await startKafka({
			"group.consumer.min.session.timeout.ms": String(SESSION_TIMEOUT_MS),
			"group.consumer.session.timeout.ms": String(SESSION_TIMEOUT_MS),
			"group.consumer.min.heartbeat.interval.ms": "500",
			"group.consumer.heartbeat.interval.ms": "1000",
		});
		const postgres = await EmbeddedPostgres.start({
			folder: join(folder, "postgres"),
			clock: systemClock,
			probe: (url) => probeDatabase(url, systemClock),
			log: () => {},
		});
		const scene = new Scene(folder, kafka, postgres, random);
		await createTopic(kafkaAt(kafka.brokers), { name: topic, partitions: PARTITIONS, replication: 1 });
		await awaitTopic(kafkaAt(kafka.brokers), systemClock, topic, PARTITIONS);
		await scene.withDatabase((database) => prepareDatabase(database));
		await scene.restoreHandler();
		await writeFile(join(folder, "pockaffe.yaml"), JSON.stringify(scene.#config, null, 1));
		return scene;
	}

	/** What the seed chose. */
	get settings(): string {
		const { kafka, offsets } = this.#config as { kafka: { protocol: string }; offsets: { store: string } };
		return `protocol ${kafka.protocol}, offsets in ${offsets.store}`;
	}

	/** A connection of its own; a server that is away is the caller's to expect. */
	async withDatabase<T>(use: (database: Database) => Promise<T>): Promise<T> {
		const database = connectDatabase({ url: this.postgres.url, connections: 1, clock: systemClock, statementTimeoutMs: 0 });
		try {
			return await use(database);
		} finally {
			await database.close();
		}
	}

	startDaemon(): ChaosDaemon {
		const daemon = new ChaosDaemon(this.folder);
		this.daemons.push(daemon);
		return daemon;
	}

	/** A daemon that ended, as somebody wanted it to, is no longer looked after. */
	forget(daemon: ChaosDaemon): void {
		this.daemons.splice(this.daemons.indexOf(daemon), 1);
	}

	restoreHandler(): Promise<void> {
		return writeFile(join(this.folder, "handler.mjs"), handler);
	}

	breakHandler(): Promise<void> {
		return writeFile(join(this.folder, "handler.mjs"), "export function handleMessage( { this does not parse");
	}

	/** Produces about so many messages a second until `stopProducing`. */
	produce(perSecond: number): void {
		this.#producer = this.#produce(perSecond);
	}

	async stopProducing(): Promise<void> {
		this.#producing = false;
		await this.#producer;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#producing = false;
		await Promise.all([...this.daemons].map((daemon) => daemon.end("SIGKILL")));
		await this.#producer.catch(() => {});
		await this.postgres[Symbol.asyncDispose]();
		await this.kafka.stop();
	}

	async #produce(perSecond: number): Promise<void> {
		await using producer = await Producer.connect(kafkaAt(this.kafka.brokers), { lingerMs: 10 });
		const outstanding = new Set<Promise<unknown>>();
		while (this.#producing) {
			for (let i = 0; i < perSecond / 10; i++) {
				const sent = producer.produce(this.#record()).then(() => this.produced.messages++);
				outstanding.add(sent);
				void sent.finally(() => outstanding.delete(sent)).catch(() => {});
			}
			await systemClock.sleep(100);
			// While the broker is away nothing piles up.
			while (outstanding.size > 50_000) await systemClock.sleep(100);
		}
		await Promise.all(outstanding);
	}

	/** Duplicate, late and early timestamps; ids that wander between partitions; deletes; bad ones. */
	#record(): ProducerRecord {
		const random = this.#random;
		const number = Math.floor(random() * IDS);
		const late = random() < 0.05 ? Math.floor(random() * 600_000) : Math.floor(random() * 20);
		const record = { topic, partition: Math.floor(random() * PARTITIONS), key: `id-${number}`, timestamp: Date.now() - late };
		if (random() < 0.02) return { ...record, value: null };
		const kind = random();
		if (kind < 0.0005) {
			this.produced.rejects++;
			return { ...record, value: '{"way":"reject"}' };
		}
		if (kind < 0.0006) {
			this.produced.poisons++;
			return { ...record, value: '{"way":"poison"}' };
		}
		const amount = kind < 0.001 ? 9_999_999_999 : Math.floor(random() * 1e9);
		return { ...record, value: JSON.stringify({ name: `name ${number}`, amount, note: "x".repeat(Math.floor(random() * 100)) }) };
	}
}

/** A daemon as a process; what it says goes to a file. */
export class ChaosDaemon {
	static #count = 0;
	readonly name = `daemon-${++ChaosDaemon.#count}`;
	readonly child: ChildProcess;
	readonly #exit: Promise<number>;
	readonly #log: string;

	constructor(folder: string) {
		mkdirSync(join(folder, "logs"), { recursive: true });
		this.#log = join(folder, "logs", `${this.name}.log`);
		const log = openSync(this.#log, "a");
		this.child = spawn(process.execPath, [main, "run", "-c", join(folder, "pockaffe.yaml")], { cwd: folder, stdio: ["ignore", log, log] });
		this.#exit = new Promise((resolve) => this.child.once("exit", (code, signal) => resolve(code ?? (signal === "SIGKILL" ? 137 : 128))));
	}

	/** True where its log has this text. */
	async hasSaid(text: string): Promise<boolean> {
		return (await readFile(this.#log, "utf8")).includes(text);
	}

	/** Resolves when its log has this text, or when it has ended. */
	async said(text: string): Promise<void> {
		const hasEnded = () => this.child.exitCode !== null || this.child.signalCode !== null;
		await waitFor(`${this.name}: ${text}`, async () => hasEnded() || (await this.hasSaid(text)), 60_000);
	}

	/** Sends a signal and resolves with the exit code. */
	end(signal: NodeJS.Signals): Promise<number> {
		this.child.kill(signal);
		return this.#exit;
	}

	get exited(): Promise<number> {
		return this.#exit;
	}
}

export function pick<T>(random: Random, choices: readonly T[]): T {
	return choices[Math.floor(random() * choices.length)] as T;
}

/** The table, and a trigger that notes each row that was moved back: neither daemon nor `verify` has a hand in it. */
async function prepareDatabase(database: Database): Promise<void> {
	const statements = [
		`create table events (id text primary key, name text, amount int, note text,
kafka_ts bigint not null, kafka_offset bigint not null, kafka_partition int4 not null, deleted boolean not null default false)`,
		"create table moved_back (id text, old_ts bigint, new_ts bigint, old_offset bigint, new_offset bigint)",
		`create function note_moved_back() returns trigger language plpgsql as $$
begin
  if (new.kafka_ts, new.kafka_offset, new.kafka_partition) <= (old.kafka_ts, old.kafka_offset, old.kafka_partition) then
    insert into moved_back values (old.id, old.kafka_ts, new.kafka_ts, old.kafka_offset, new.kafka_offset);
  end if;
  return new;
end $$`,
		"create trigger moved_back before update on events for each row execute function note_moved_back()",
	];
	for (const statement of statements) await database.query(statement);
}
