/** Kafka and Postgres of this suite's own: processes that may be killed, frozen and started again. */
import { execFile } from "node:child_process";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { systemClock } from "../../src/core/clock.ts";
import { EmbeddedPostgres } from "../../src/embedded/embedded-postgres.ts";
import { connectDatabase, type Database, probeDatabase } from "../../src/sink/database/database.ts";
import { type KafkaServer, startKafka } from "../support/kafka/kafka-server.ts";
import { waitFor } from "../support/wait-for.ts";

const run = promisify(execFile);

/** Members are given up after so long; Kafka's shortest for new groups. */
export const SESSION_TIMEOUT_MS = 6_000;

/** See the file's header; `await using` ends both. */
export class OwnServers implements AsyncDisposable {
	readonly kafka: KafkaServer;
	readonly postgres: EmbeddedPostgres;
	readonly #folder: string;

	private constructor(folder: string, kafka: KafkaServer, postgres: EmbeddedPostgres) {
		this.#folder = folder;
		this.kafka = kafka;
		this.postgres = postgres;
	}

	static async start(): Promise<OwnServers> {
		const folder = await mkdtemp(join(tmpdir(), "pockaffe-operations-"));
		await chmod(folder, 0o755);
		const [kafka, postgres] = await Promise.all([
			startKafka({
				"group.consumer.min.session.timeout.ms": String(SESSION_TIMEOUT_MS),
				"group.consumer.session.timeout.ms": String(SESSION_TIMEOUT_MS),
				"group.consumer.min.heartbeat.interval.ms": "500",
				"group.consumer.heartbeat.interval.ms": "1000",
			}),
			EmbeddedPostgres.start({
				folder: join(folder, "postgres"),
				clock: systemClock,
				probe: (url) => probeDatabase(url, systemClock),
				log: () => {},
			}),
		]);
		return new OwnServers(folder, kafka, postgres);
	}

	/** Connections of the server's owner to a database. */
	connect(database: string): Database {
		return connectDatabase({ url: this.url(database), connections: 2, clock: systemClock, statementTimeoutMs: 0 });
	}

	/** The address of a database, for its owner or for a role with a password. */
	url(database: string, role?: { readonly name: string; readonly password: string }): string {
		const url = new URL(this.postgres.url);
		url.pathname = `/${database}`;
		if (role) Object.assign(url, { username: role.name, password: role.password });
		return String(url);
	}

	/** SIGKILL; it is started again at once. */
	async killPostgres(): Promise<void> {
		const { pid } = this.postgres;
		process.kill(pid, "SIGKILL");
		await waitFor(
			"another Postgres",
			async () => this.postgres.pid !== pid && (await probeDatabase(this.postgres.url, systemClock)),
			60_000,
		);
	}

	/** Neither the server nor any of its sessions answers, and their connections stay open. */
	async freezePostgres(): Promise<() => Promise<void>> {
		const pids = [this.postgres.pid, ...(await childrenOf(this.postgres.pid))];
		for (const pid of pids) signal(pid, "SIGSTOP");
		return async () => {
			for (const pid of pids) signal(pid, "SIGCONT");
		};
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.postgres[Symbol.asyncDispose]();
		await this.kafka.stop();
		await rm(this.#folder, { recursive: true, force: true });
	}
}

async function childrenOf(pid: number): Promise<number[]> {
	const { stdout } = await run("ps", ["-o", "pid=", "--ppid", String(pid)]);
	return stdout.split("\n").filter(Boolean).map(Number);
}

/** A session may have ended meanwhile. */
function signal(pid: number, name: NodeJS.Signals): void {
	try {
		process.kill(pid, name);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
	}
}
