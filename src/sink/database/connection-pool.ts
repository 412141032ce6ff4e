/**
 * Creates and ends the library's connection pools. The only home of `postgres` beside database.ts. connecting/ makes the connections: the
 * library gets streams that are ready for its startup message.
 */
import net from "node:net";
import postgres from "postgres";
import type { Clock } from "../../core/clock.ts";
import { PocKaffeError } from "../../core/errors.ts";
import { lifetime } from "../../core/waiting/lifetime.ts";
import type { ConnectionSettings, Host } from "./connecting/connection-settings.ts";
import { Dialler } from "./connecting/dialler.ts";
import { type PasswordSource, passwordFor } from "./connecting/passwords.ts";
import { explainEarlyEnd, isCertified } from "./connecting/tls-context.ts";

/** What a pool needs; see DatabaseOptions. */
export interface PoolOptions {
	readonly settings: ConnectionSettings;
	readonly passwords: PasswordSource;
	readonly connections: number;
	/** Settings that sessions begin with; null behind a pooler, which takes none. */
	readonly ofSession: { readonly statementTimeoutMs: number; readonly lockTimeoutMs: number } | null;
	readonly clock: Clock;
	/** Index of the host that is tried first. */
	readonly firstHost: number;
}

/** Maximum time from the startup message until the session is ready. */
const CONNECT_TIMEOUT_S = 5;
/** The message ReadyForQuery (idle), which ends the handshake. */
const READY = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);
/** Wait before a reconnect. The library's own back-off grows to 20 s, long after the server is back. */
const RECONNECT_S = 0.25;
/** The message BackendKeyData: its length; a process id and a secret follow. */
const BACKEND_KEY = Buffer.from([0x4b, 0, 0, 0, 12]);
/** SQLSTATE of a server that takes no writes. */
export const READ_ONLY = "25006";
/** Error code: a pooler is in between, although the pool was made for direct sessions. */
export const POOLER = "POOLER";

/** The library's pool with a count of its statements: a retired pool ends with its last statement. */
export class Pool {
	readonly sql: postgres.Sql;
	readonly #options: PoolOptions;
	readonly #ended = lifetime();
	readonly #dialler: Dialler;
	/** Index of the host that its connections go to. */
	#host: number;
	/** Password for the connection that is being made. */
	#password = "";
	/** Backend process ids that the server named to its connections. */
	readonly #backends = new Set<number>();
	#suitable: Promise<void> | null = null;
	#hadSession = false;
	#running = 0;
	#whenIdle: (() => void) | null = null;

	constructor(options: PoolOptions) {
		this.#options = options;
		this.#host = options.firstHost;
		this.#dialler = new Dialler(options.settings, options.clock, this.#ended.signal);
		this.sql = this.#create();
	}

	/** False until one of its connections has become a session. */
	get hadSession(): boolean {
		return this.#hadSession;
	}

	/** Index of the host that its connections go to. */
	get host(): number {
		return this.#host;
	}

	/**
	 * Runs a statement. Rejects with 25006 if the settings ask for a server that takes writes and this one does not, with POOLER if a pooler
	 * is in between.
	 */
	async run<T>(statement: (sql: postgres.Sql) => PromiseLike<T>): Promise<T> {
		this.#running++;
		try {
			await this.#untilSuitable();
			return await statement(this.sql);
		} finally {
			this.#running--;
			this.#endWhenIdle();
		}
	}

	/** Takes no new statements; running ones may finish. Calls `ended` when they have. */
	retire(ended: () => void): void {
		this.#whenIdle = ended;
		this.#endWhenIdle();
	}

	/** Ends the connections at once; running statements fail. */
	destroy(): void {
		this.#ended.abort(new PocKaffeError("CONNECTION_DESTROYED", "the connections were ended"));
		void this.sql.end({ timeout: 0 }).catch(() => {});
	}

	/** Ends the pool; running statements get a second. */
	async close(): Promise<void> {
		const timer = this.#options.clock.after(1_000, () => this.destroy());
		await this.sql.end({ timeout: 1 }).catch(() => {});
		timer.cancel();
		this.#ended.abort(new PocKaffeError("CONNECTION_ENDED", "the connections were ended"));
	}

	#endWhenIdle(): void {
		if (!this.#whenIdle || this.#running > 0) return;
		this.#whenIdle();
		this.destroy();
	}

