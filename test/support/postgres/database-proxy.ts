/**
 * A TCP proxy in front of a Postgres, for what a server alone can't be made to do: cut the connection when the work is done and the
 * answer is on its way, fall silent, hang up, lead elsewhere.
 */
import { createServer, type Server, Socket } from "node:net";

/** What becomes of bytes and new connections. */
type Mode = "forward" | "silent" | "hang-up";

/** ReadyForQuery, idle: the end of an answer, sent when the statement is committed. */
const READY = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);

/** See the file's header; use with `await using`. */
export class DatabaseProxy implements AsyncDisposable {
	/** Connections taken so far. */
	accepted = 0;
	/** Answers that were cut off. */
	cut = 0;
	readonly #server: Server;
	readonly #sockets = new Set<Socket>();
	#target: URL;
	#mode: Mode = "forward";
	#answersToCut = 0;

	private constructor(target: string) {
		this.#target = new URL(target);
		this.#server = createServer((client) => this.#accept(client));
	}

	/** Listens on loopback in front of the server of `url`. */
	static async to(url: string): Promise<DatabaseProxy> {
		const proxy = new DatabaseProxy(url);
		await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
		return proxy;
	}

	/** The target's URL, through the proxy. */
	get url(): string {
		const url = new URL(this.#target);
		url.host = `127.0.0.1:${(this.#server.address() as { port: number }).port}`;
		return url.href;
	}

	/** Connections of clients that are there. */
	get open(): number {
		return [...this.#sockets].filter((socket) => socket.localPort === (this.#server.address() as { port: number }).port).length;
	}

	/** New connections lead to this server; those that are there stay where they are. */
	leadTo(url: string): void {
		this.#target = new URL(url);
	}

	/** Connections stay open, and nothing goes through any more, either way. */
	fallSilent(): void {
		this.#mode = "silent";
	}

	/** New connections are closed before a byte was said, as a load balancer without a server does. */
	hangUp(): void {
		this.#mode = "hang-up";
		this.cutAll();
	}

	/** All is well again for new connections; those that fell silent stay so. */
	mend(): void {
		this.#mode = "forward";
	}

	/** The next `count` answers are not delivered: the server has done its work, and the connection is cut. */
	cutAnswers(count: number): void {
		this.#answersToCut = count;
	}

	/** Cuts all connections that are there. */
	cutAll(): void {
		for (const socket of this.#sockets) socket.destroy();
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.cutAll();
		await new Promise((resolve) => this.#server.close(resolve));
	}

	#accept(client: Socket): void {
		this.accepted++;
		if (this.#mode === "hang-up") {
			client.on("error", () => {}).destroy();
			return;
		}
		const server = new Socket();
		let silenced = this.#mode === "silent";
		const isSilent = () => (silenced ||= this.#mode === "silent");
		this.#join(client, server);
		client.on("data", (bytes) => {
			if (!isSilent()) server.write(bytes);
		});
		server.on("data", (bytes) => {
			if (isSilent()) return;
			if (this.#answersToCut > 0 && bytes.subarray(-READY.length).equals(READY)) {
				this.#answersToCut--;
				this.cut++;
				client.resetAndDestroy();
				return;
			}
			client.write(bytes);
		});
		server.connect(Number(this.#target.port), this.#target.hostname);
	}

	/** What ends one ends the other. */
	#join(client: Socket, server: Socket): void {
		for (const [one, other] of [
			[client, server],
			[server, client],
		] as const) {
			this.#sockets.add(one);
			one.setNoDelay(true);
			one.on("error", () => {});
			one.on("close", () => {
				this.#sockets.delete(one);
				other.destroy();
			});
		}
	}
}
