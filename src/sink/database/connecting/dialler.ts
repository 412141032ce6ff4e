/**
 * Opens one connection to the database up to the point where the library takes over: host by host, socket, TLS. The result is a stream that
 * is ready for the startup message, encrypted if the mode asks for it.
 */
import net from "node:net";
import tls from "node:tls";
import type { Clock } from "../../../core/clock.ts";
import { PocKaffeError } from "../../../core/errors.ts";
import type { ConnectionSettings, Host } from "./connection-settings.ts";
import { explainTls, tlsOptions } from "./tls-context.ts";

/** A stream to a server, and which server it is. */
export interface Dialled {
	readonly socket: net.Socket;
	readonly host: Host;
	/** Index among the settings' hosts. */
	readonly index: number;
}

/** The message SSLRequest: its length, and the code that asks for TLS. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);
const [YES, NO] = [0x53, 0x4e];

/** Opens one connection to the database: host by host, socket, then TLS. */
export class Dialler {
	readonly #settings: ConnectionSettings;
	readonly #clock: Clock;
	readonly #signal: AbortSignal;

	/** Once the signal is aborted, every call rejects with its reason. */
	constructor(settings: ConnectionSettings, clock: Clock, signal: AbortSignal) {
		this.#settings = settings;
		this.#clock = clock;
		this.#signal = signal;
	}

	/**
	 * Tries the hosts in order, beginning at `first` and wrapping around. Calls `prepare` before each. Rejects with the only host's error, or
	 * with one error that has the words of all and the code of the last.
	 */
	async dial(first: number, prepare: (host: Host) => Promise<void>): Promise<Dialled> {
		const { hosts } = this.#settings;
		const errors: Error[] = [];
		for (let step = 0; step < hosts.length; step++) {
			const index = (first + step) % hosts.length;
			const host = hosts[index] as Host;
			try {
				await prepare(host);
				return { socket: await this.#dial(host), host, index };
			} catch (error) {
				this.#signal.throwIfAborted();
				errors.push(error as Error);
			}
		}
		const last = errors.at(-1) as Error & { code?: string };
		if (errors.length === 1) throw last;
		throw new PocKaffeError(last.code ?? "ECONNREFUSED", errors.map(({ message }) => message).join("; "), { cause: last });
	}

	async #dial(host: Host): Promise<net.Socket> {
		const { mode } = this.#settings.tls;
		// A local socket is never encrypted, whatever the mode, as in libpq.
		if (mode === "disable" || isSocket(host)) return await this.#connect(host);
		const isOptional = mode === "prefer" || mode === "allow";
		const options = await tlsOptions(this.#settings.tls, host);
		const plain = await this.#connect(host);
		if (!this.#settings.tls.direct && !(await this.#takesTls(plain, host))) {
			if (isOptional) return plain;
			plain.destroy();
			throw new PocKaffeError("ERR_TLS_NONE", `${nameOf(host)}: the server has no TLS, and sslmode=${mode} asks for it`);
		}
		try {
			return await this.#secure(plain, options, host);
		} catch (error) {
			// As in libpq: if TLS is only preferred and fails, go on without it.
			if (!isOptional) throw error;
			return await this.#connect(host);
		}
	}

	async #connect(host: Host): Promise<net.Socket> {
		const socket = new net.Socket();
		// Nagle's algorithm costs a batch up to 45 ms.
		socket.setNoDelay(true);
		if (isSocket(host)) socket.connect(`${host.address.replace(/\/$/, "")}/.s.PGSQL.${host.port}`);
		else socket.connect(host.port, host.address);
		await this.#first(socket, "connect", host);
		return socket;
	}

	async #takesTls(socket: net.Socket, host: Host): Promise<boolean> {
		socket.write(SSL_REQUEST);
		const answer = (await this.#first(socket, "data", host)) as Buffer;
		// More than one byte comes from somebody in between who wants it read as encrypted data (CVE-2021-23222).
		if (answer.length === 1 && answer[0] === YES) return true;
		if (answer.length === 1 && answer[0] === NO) return false;
		socket.destroy();
		throw new PocKaffeError("ERR_TLS_ANSWER", `${nameOf(host)}: its answer to the request for TLS is not a Postgres server's`);
	}

	async #secure(plain: net.Socket, options: tls.ConnectionOptions, host: Host): Promise<net.Socket> {
		const secured = tls.connect({ ...options, socket: plain });
		// Also explains the server's refusal of the client certificate, which comes after the handshake.
		secured.on("error", (error) => explainTls(error, host));
		await this.#first(secured, "secureConnect", host);
		secured.setNoDelay(true);
		return secured;
	}

	/** Resolves with the event's data. If an error, the end, the timeout or the signal comes first, it rejects and destroys the socket. */
	#first(socket: net.Socket, name: "connect" | "secureConnect" | "data", host: Host): Promise<unknown> {
		const { connectTimeoutMs } = this.#settings;
		return new Promise((resolve, reject) => {
			const settle = () => {
				timer.cancel();
				this.#signal.removeEventListener("abort", aborted);
				socket.off(name, came).off("error", failed).off("end", hungUp).off("close", hungUp);
			};
			const came = (value: unknown) => {
				settle();
				resolve(value);
			};
			const failed = (error: Error) => {
				settle();
				socket.on("error", () => {}).destroy();
				reject(error);
			};
			const hungUp = () => failed(new PocKaffeError("ECONNRESET", `${nameOf(host)}: the server closed the connection`));
			const aborted = () => failed(this.#signal.reason as Error);
			const timer = this.#clock.after(connectTimeoutMs, () => {
				failed(new PocKaffeError("CONNECT_TIMEOUT", `${nameOf(host)}: no connection within ${connectTimeoutMs} ms`));
			});
			socket.once(name, came).once("error", failed).once("end", hungUp).once("close", hungUp);
			this.#signal.addEventListener("abort", aborted, { once: true });
			if (this.#signal.aborted) aborted();
		});
	}
}

function isSocket({ address }: Host): boolean {
	return address.startsWith("/") || address.startsWith("@");
}

function nameOf({ name, port }: Host): string {
	return `${name}:${port}`;
}
