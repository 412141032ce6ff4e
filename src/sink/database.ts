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

/** What a statement may take, where that is more than usual. */
export interface StatementLimits {
	readonly statementTimeoutMs: number;
}

/** What the sink needs of a database. */
export interface Database {
	/**
	 * Runs one statement; rejects with the driver's error, or `QUERY_DEADLINE`. Prepared unless it has no parameters. With `limits` it has
	 * its own time instead of the session's.
	 */
	query(text: string, parameters?: readonly (string | null)[], limits?: StatementLimits): Promise<readonly DatabaseRow[]>;
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
/** ReadyForQuery, idle: the end of the handshake. */
const READY = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);
/** The library's own back-off grows to 20 s, long after the server is back. */
const RECONNECT_S = 0.25;

/**
 * Makes the pool; connects with the first query. Where a connection was lost, or leads to a server that doesn't write any more, the next
 * query gets a new pool, and what runs in the old one may finish: a session stays with a demoted server for ever, and the library's
 * connection that lost its statement takes the server's next refusal (a wrong password) for that statement's, so that nobody hears of it.
 * Throws ExitError (usage) for a URL that is none.
 */
export function connectDatabase(options: DatabaseOptions): Database {
	const { clock, deadlineMs = DEADLINE_MS } = options;
	let pool = new Pool(options);
	/** Retired ones with statements under way: they end by themselves, or at the close. */
	const retired = new Set<Pool>();
	let closed = false;
	const replace = (broken: Pool) => {
		if (pool !== broken || closed) return;
		pool = new Pool(options);
		retired.add(broken);
		broken.retire(() => retired.delete(broken));
	};
	return {
		query(text, parameters = [], limits) {
			const used = pool;
			const withinMs = limits ? limits.statementTimeoutMs + DEADLINE_MS - STATEMENT_TIMEOUT_MS : deadlineMs;
			return new Promise((resolve, reject) => {
				const timer = clock.after(withinMs, () => {
					replace(used);
					used.destroy();
					reject(new PocKaffeError("QUERY_DEADLINE", `no answer from the database within ${withinMs} ms`));
				});
				const failed = (error: unknown) => {
					if (problemOf(error).remedy === "reconnect") replace(used);
					reject(error);
				};
				used
					.run((sql) => runWithin(sql, text, parameters as (string | null)[], limits))
					.then((rows) => resolve(withoutHoles(rows)), failed)
					.finally(() => timer.cancel());
			});
		},
		async *stream(text, batchRows) {
			for await (const rows of pool.sql.unsafe(text).cursor(batchRows)) yield withoutHoles(rows);
		},
		async close() {
			if (closed) return;
			closed = true;
			await Promise.all([pool, ...retired].map(({ sql }) => sql.end({ timeout: 1 }).catch(() => {})));
		},
	};
}

/** In a transaction where it has limits of its own: set for that alone they reach no other statement, not behind a pooler either. */
function runWithin(
	sql: postgres.Sql,
	text: string,
	parameters: (string | null)[],
	limits: StatementLimits | undefined,
): Promise<readonly unknown[]> {
	const options = { prepare: parameters.length > 0 };
	if (!limits) return sql.unsafe(text, parameters, options);
	return sql.begin(async (transaction) => {
		await transaction.unsafe(`set local statement_timeout = ${Math.ceil(limits.statementTimeoutMs)}`);
		return transaction.unsafe(text, parameters, options);
	}) as Promise<readonly unknown[]>;
}

/** The library's pool, and how many statements are in it: one that is not used any more ends with its last. */
class Pool {
	readonly sql: postgres.Sql;
	#running = 0;
	#whenIdle: (() => void) | null = null;

	constructor(options: DatabaseOptions) {
		this.sql = createPool(options);
	}

	async run<T>(statement: (sql: postgres.Sql) => PromiseLike<T>): Promise<T> {
		this.#running++;
		try {
			return await statement(this.sql);
		} finally {
			this.#running--;
			this.#endWhenIdle();
		}
	}

	/** Nothing new comes; what runs may finish. `ended` is told when it has. */
	retire(ended: () => void): void {
		this.#whenIdle = ended;
		this.#endWhenIdle();
	}

	/** What runs is given up. */
	destroy(): void {
		void this.sql.end({ timeout: 0 }).catch(() => {});
	}

	#endWhenIdle(): void {
		if (!this.#whenIdle || this.#running > 0) return;
		this.#whenIdle();
		this.destroy();
	}
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
 * Where the other side hangs up during the handshake (a load balancer without a server) the library connects anew without a pause and
 * without telling anybody, 700 times a second: made an error here.
 */
function socketWithoutDelay({ host, port, path }: { host: string[]; port: number[]; path?: string | false }): net.Socket {
	// The library's own messages name the address by these.
	const socket = Object.assign(new net.Socket(), { host: host[0], port: port[0] });
	socket.setNoDelay(true);
	const hungUp = () => socket.destroy(Object.assign(new Error("the database's address hung up"), { code: "ECONNRESET" }));
	const look = (bytes: Buffer) => {
		if (bytes.includes(READY)) socket.off("end", hungUp).off("data", look);
	};
	socket.once("end", hungUp).on("data", look);
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
