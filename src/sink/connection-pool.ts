/**
 * The library's pools: how one is made, and how it ends. The only home of `postgres` beside database.ts. Connections are made by
 * connecting/: the library gets streams that are ready for its startup message.
 */
import net from "node:net";
import postgres from "postgres";
import type { Clock } from "../core/clock.ts";
import { PocKaffeError } from "../core/errors.ts";
import { lifetime } from "../core/lifetime.ts";
import type { ConnectionSettings, Host } from "./connecting/connection-settings.ts";
import { Dialler } from "./connecting/dialler.ts";
import { type PasswordSource, passwordFor } from "./connecting/passwords.ts";
import { explainEarlyEnd } from "./connecting/tls-context.ts";

/** What a pool is made with; see DatabaseOptions. */
export interface PoolOptions {
	readonly settings: ConnectionSettings;
	readonly passwords: PasswordSource;
	readonly connections: number;
	readonly statementTimeoutMs: number;
	readonly lockTimeoutMs: number;
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
/** What a server says to a write that takes none. */
export const READ_ONLY = "25006";

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
	#suitable: Promise<void> | null = null;
	#running = 0;
	#whenIdle: (() => void) | null = null;

	constructor(options: PoolOptions) {
		this.#options = options;
		this.#host = options.firstHost;
		this.#dialler = new Dialler(options.settings, options.clock, this.#ended.signal);
		this.sql = this.#create();
	}

	/** The place of the host that its connections go to. */
	get host(): number {
		return this.#host;
	}

	/** Rejects with 25006 where the settings ask for a server that writes, and this one doesn't. */
	async run<T>(statement: (sql: postgres.Sql) => PromiseLike<T>): Promise<T> {
		this.#running++;
		try {
			if (this.#options.settings.needsWritable) await this.#untilSuitable();
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

	async #look(): Promise<void> {
		const [row] = await this.sql.unsafe("select pg_is_in_recovery() or current_setting('transaction_read_only')::boolean as no");
		const { name, port } = this.#options.settings.hosts[this.#host] as Host;
		if (row?.no)
			throw new PocKaffeError(READ_ONLY, `${name}:${port} takes no writes, and target_session_attrs asks for a server that does`);
	}

	#create(): postgres.Sql {
		const { settings, connections, statementTimeoutMs, lockTimeoutMs } = this.#options;
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
			connect_timeout: CONNECT_TIMEOUT_S,
			backoff: () => RECONNECT_S,
			onnotice: () => {},
			connection: {
				application_name: settings.applicationName,
				...(settings.options ? { options: settings.options } : {}),
				statement_timeout: statementTimeoutMs,
				lock_timeout: lockTimeoutMs,
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
			return named(untilReady(socket, host), host);
		} catch (error) {
			return named(deadSocket(error as Error), settings.hosts[first] as Host);
		}
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

/**
 * Where the other side hangs up during the handshake (a load balancer without a server) the library connects anew without a pause and
 * without telling anybody, 700 times a second: made an error here.
 */
function untilReady(socket: net.Socket, host: Host): net.Socket {
	const hungUp = () => socket.destroy(Object.assign(new Error("the database's address hung up"), { code: "ECONNRESET" }));
	const explain = (error: Error) => explainEarlyEnd(error, socket, host);
	const look = (bytes: Buffer) => {
		if (bytes.includes(READY)) socket.off("end", hungUp).off("data", look).off("error", explain);
	};
	return socket.once("end", hungUp).on("data", look).on("error", explain);
}
