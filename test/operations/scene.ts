/**
 * A topic, a group, a database with a role of its own, a steady load and daemons as processes: what an operation is done to, and how its
 * end is judged. Nothing is left of it for the next one.
 */
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { awaitTopic, createTopic } from "../../src/kafka/topics.ts";
import type { Database } from "../../src/sink/database.ts";
import { pockaffe } from "../support/command-line.ts";
import { DaemonProcess } from "../support/daemon-process.ts";
import { groupOffsets } from "../support/group-offsets.ts";
import { kafkaAt } from "../support/load-topic.ts";
import { uniqueName } from "../support/real-kafka.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait-for.ts";
import { ReportedLoad, type ReportedRow } from "./load.ts";
import { ReadinessWatch } from "./readiness-watch.ts";
import { type OwnServers, SESSION_TIMEOUT_MS } from "./servers.ts";

const PARTITIONS = 3;
const PER_SECOND = 200;
const SETTLE_MS = 90_000;

/** See the file's header; `await using` ends its daemons and its load. */
export class OperationScene implements AsyncDisposable {
	readonly servers: OwnServers;
	readonly topic = uniqueName("operation");
	readonly group = uniqueName("g");
	readonly databaseName = `operation_${randomBytes(5).toString("hex")}`;
	readonly role = { name: `role_${randomBytes(5).toString("hex")}`, password: randomBytes(8).toString("hex") };
	/** Of the server's owner, in the scene's database. */
	readonly admin: Database;
	readonly daemons: DaemonProcess[] = [];
	load!: ReportedLoad;
	watch!: ReadinessWatch;
	#folder!: Awaited<ReturnType<typeof temporaryFolder>>;
	#folders = 0;

	private constructor(servers: OwnServers) {
		this.servers = servers;
		this.admin = servers.connect(this.databaseName);
	}

	/** Resolves when a daemon has written and committed some of the load. */
	static async open(servers: OwnServers): Promise<OperationScene> {
		const scene = new OperationScene(servers);
		scene.#folder = await temporaryFolder();
		await scene.#makeDatabase();
		await scene.#makeTopic();
		scene.load = await ReportedLoad.start(scene.brokers, scene.topic, PER_SECOND);
		await scene.startDaemon();
		await scene.progress();
		scene.watch = new ReadinessWatch(() => scene.daemons);
		return scene;
	}

	get brokers(): string {
		return this.servers.kafka.brokers;
	}

	/** The daemon, where there is one. */
	get daemon(): DaemonProcess {
		return this.daemons.at(-1) as DaemonProcess;
	}

	/** One more; sections go over those of the configuration. Each has a folder of its own. */
	async startDaemon(sections: Readonly<Record<string, Record<string, unknown>>> = {}): Promise<DaemonProcess> {
		const folder = join(this.#folder.path, `daemon-${++this.#folders}`);
		await mkdir(folder);
		await this.#writeConfig(folder, sections);
		const daemon = new DaemonProcess(["run", "-c", join(folder, "pockaffe.yaml")], { cwd: folder });
		this.daemons.push(daemon);
		return daemon;
	}

	/** Ends a daemon by a signal; resolves with its exit code. */
	async end(daemon: DaemonProcess, signal: NodeJS.Signals = "SIGTERM"): Promise<number> {
		this.daemons.splice(this.daemons.indexOf(daemon), 1);
		return await daemon.stop(signal);
	}

	/** Statements of the server's owner, one after the other. */
	async sql(...statements: string[]): Promise<void> {
		for (const statement of statements) await this.admin.query(statement);
	}

	/** Lets the load go on for so long. */
	async during(ms: number): Promise<void> {
		await systemClock.sleep(ms);
	}

	/** Resolves when more of the load is committed than at the call: the daemon works. */
	async progress(timeoutMs = 60_000): Promise<void> {
		const before = await this.committed().catch(() => 0);
		await waitFor("more committed offsets", async () => (await this.committed()) > before + PER_SECOND / 4, timeoutMs);
	}

	/** Resolves when `/readyz` of a daemon says this code. */
	async says(code: string, timeoutMs = 45_000): Promise<void> {
		const isSaid = () => this.watch.said.find((each) => each.code === code);
		await waitFor(
			`/readyz to say ${code}; it said ${this.watch.codes.join(", ") || "nothing"}`,
			async () => isSaid() !== undefined,
			timeoutMs,
		);
	}

	/** The sum of the group's committed offsets. */
	async committed(): Promise<number> {
		const offsets = await groupOffsets(this.brokers, this.group, this.topic);
		return offsets.reduce((sum, { committed }) => sum + (committed ?? 0), 0);
	}

	async #makeTopic(): Promise<void> {
		await createTopic(kafkaAt(this.brokers), { name: this.topic, partitions: PARTITIONS, replication: 1 });
		await awaitTopic(kafkaAt(this.brokers), systemClock, this.topic, PARTITIONS);
	}

