/**
 * The daemon's HTTP server: listens, hands each request to http-routes.ts, closes. Functions passed in give the answers, so it knows
 * nothing of the daemon.
 */
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Clock } from "../../core/clock.ts";
import { ExitError, exitCodes, messageOf } from "../../core/errors.ts";
import { isLoopbackName } from "../../core/loopback.ts";
import type { RenderedMetrics } from "../metrics/metrics.ts";
import type { ReadinessReport } from "../readiness.ts";
import type { Status } from "../status.ts";
import type { HttpControl } from "./http-control.ts";
import { routesOf } from "./http-routes.ts";

/** Where to listen and what to answer. */
export interface HttpServerOptions {
	readonly host: string;
	/** 0: any free port. */
	readonly port: number;
	readonly metrics: () => Promise<RenderedMetrics>;
	readonly readiness: () => ReadinessReport;
	/** True if broker and database are the daemon's own: `/readyz` says so. */
	readonly isEmbedded?: boolean;
	readonly status: () => Status;
	readonly clock: Clock;
	/** Control; null: the server is read-only. Beyond loopback control needs a token. */
	readonly control?: HttpControl | null;
	/** Bearer token for control, and beyond loopback also for `/status` and the messages of `/readyz`; empty (default): none. */
	readonly token?: string;
	/** Blanks out secrets in `/status` and `/readyz`: a handler's error may quote one. */
	readonly mask?: (text: string) => string;
	/** Called when an answer could not be made; the client gets a 500 without the reason. */
	readonly onError?: (path: string, error: unknown) => void;
}

/** A listening server. */
export interface HttpServer extends AsyncDisposable {
	readonly host: string;
	readonly port: number;
	/** `http://host:port`, without a path. */
	readonly url: string;
	/** Takes no new connections, waits for requests in flight at most `graceMs` (default 1000), then cuts them off. Idempotent. */
	close(graceMs?: number): Promise<void>;
}

/**
 * Not imported: an import reads all that the module exports, and with Node 22 that loads its WebSocket, and with it fetch and HTTP/2: 30 ms
 * of CPU at each start.
 */
const { createServer } = process.getBuiltinModule("node:http");
const GRACE_MS = 1000;
/** Short: no request has a large body. */
const timeouts = { headersTimeout: 5000, requestTimeout: 5000, connectionsCheckingInterval: 1000, keepAliveTimeout: 5000 };

/**
 * Resolves once it listens. Rejects with ExitError (usage): `port_in_use` if the port is taken, `port_forbidden` if it needs a privilege,
 * `http_host` if the address is not this machine's, or is not loopback and control has no token.
 */
export async function createHttpServer(options: HttpServerOptions): Promise<HttpServer> {
	// Known only once it listens: a host name may resolve to anything.
	let isLocal = false;
	const server = createServer(
		timeouts,
		routesOf(options, () => isLocal),
	);
	await listen(server, options);
	// A connection that could not be accepted (no descriptors left) must not end the daemon.
	server.on("error", (error) => options.onError?.("", error));
	server.on("request", (_, response) => response.on("close", () => closeIdleAfter(server)));
	const { address: host, port, family } = server.address() as AddressInfo;
	isLocal = isLoopbackName(host);
	if (options.control && !isLocal && !options.token) {
		server.close();
		throw new ExitError(exitCodes.usage, "http_host", `http.host: ${options.host} is ${host}, not loopback: http.admin needs http.token`);
	}
	const url = `http://${family === "IPv6" ? `[${host}]` : host}:${port}`;
	let closing: Promise<void> | undefined;
	const close = (graceMs = GRACE_MS) => {
		closing ??= closeServer(server, graceMs, options.clock);
		return closing;
	};
	return { host, port, url, close, [Symbol.asyncDispose]: () => close() };
}

/** Rejects if `createHttpServer` could not listen there now; nothing listens afterwards. For callers with much to do before. */
export async function probeAddress({ host, port }: Pick<HttpServerOptions, "host" | "port">): Promise<void> {
	const server = createServer();
	await listen(server, { host, port });
	await new Promise((resolve) => server.close(resolve));
}

function listen(server: Server, { host, port }: Pick<HttpServerOptions, "host" | "port">): Promise<void> {
	return new Promise((resolve, reject) => {
		server.once("error", (error) => reject(listenError(error, host, port)));
		server.listen({ host, port }, resolve);
	});
}

function listenError(error: NodeJS.ErrnoException, host: string, port: number): Error {
	const options = { cause: error };
	switch (error.code) {
		case "EADDRINUSE":
			return new ExitError(
				exitCodes.usage,
				"port_in_use",
				`http.port: port ${port} on ${host} is in use; take another one, or 0 for any`,
				options,
			);
		case "EACCES":
			return new ExitError(
				exitCodes.usage,
				"port_forbidden",
				`http.port: port ${port} on ${host} needs a privilege; take one above 1023`,
				options,
			);
		case "EADDRNOTAVAIL":
		case "ENOTFOUND":
		case "EAI_AGAIN":
			return new ExitError(exitCodes.usage, "http_host", `http.host: ${host} is not an address of this machine (${error.code})`, options);
		default:
			return new ExitError(
				exitCodes.usage,
				"http_listen",
				`http.host, http.port: can't listen on ${host}:${port}: ${messageOf(error)}`,
				options,
			);
	}
}

function closeServer(server: Server, graceMs: number, clock: Clock): Promise<void> {
	return new Promise((resolve) => {
		const timer = clock.after(graceMs, () => server.closeAllConnections());
		server.close(() => {
			timer.cancel();
			resolve();
		});
	});
}

/** While closing, closes a kept-alive connection after its answer: it becomes idle only then, and nobody else closes it. */
function closeIdleAfter(server: Server): void {
	if (!server.listening) setImmediate(() => server.closeIdleConnections());
}
