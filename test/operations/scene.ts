/**
 * A topic, a group, a database with a role of its own, a steady load and daemons as processes: what an operation is done to, and how its
 * end is judged. Nothing is left of it for the next one.
 */
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { awaitTopic, createTopic, type GroupOffset } from "../../src/kafka/topics.ts";
import type { ReadinessReason } from "../../src/observe/readiness.ts";
import type { Database } from "../../src/sink/database/database.ts";
import { pockaffe } from "../support/daemons/command-line.ts";
import { type DaemonOptions, DaemonProcess } from "../support/daemons/daemon-process.ts";
import { groupOffsets } from "../support/kafka/group-offsets.ts";
import { deleteTopic, kafkaAt } from "../support/kafka/load-topic.ts";
import { uniqueName } from "../support/kafka/real-kafka.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait-for.ts";
import { differences, expectExtraAlone } from "./judgement.ts";
import { ReportedLoad } from "./load.ts";
import { ReadinessWatch } from "./readiness-watch.ts";
import { type OwnServers, SESSION_TIMEOUT_MS } from "./servers.ts";

/** Sections of a configuration by name. */
export type Sections = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

export const PARTITIONS = 3;
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
	readonly #config: Sections;
	load!: ReportedLoad;
	watch!: ReadinessWatch;
	#folder!: Awaited<ReturnType<typeof temporaryFolder>>;
	#folders = 0;

	private constructor(servers: OwnServers, config: Sections) {
		this.servers = servers;
		this.#config = config;
		this.admin = servers.connect(this.databaseName);
	}

	/** Resolves when a daemon has written and committed some of the load in each partition. */
	static async open(
		servers: OwnServers,
		options: { config?: Sections | undefined; topic?: Readonly<Record<string, string>> | undefined } = {},
	): Promise<OperationScene> {
		const scene = new OperationScene(servers, options.config ?? {});
		scene.#folder = await temporaryFolder();
		await scene.#makeRole();
		await scene.makeDatabase();
		await scene.makeTopic(PARTITIONS, options.topic);
		scene.load = await ReportedLoad.start(scene.brokers, scene.topic, PER_SECOND);
		await scene.startDaemon();
		await scene.progress();
		await waitFor("commits of every partition", async () => (await scene.offsets()).every(({ committed }) => Number(committed) > 0));
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

	/** Where files of an operation's own may be. */
	get folder(): string {
		return this.#folder.path;
	}

	/** One more; sections go over those of the configuration. Each has a folder of its own. */
	async startDaemon(sections: Sections = {}, how: DaemonOptions = {}): Promise<DaemonProcess> {
		const folder = join(this.#folder.path, `daemon-${++this.#folders}`);
		await mkdir(folder);
		await this.#writeConfig(folder, sections);
		const daemon = new DaemonProcess(["run", "-c", join(folder, "pockaffe.yaml")], { cwd: folder, ...how });
		this.daemons.push(daemon);
		return daemon;
	}

	/** Stops all daemons, does something under load, and starts one. */
	async whileStopped(act: () => Promise<unknown>): Promise<void> {
		await this.stop();
		await act();
		await this.startDaemon();
	}

	/** A command of the command line with the scene's configuration; rejects where it fails. */
	async command(...args: string[]): Promise<string> {
		const { code, said } = await this.#run(args);
		expect(code, `${args.join(" ")}: ${said}`).toBe(0);
		return said;
	}

	/** Resolves when the daemon says the code of every partition. */
	async saysOfEvery(code: string): Promise<readonly ReadinessReason[]> {
		const all = async () => {
			const reasons = (await this.daemon.notReady()).filter((reason) => reason.code === code);
			return reasons.length === PARTITIONS ? reasons : null;
		};
		const reasons = await waitFor(`/readyz to say ${code} of every partition`, all, 60_000).catch((error) =>
			this.#tell(error, [JSON.stringify(this.watch.said)]),
		);
		await this.says(code);
		return reasons;
	}

	/** When the daemon says the code of every partition: stops it, types the messages' commands (those that end so), starts it. */
	async followAdvice(code: string, end = ""): Promise<void> {
		const reasons = await this.saysOfEvery(code);
		await this.whileStopped(async () => {
			for (const { message } of reasons) {
				const commands = [...message.matchAll(/`pockaffe ([^`]*)`/g)].map((match) => match[1] as string);
				const command = commands.find((each) => each.endsWith(end));
				expect(command, message).toBeDefined();
				await this.command(...(command as string).split(" "));
			}
		});
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
		let before = await this.committed().catch(() => 0);
		const isMore = async () => {
			const now = await this.committed();
			// Less than before: the topic was made again, or somebody set the offsets back.
			before = Math.min(before, now);
			return now > before + PER_SECOND / 4;
		};
		await waitFor("more committed offsets", isMore, timeoutMs).catch((error) => this.#tell(error));
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

	/** What the group has committed, and the log's ends. */
	offsets(): Promise<readonly GroupOffset[]> {
		return groupOffsets(this.brokers, this.group, this.topic);
	}

	/** The sum of the group's committed offsets. */
	async committed(): Promise<number> {
		return (await this.offsets()).reduce((sum, { committed }) => sum + (committed ?? 0), 0);
	}

	async makeTopic(partitions = PARTITIONS, config: Readonly<Record<string, string>> = {}): Promise<void> {
		await createTopic(kafkaAt(this.brokers), { name: this.topic, partitions, replication: 1, config });
		await awaitTopic(kafkaAt(this.brokers), systemClock, this.topic, partitions);
	}

	/** Deletes the topic under load: what is not written by now will never be. */
	async deleteTopic(): Promise<void> {
		await deleteTopic(this.brokers, this.topic);
		this.load.forget();
	}

	/** All is committed, and the table is what the producer was told that the broker took. */
	async converged(): Promise<void> {
		let found: string[] = [];
		const isDone = async () => {
			const offsets = await this.offsets();
			if (offsets.length === 0 || !offsets.every(({ committed, latest }) => committed === latest)) return false;
			found = await differences(this.admin, this.load);
			return found.length === 0;
		};
		await waitFor(`the table to be what was produced (${PER_SECOND} a second)`, isDone, SETTLE_MS).catch((error) =>
			this.#tell(error, found),
		);
	}

	/** Every daemon is ready. */
	async ready(): Promise<void> {
		for (const daemon of this.daemons) await daemon.ready(60_000);
	}

	/** Ends all daemons; each has drained. */
	async stop(): Promise<void> {
		for (const daemon of [...this.daemons]) expect(await this.end(daemon)).toBe(0);
	}

	/** `pockaffe verify` finds nothing; with `isExtraLeft` it may find rows that the log doesn't hold. */
	async expectVerified(isExtraLeft: boolean): Promise<void> {
		const { code, said } = await this.#run(["verify", "--json"]);
		if (isExtraLeft) expectExtraAlone(said);
		else expect(code, said).toBe(0);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.watch?.[Symbol.asyncDispose]();
		for (const daemon of this.daemons) await daemon[Symbol.asyncDispose]();
		await this.load?.[Symbol.asyncDispose]();
		await this.admin.close();
		await this.#folder[Symbol.asyncDispose]();
	}

	/** Empty, and the role's. */
	async makeDatabase(): Promise<void> {
		await this.ofServer(`create database ${this.databaseName} owner ${this.role.name}`);
	}

	/** What `pockaffe schema` prints, by the role. */
	async makeTables(): Promise<void> {
		const statements = await this.command("schema");
		await this.sql(`set role ${this.role.name}; ${statements}; reset role`);
	}

	/** A statement of the server's owner, outside of the scene's database. */
	async ofServer(statement: string): Promise<void> {
		const owner = this.servers.connect("postgres");
		await owner.query(statement).finally(() => owner.close());
	}

	async #makeRole(): Promise<void> {
		await this.ofServer(`create role ${this.role.name} login password '${this.role.password}'`);
	}

	/** What there is to see where something did not come. */
	async #tell(error: unknown, found: readonly string[] = []): Promise<never> {
		const offsets = await this.offsets();
		throw new Error([error, JSON.stringify(offsets), ...found, ...this.daemons.map(({ output }) => output.slice(-2_000))].join("\n"));
	}

	async #run(args: string[]): Promise<{ code: number; said: string }> {
		const folder = join(this.#folder.path, "commands");
		await mkdir(folder, { recursive: true });
		await this.#writeConfig(folder, {});
		const { code, stdout, stderr } = await pockaffe(args, { cwd: folder });
		return { code, said: `${stdout}${stderr}` };
	}

	async #writeConfig(folder: string, sections: Sections): Promise<void> {
		const base: Record<string, Readonly<Record<string, unknown>>> = {
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
			http: { port: 0, admin: true },
			log: { format: "json" },
		};
		for (const over of [this.#config, sections]) {
			for (const [section, values] of Object.entries(over)) base[section] = { ...base[section], ...values };
		}
		await writeFile(join(folder, "pockaffe.yaml"), JSON.stringify(base, null, 1));
	}
}