	/** All is committed, and the table is what the producer was told that the broker took. */
	async converged(): Promise<void> {
		let found: string[] = [];
		const isDone = async () => {
			const offsets = await groupOffsets(this.brokers, this.group, this.topic);
			if (!offsets.every(({ committed, latest }) => committed === latest)) return false;
			found = await this.#differences();
			return found.length === 0;
		};
		await waitFor(`the table to be what was produced (${PER_SECOND} a second)`, isDone, SETTLE_MS).catch(async (error) => {
			const offsets = await groupOffsets(this.brokers, this.group, this.topic);
			throw new Error(`${error}\n${JSON.stringify(offsets)}\n${found.join("\n")}\n${this.daemon?.output.slice(-2_000)}`);
		});
	}

	/** Every daemon is ready. */
	async ready(): Promise<void> {
		for (const daemon of this.daemons) await daemon.ready(60_000);
	}

	/** Ends all daemons; each has drained. */
	async stop(): Promise<void> {
		for (const daemon of [...this.daemons]) expect(await this.end(daemon)).toBe(0);
	}

	/** The command's exit code and what it said. */
	async verify(): Promise<{ code: number; said: string }> {
		const folder = join(this.#folder.path, "verify");
		await mkdir(folder, { recursive: true });
		await this.#writeConfig(folder, {});
		const { code, stdout, stderr } = await pockaffe(["verify", "--json"], { cwd: folder });
		return { code, said: `${stdout}${stderr}` };
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.watch?.[Symbol.asyncDispose]();
		for (const daemon of this.daemons) await daemon[Symbol.asyncDispose]();
		await this.load?.[Symbol.asyncDispose]();
		await this.admin.close();
		await this.#folder[Symbol.asyncDispose]();
	}

	async #makeDatabase(): Promise<void> {
		const { name, password } = this.role;
		const owner = this.servers.connect("postgres");
		await owner.query(`create role ${name} login password '${password}'`);
		await owner.query(`create database ${this.databaseName} owner ${name}`);
		await owner.close();
	}

	async #writeConfig(folder: string, sections: Readonly<Record<string, Record<string, unknown>>>): Promise<void> {
		const base: Record<string, Record<string, unknown>> = {
			kafka: {
				brokers: [this.brokers],
				topics: [this.topic],
				group: this.group,
				properties: {
					"session.timeout.ms": SESSION_TIMEOUT_MS,
					"statistics.interval.ms": 500,
					"topic.metadata.refresh.interval.ms": 2_000,
				},
			},
			handler: { module: "pockaffe:json" },
			database: { url: this.servers.url(this.databaseName, this.role) },
			tables: { events: { columns: { n: "text" }, create: true } },
			offsets: { commitIntervalMs: 100 },
			http: { port: 0 },
			log: { format: "json" },
		};
		for (const [section, values] of Object.entries(sections)) base[section] = { ...base[section], ...values };
		await writeFile(join(folder, "pockaffe.yaml"), JSON.stringify(base, null, 1));
	}

	async #differences(): Promise<string[]> {
		const rows = await this.admin.query(
			`select id, n, kafka_ts::text as ts, kafka_offset::text as "offset", kafka_partition as partition from events`,
		);
		const stored = new Map(rows.map((row) => [String(row.id), rowOf(row)]));
		const expected = this.load.rows;
		const wrong: string[] = [];
		for (const [id, row] of expected) {
			const [is, must] = [JSON.stringify(stored.get(id)), JSON.stringify(row)];
			if (is !== must) wrong.push(`${id}: is ${is}, must be ${must}`);
		}
		for (const id of stored.keys()) if (!expected.has(id) && !this.load.isUnknown(id)) wrong.push(`${id}: nobody produced it`);
		return wrong.slice(0, 5);
	}
}

function rowOf({ n, ts, offset, partition }: Readonly<Record<string, unknown>>): ReportedRow {
	return { n: n as string | null, ts: Number(ts), offset: Number(offset), partition: Number(partition) };
}
