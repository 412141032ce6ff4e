/**
 * The library's pools: how one is made, and how it ends. The only home of `postgres` beside database.ts. Connections are made by
 * connecting/: the library gets streams that are ready for its startup message.
 */
import net from "node:net";
import postgres from "postgres";
import type { Clock } from "../../core/clock.ts";
import { PocKaffeError } from "../../core/errors.ts";
import { lifetime } from "../../core/lifetime.ts";
import type { ConnectionSettings, Host } from "./connecting/connection-settings.ts";
import { Dialler } from "./connecting/dialler.ts";
import { type PasswordSource, passwordFor } from "./connecting/passwords.ts";
import { explainEarlyEnd, isCertified } from "./connecting/tls-context.ts";

/** What a pool is made with; see DatabaseOptions. */
export interface PoolOptions {
	readonly settings: ConnectionSettings;
	readonly passwords: PasswordSource;
	readonly connections: number;
	/** What sessions begin with; null behind a pooler that takes none. */
	readonly ofSession: { readonly statementTimeoutMs: number; readonly lockTimeoutMs: number } | null;
	readonly clock: Clock;
	/** The host that is tried first, by its place. */
	readonly firstHost: number;
}

/** Until the session stands, from the startup message on. */
const CONNECT_TIMEOUT_S = 5;
/** ReadyForQuery, idle: the end of the handshake. */
const READY = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);
/** The library's own back-off grows to 20 s, long after the server is back. */
const RECONNECT_S = 0.25;
/** BackendKeyData: its length, then the process id and a secret. */
const BACKEND_KEY = Buffer.from([0x4b, 0, 0, 0, 12]);
/** What a server says to a write that takes none. */
export const READ_ONLY = "25006";
/** There is a pooler in between, and the pool was made for sessions of its own. */
export const POOLER = "POOLER";

/** The library's pool, and how many statements are in it: one that is not used any more ends with its last. */
export class Pool {
	readonly sql: postgres.Sql;
	readonly #options: PoolOptions;
	readonly #ended = lifetime();
	readonly #dialler: Dialler;
	/** The host that its connections go to, by its place. */
	#host: number;
	/** Of the connection that is being made. */
	#password = "";
	/** The processes that its connections were told they lead to. */
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

	/** False while none of its connections has become a session. */
	get hadSession(): boolean {
		return this.#hadSession;
	}

	/** The place of the host that its connections go to. */
	get host(): number {
		return this.#host;
	}

	/** Rejects with 25006 where the settings ask for a server that writes and this one doesn't, with POOLER where one is in between. */
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

	/** Nothing new comes; what runs may finish. `ended` is told when it has. */
	retire(ended: () => void): void {
		this.#whenIdle = ended;
		this.#endWhenIdle();
	}

	/** What runs is given up. */
	destroy(): void {
		this.#ended.abort(new PocKaffeError("CONNECTION_DESTROYED", "the connections were ended"));
		void this.sql.end({ timeout: 0 }).catch(() => {});
	}

	/** What runs gets a second. */
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
	 * Once for a pool. A pooler tells its clients a process of its own, or none. It matters: the library prepares even its `commit`, and
	 * where a pooler's next session does not know it the transaction fails, is rolled back, and is told as done.
	 */
	async #look(): Promise<void> {
		const { settings, ofSession } = this.#options;
		const takesNone = settings.needsWritable ? "pg_is_in_recovery() or current_setting('transaction_read_only')::boolean" : "false";
		const [row] = await this.sql.unsafe(`select pg_backend_pid() as backend, ${takesNone} as "takesNone"`);
		const { name, port } = settings.hosts[this.#host] as Host;
		if (row?.takesNone)
			throw new PocKaffeError(READ_ONLY, `${name}:${port} takes no writes, and target_session_attrs asks for a server that does`);
		// CockroachDB has no processes, and says so.
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
		// The library reads this one by itself, and knows no `any`.
		const { PGTARGETSESSIONATTRS: attributes } = process.env;
		delete process.env.PGTARGETSESSIONATTRS;
		try {
			return postgres(options as never);
		} finally {
			if (attributes !== undefined) process.env.PGTARGETSESSIONATTRS = attributes;
		}
	}

	/** Never rejects: the library would lose the connection's place. What went wrong comes as the socket's error. */
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
	 * Where the other side hangs up during the handshake (a load balancer without a server) the library connects anew without a pause and
	 * without telling anybody, 700 times a second: made an error here.
	 */
	#untilReady(socket: net.Socket, host: Host): net.Socket {
		let said = Buffer.alloc(0);
		const hungUp = () => socket.destroy(Object.assign(new Error("the database's address hung up"), { code: "ECONNRESET" }));
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
 * A socket that ends with this error, once the library has written its startup message: what it can't write before a socket's end it keeps,
 * and its next connection is silent.
 */
function deadSocket(error: Error): net.Socket {
	const socket = Object.assign(new net.Socket(), { write: () => true });
	setImmediate(() => setImmediate(() => socket.destroy(error)));
	return socket;
}

/** The library's own messages name the address by these. */
function named(socket: net.Socket, { name, port }: Host): net.Socket {
	return Object.assign(socket, { host: name, port });
}