	#untilSuitable(): Promise<void> {
		this.#suitable ??= this.#look().catch((error) => {
			this.#suitable = null;
			throw error;
		});
		return this.#suitable;
	}

	/**
	 * Checks once per pool whether a pooler is in between: a pooler gives its clients its own process id, or none. This matters because the
	 * library prepares even its `commit`. If a pooler's next session does not know that statement, the transaction fails and is rolled back,
	 * and the library reports it as committed.
	 */
	async #look(): Promise<void> {
		const { settings, ofSession } = this.#options;
		const takesNone = settings.needsWritable ? "pg_is_in_recovery() or current_setting('transaction_read_only')::boolean" : "false";
		const [row] = await this.sql.unsafe(`select pg_backend_pid() as backend, ${takesNone} as "takesNone"`);
		const { name, port } = settings.hosts[this.#host] as Host;
		if (row?.takesNone)
			throw new PocKaffeError(READ_ONLY, `${name}:${port} takes no writes, and target_session_attrs asks for a server that does`);
		// CockroachDB has no processes, and returns none.
		const isOther = row?.backend > 0 && this.#backends.size > 0 && !this.#backends.has(row?.backend);
		if (isOther && ofSession) throw new PocKaffeError(POOLER, `${name}:${port} is a pooler`);
	}

	#create(): postgres.Sql {
		const { settings, connections, ofSession } = this.#options;
		const { name, port } = settings.hosts[0] as Host;
		const options = {
			host: [name],
			port: [port],
			user: settings.user,
			database: settings.database,
			pass: () => this.#password,
			ssl: false,
			max: connections,
			fetch_types: false,
			prepare: ofSession !== null,
			connect_timeout: CONNECT_TIMEOUT_S,
			backoff: () => RECONNECT_S,
			onnotice: () => {},
			connection: {
				application_name: settings.applicationName,
				...(settings.options ? { options: settings.options } : {}),
				...(ofSession ? { statement_timeout: ofSession.statementTimeoutMs, lock_timeout: ofSession.lockTimeoutMs } : {}),
			},
			socket: () => this.#dial(),
		};
		// The library reads this variable itself, and does not know `any`.
		const { PGTARGETSESSIONATTRS: attributes } = process.env;
		delete process.env.PGTARGETSESSIONATTRS;
		try {
			return postgres(options as never);
		} finally {
			if (attributes !== undefined) process.env.PGTARGETSESSIONATTRS = attributes;
		}
	}

	/** Opens a connection. Never rejects, because the library would lose the connection's place: a failure is the socket's error instead. */
	async #dial(): Promise<net.Socket> {
		const { settings, passwords } = this.#options;
		const first = settings.random ? Math.floor(Math.random() * settings.hosts.length) : this.#host;
		try {
			const { socket, host, index } = await this.#dialler.dial(first, async (each) => {
				this.#password = await passwordFor(passwords, settings, each);
			});
			this.#host = index;
			return named(this.#untilReady(socket, host), host);
		} catch (error) {
			return named(deadSocket(error as Error), settings.hosts[first] as Host);
		}
	}

	/**
	 * If the other side hangs up during the handshake (a load balancer without a server), the library reconnects without a pause and without
	 * an error, 700 times a second. This turns it into an error.
	 */
	#untilReady(socket: net.Socket, host: Host): net.Socket {
		let said = Buffer.alloc(0);
		const hungUp = () => socket.destroy(Object.assign(new Error("the server closed the connection"), { code: "ECONNRESET" }));
		const certified = isCertified(socket);
		const explain = (error: Error) => certified && explainEarlyEnd(error, host);
		const look = (bytes: Buffer) => {
			said = Buffer.concat([said, bytes]);
			if (!said.includes(READY)) return;
			socket.off("end", hungUp).off("data", look).off("error", explain);
			this.#hadSession = true;
			const key = said.indexOf(BACKEND_KEY);
			if (key >= 0) this.#backends.add(said.readInt32BE(key + BACKEND_KEY.length));
		};
		return socket.once("end", hungUp).on("data", look).on("error", explain);
	}
}

/**
 * A socket that ends with this error after the library has written its startup message. If the library can't write before the socket ends,
 * it keeps the message, and its next connection is silent.
 */
function deadSocket(error: Error): net.Socket {
	const socket = Object.assign(new net.Socket(), { write: () => true });
	setImmediate(() => setImmediate(() => socket.destroy(error)));
	return socket;
}

/** The library's error messages take the address from these properties. */
function named(socket: net.Socket, { name, port }: Host): net.Socket {
	return Object.assign(socket, { host: name, port });
}
