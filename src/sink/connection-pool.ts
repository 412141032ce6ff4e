/**
 * The library's pools: how one is made, and how it ends. The only home of `postgres` beside database.ts.
 */
import net from "node:net";
import postgres from "postgres";
import { ExitError, exitCodes, messageOf } from "../core/errors.ts";

/** What a pool is made with; see DatabaseOptions. */
export interface PoolOptions {
	readonly url: string;
	readonly connections: number;
	readonly statementTimeoutMs: number;
	readonly lockTimeoutMs: number;
}

const CONNECT_TIMEOUT_S = 5;
/** ReadyForQuery, idle: the end of the handshake. */
const READY = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);
/** The library's own back-off grows to 20 s, long after the server is back. */
const RECONNECT_S = 0.25;

/** The library's pool, and how many statements are in it: one that is not used any more ends with its last. */
export class Pool {
	readonly sql: postgres.Sql;
	#running = 0;
	#whenIdle: (() => void) | null = null;

	constructor(options: PoolOptions) {
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

function createPool({ url, connections, statementTimeoutMs, lockTimeoutMs }: PoolOptions): postgres.Sql {
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
