/**
 * The network between two parties, to be made slow, silent or cut. What is on its way keeps its order and is never dropped while a
 * connection lives: TCP would send it again.
 */
import { connect, createServer, type Server, type Socket } from "node:net";

/** How it is between the two; both ways alike. */
export interface NetworkConditions {
	/** How long each piece is on its way. */
	readonly latencyMs: number;
	/** Of all connections together. */
	readonly bytesPerSecond: number;
	/** Connections stay open, new ones are accepted, and nothing arrives. */
	readonly silent: boolean;
}

const GOOD: NetworkConditions = { latencyMs: 0, bytesPerSecond: Number.POSITIVE_INFINITY, silent: false };
/** A sender is told to wait when so much of a connection is on its way. */
const MOST_ON_THE_WAY = 256 * 1024;
/** Larger pieces than this would arrive in jumps. */
const PIECE = 16 * 1024;

/** A proxy on loopback; `await using` closes it. */
export class TcpProxy implements AsyncDisposable {
	readonly #server: Server;
	readonly #lanes = new Set<Lane>();
	readonly #sockets = new Set<Socket>();
	#conditions = GOOD;
	/** When the line has carried what was put on it so far. */
	#lineFreeAt = 0;

	private constructor(targetPort: number) {
		this.#server = createServer((near) => this.#join(near, connect(targetPort, "127.0.0.1")));
	}

	/** Listens at any free port, or the one given, for whoever wants to talk to `targetPort`. */
	static async start(targetPort: number, port = 0): Promise<TcpProxy> {
		const proxy = new TcpProxy(targetPort);
		await new Promise<void>((resolve, reject) => {
			proxy.#server.once("error", reject);
			proxy.#server.listen(port, "127.0.0.1", resolve);
		});
		return proxy;
	}

	get port(): number {
		return (this.#server.address() as { port: number }).port;
	}

	/** Changes how it is from now on; what isn't named becomes good. */
	become(conditions: Partial<NetworkConditions>): void {
		this.#conditions = { ...GOOD, ...conditions };
		for (const lane of this.#lanes) lane.go();
	}

	/** Ends every connection, as a router that restarts does. */
	cut(): void {
		for (const socket of this.#sockets) socket.destroy();
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.cut();
		await new Promise<void>((resolve) => this.#server.close(() => resolve()));
	}

	#join(near: Socket, far: Socket): void {
		for (const [from, to] of [
			[near, far],
			[far, near],
		] as const) {
			from.setNoDelay(true);
			this.#sockets.add(from);
			const lane = new Lane(
				from,
				to,
				() => this.#conditions,
				(bytes) => this.#arrival(bytes),
			);
			this.#lanes.add(lane);
			from.on("error", () => {});
			from.on("close", () => {
				this.#sockets.delete(from);
				this.#lanes.delete(lane);
				to.destroy();
			});
		}
	}

	#arrival(bytes: number): number {
		const { latencyMs, bytesPerSecond } = this.#conditions;
		const now = performance.now();
		this.#lineFreeAt = Math.max(now, this.#lineFreeAt) + (bytes / bytesPerSecond) * 1000;
		return this.#lineFreeAt + latencyMs;
	}
}

/** One direction of a connection: pieces with the time at which they arrive. */
class Lane {
	readonly #from: Socket;
	readonly #to: Socket;
	readonly #conditions: () => NetworkConditions;
	readonly #pieces: { readonly content: Buffer; readonly arrivesAt: number }[] = [];
	#bytes = 0;
	#timer: NodeJS.Timeout | null = null;

	constructor(from: Socket, to: Socket, conditions: () => NetworkConditions, arrival: (bytes: number) => number) {
		this.#from = from;
		this.#to = to;
		this.#conditions = conditions;
		from.on("data", (chunk: Buffer) => {
			for (let at = 0; at < chunk.length; at += PIECE) {
				const content = chunk.subarray(at, at + PIECE);
				this.#pieces.push({ content, arrivesAt: arrival(content.length) });
			}
			this.#bytes += chunk.length;
			if (this.#bytes > MOST_ON_THE_WAY) from.pause();
			this.go();
		});
	}

	/** Hands over what has arrived by now, and looks again when the next piece does. */
	go(): void {
		if (this.#timer) clearTimeout(this.#timer);
		this.#timer = null;
		if (this.#conditions().silent || this.#to.destroyed) return;
		for (let [next] = this.#pieces; next; [next] = this.#pieces) {
			const waitMs = next.arrivesAt - performance.now();
			if (waitMs > 0) {
				this.#timer = setTimeout(() => this.go(), waitMs);
				return;
			}
			this.#pieces.shift();
			this.#bytes -= next.content.length;
			this.#to.write(next.content);
		}
		this.#from.resume();
	}
}
