/**
 * The database of a bench: one of its own, made on the embedded server or on the one that is given, and gone with it. Knows what the
 * server's processes cost, where they run on this machine.
 */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { systemClock } from "../../src/core/clock.ts";
import { ExitError, exitCodes, messageOf } from "../../src/core/errors.ts";
import { EmbeddedPostgres } from "../../src/embedded/embedded-postgres.ts";
import { connectDatabase, type Database, probeDatabase } from "../../src/sink/database/database.ts";
import { endWithProcess, signalTo } from "./end-with-process.ts";
import { cpuSecondsWithChildren, timesOfProcess } from "./process-cpu.ts";

/** See the file's header; use with `await using`. */
export class BenchDatabase implements AsyncDisposable {
	readonly url: string;
	/** `Postgres 18.4`, as the server says. */
	readonly version: string;
	/** A connection beside what is measured. */
	readonly database: Database;
	readonly #postmaster: number | null;
	readonly #end: () => Promise<void>;

	private constructor(url: string, version: string, database: Database, postmaster: number | null, end: () => Promise<void>) {
		this.url = url;
		this.version = version;
		this.database = database;
		this.#postmaster = postmaster;
		this.#end = end;
	}

	/** `given`: the URL of a server on which databases may be created; null: the embedded one, its data in `folder`. */
	static async start(folder: string, given: string | null): Promise<BenchDatabase> {
		const embedded = given === null ? await startEmbedded(join(folder, "postgres")) : null;
		const takeBack = endWithProcess(() => embedded && signalTo(embedded.pid, "SIGQUIT"));
		const serverUrl = given ?? (embedded as EmbeddedPostgres).url;
		const name = `pockaffe_bench_${randomBytes(4).toString("hex")}`;
		const admin = connectDatabase({ url: serverUrl, connections: 1, clock: systemClock });
		try {
			await admin.query(`create database ${name}`);
		} catch (cause) {
			await admin.close();
			throw new ExitError(exitCodes.usage, "bench_database", `--database-url: no database can be made there: ${messageOf(cause)}`, {
				cause,
			});
		}
		const url = withDatabase(serverUrl, name);
		const database = connectDatabase({ url, connections: 1, clock: systemClock, statementTimeoutMs: 0 });
		const [row] = await database.query("select current_setting('server_version') as version, pg_backend_pid() as pid");
		const postmaster = await postmasterOf(Number(row?.pid), serverUrl);
		return new BenchDatabase(url, `Postgres ${row?.version}`, database, postmaster, async () => {
			await database.close();
			await admin.query(`drop database ${name} with (force)`).catch(() => {});
			await admin.close();
			takeBack();
			await embedded?.[Symbol.asyncDispose]();
		});
	}

	/** What all processes of the server have used; null where they are not to be seen. */
	async cpuSeconds(): Promise<number | null> {
		return this.#postmaster === null ? null : cpuSecondsWithChildren(this.#postmaster);
	}

	/** Writes out what earlier cases left behind, so that it does not fall into the next one. */
	async settle(): Promise<void> {
		// A given server may not allow it; then its own checkpoints fall where they fall.
		await this.database.query("checkpoint").catch(() => {});
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#end();
	}
}

function startEmbedded(folder: string): Promise<EmbeddedPostgres> {
	return EmbeddedPostgres.start({ folder, clock: systemClock, probe: (url) => probeDatabase(url, systemClock), log: () => {} });
}

/** The parent of a backend, where the backend is a process of this machine and not only has the number of one. */
async function postmasterOf(backend: number, serverUrl: string): Promise<number | null> {
	const { hostname } = new URL(serverUrl);
	if (!["127.0.0.1", "localhost", "[::1]", ""].includes(hostname)) return null;
	const times = await timesOfProcess(backend);
	return times?.command.startsWith("postgres") ? times.parent : null;
}

function withDatabase(serverUrl: string, name: string): string {
	const url = new URL(serverUrl);
	url.pathname = `/${name}`;
	return url.href;
}
