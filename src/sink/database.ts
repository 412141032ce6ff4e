/**
 * The connection pool: the only home of `postgres`. Adds what the library lacks: a deadline of our own per query (a half-open
 * connection would wait for ever), and a pool that is built anew afterwards.
 */
import net from "node:net";
import postgres from "postgres";
import type { Clock } from "../core/clock.ts";
import { ExitError, exitCodes, messageOf, PocKaffeError } from "../core/errors.ts";
import { problemOf } from "./sql-faults.ts";

/** A row as the library gives it. */
export type DatabaseRow = Readonly<Record<string, unknown>>;

/** What the sink needs of a database. */
export interface Database {
	/** Runs one statement; rejects with the driver's error, or `QUERY_DEADLINE`. Prepared unless it has no parameters. */
	query(text: string, parameters?: readonly (string | null)[]): Promise<readonly DatabaseRow[]>;
	/** The rows of a statement without parameters, `batchRows` at a time, as of its beginning; holds a connection until the last. */
	stream(text: string, batchRows: number): AsyncIterable<readonly DatabaseRow[]>;
	/** Ends the connections; queries under way get a second. Idempotent. */
	close(): Promise<void>;
}

/** What a database is reached with. */
export interface DatabaseOptions {
	readonly url: string;
	/** Connections, and so statements at a time. */
	readonly connections: number;
	readonly clock: Clock;
	/** Own deadline of a query in ms, default 45 s: above the server's statement timeout, so that only a dead connection meets it. */
	readonly deadlineMs?: number;
	/** The server's `statement_timeout` in ms, default 30 s; 0: none. */
	readonly statementTimeoutMs?: number;
	/** The server's `lock_timeout` in ms, default 10 s. */
	readonly lockTimeoutMs?: number;
}

const CONNECT_TIMEOUT_S = 5;
const STATEMENT_TIMEOUT_MS = 30_000;
const LOCK_TIMEOUT_MS = 10_000;
const DEADLINE_MS = 45_000;
/** What runs on connections that are given up may finish. */
const RECONNECT_GRACE_S = 5;
/** The library's own back-off grows to 20 s, long after the server is back. */
const RECONNECT_S = 0.25;

/** Makes the pool; connects with the first query. Throws ExitError (usage) for a URL that is none. */
export function connectDatabase(options: DatabaseOptions): Database {
	const { clock, deadlineMs = DEADLINE_MS } = options;
	let pool = createPool(options);
	let closed = false;
	const rebuild = (broken: postgres.Sql, graceS: number) => {
		if (pool !== broken || closed) return;
		pool = createPool(options);
		void broken.end({ timeout: graceS }).catch(() => {});
	};
	return {
		query(text, parameters = []) {
			const used = pool;
			return new Promise((resolve, reject) => {
				const timer = clock.after(deadlineMs, () => {
					rebuild(used, 0);
					reject(new PocKaffeError("QUERY_DEADLINE", `no answer from the database within ${deadlineMs} ms`));
				});
				const failed = (error: unknown) => {
					// A connection to a server that was demoted stays there for ever: a new one may lead to the primary.
					if (problemOf(error).remedy === "reconnect") rebuild(used, RECONNECT_GRACE_S);
					reject(error);
				};
				const settled = () => timer.cancel();
				used
					.unsafe(text, parameters as (string | null)[], { prepare: parameters.length > 0 })
					.then((rows) => resolve(withoutHoles(rows)), failed)
					.finally(settled);
			});
		},
		async *stream(text, batchRows) {
			for await (const rows of pool.unsafe(text).cursor(batchRows)) yield withoutHoles(rows);
		},
		async close() {
			if (closed) return;
			closed = true;
			await pool.end({ timeout: 1 }).catch(() => {});
		},
	};
}

/**
 * Behind a statement that failed after its first rows the library puts the next result's rows that many places too far
 * (postgres.js#1181): the places before them are empty.
 */
function withoutHoles(rows: readonly unknown[]): DatabaseRow[] {
	return (0 in rows || rows.length === 0 ? rows : rows.filter(() => true)) as DatabaseRow[];
}

function createPool({
	url,
	connections,
	statementTimeoutMs = STATEMENT_TIMEOUT_MS,
	lockTimeoutMs = LOCK_TIMEOUT_MS,
}: DatabaseOptions): postgres.Sql {
	const options = {
		max: connections,
		fetch_types: false,
		connect_timeout: CONNECT_TIMEOUT_S,
		backoff: () => RECONNECT_S,
		onnotice: () => {},
		connection: { application_name: "pockaffe", statement_timeout: statementTimeoutMs, lock_timeout: lockTimeoutMs },
		socket: socketWithoutDelay,
		...tlsOptions(url),
	};
	try {
		return postgres(url, options as never);
	} catch (cause) {
		throw new ExitError(exitCodes.usage, "database_url", `database.url: *** – ${messageOf(cause)}`, { cause });
	}
}

/**
 * Nagle's algorithm costs a batch up to 45 ms. An unconnected socket is returned at once: a rejection here would leak the connection.
 * Where the other side hangs up before it said a word (a load balancer without a server) the library connects anew without a pause and
 * without telling anybody, 700 times a second: made an error here.
 */
function socketWithoutDelay({ host, port, path }: { host: string[]; port: number[]; path?: string | false }): net.Socket {
	const socket = new net.Socket();
	socket.setNoDelay(true);
	const hungUp = () =>
		socket.destroy(Object.assign(new Error("the database's address hung up before it said anything"), { code: "ECONNRESET" }));
	socket.once("end", hungUp);
	socket.once("data", () => socket.off("end", hungUp));
	if (path) socket.connect(path);
	else socket.connect(port[0] as number, host[0] as string);
	return socket;
}

/** libpq's sslmode: `require` encrypts without looking at the certificate, `verify-ca` and `verify-full` look. */
function tlsOptions(url: string): object {
	const mode = /[?&]sslmode=([a-z-]+)/.exec(url)?.[1] ?? "disable";
	switch (mode) {
		case "disable":
		case "allow":
			return { ssl: false };
		case "prefer":
			return { ssl: "prefer" };
		case "require":
			return { ssl: { rejectUnauthorized: false } };
		case "verify-ca":
			return { ssl: { rejectUnauthorized: true, checkServerIdentity: () => undefined } };
		case "verify-full":
			return { ssl: { rejectUnauthorized: true } };
		default:
			throw new ExitError(
				exitCodes.usage,
				"database_url",
				`database.url: sslmode ${mode} – one of disable, prefer, require, verify-ca, verify-full`,
			);
	}
}

/** True where a database answers at this URL, within two seconds or so. */
export async function probeDatabase(url: string, clock: Clock): Promise<boolean> {
	const database = connectDatabase({ url, connections: 1, clock, deadlineMs: 2_000 });
	try {
		await database.query("select 1");
		return true;
	} catch {
		return false;
	} finally {
		await database.close();
	}
}
