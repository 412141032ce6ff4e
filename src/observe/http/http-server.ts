/**
 * The daemon's HTTP server: `/metrics`, `/healthz`, `/readyz`, `/status`, and control if configured (http-control.ts). Functions passed in
 * give the answers, so it knows nothing of the daemon. On loopback a request's Host header must name a loopback host, against DNS
 * rebinding: a web page whose name resolves to this machine gets nothing.
 */
import { createServer, type RequestListener, type Server, type ServerOptions } from "node:http";
import type { AddressInfo } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import { type Context, Hono } from "hono";
import type { Clock } from "../../core/clock.ts";
import { ExitError, exitCodes, messageOf } from "../../core/errors.ts";
import { isLoopbackName } from "../../core/loopback.ts";
import type { RenderedMetrics } from "../metrics/metrics.ts";
import type { ReadinessReport } from "../readiness.ts";
import type { Status } from "../status.ts";
import { bringsToken } from "./bearer-token.ts";
import { addControl, type HttpControl } from "./http-control.ts";

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

const paths = ["/metrics", "/healthz", "/readyz", "/status"];
const NO_TOKEN = "/status names hosts, keys and errors: beyond loopback it needs http.token";
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
	const app = buildApp(options, () => isLocal);
	const server = createAdaptorServer({ fetch: app.fetch, createServer: withPlainHost, serverOptions: timeouts }) as Server;
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

/** Rewrites the Host header as a URL has it: the adaptor answers another spelling (capitals, a mapped address) with an empty 400. */
const withPlainHost = ((options: ServerOptions, listener: RequestListener) =>
	createServer(options, (request, response) => {
		try {
			request.headers.host &&= new URL(`http://${request.headers.host}`).host;
		} catch {
			// The adaptor refuses an invalid host. URL.canParse is no help: after V8 has compiled it, it accepts some of them.
		}
		listener(request, response);
	})) as typeof createServer;

/** Rejects if `createHttpServer` could not listen there now; nothing listens afterwards. For callers with much to do before. */
export async function probeAddress({ host, port }: Pick<HttpServerOptions, "host" | "port">): Promise<void> {
	const server = createServer();
	await listen(server, { host, port });
	await new Promise((resolve) => server.close(resolve));
}

function buildApp(
	{ metrics, readiness, isEmbedded = false, status, control, token = "", mask = (text) => text, onError }: HttpServerOptions,
	isLocal: () => boolean,
): Hono {
	const app = new Hono();
	const json = (context: Context, answer: object, status: 200 | 503 = 200) =>
		context.body(
			JSON.stringify(answer, (_, value) => (typeof value === "string" ? mask(value) : value)),
			status,
			{ "Content-Type": "application/json" },
		);
	const mayKnow = (context: Context) => isLocal() || bringsToken(context.req.header("authorization"), token);
	app.use(async (context, next) => {
		if (isLocal() && !isLoopbackName(hostOf(context))) {
			return refuse(context, 403, "forbidden_host", "the Host header must name this machine's loopback address");
		}
		const isControl =
			control && (context.req.path === "/drain" || context.req.path === "/offsets" || context.req.path.startsWith("/partitions/"));
		const allowed = isControl ? ["POST"] : ["GET", "HEAD"];
		if (!allowed.includes(context.req.method)) {
			context.header("Allow", allowed.join(", "));
			return refuse(context, 405, "method_not_allowed", `only ${allowed.join(" and ")} ${isControl ? "is" : "are"} answered here`);
		}
		context.header("Cache-Control", "no-store");
		context.header("X-Content-Type-Options", "nosniff");
		return next();
	});
	app.get("/metrics", async (context) => {
		const { contentType, body } = await metrics();
		return context.body(body, 200, { "Content-Type": contentType });
	});
	app.get("/healthz", (context) => context.json({ ok: true }));
	app.get("/readyz", (context) => {
		const report = readiness();
		const answer = mayKnow(context) ? report : withoutWords(report);
		return json(context, isEmbedded ? { ...answer, embedded: true } : answer, report.ready ? 200 : 503);
	});
	app.get("/status", (context) => {
		if (mayKnow(context)) return json(context, status());
		context.header("WWW-Authenticate", "Bearer");
		return refuse(context, 401, "unauthorized", token === "" ? NO_TOKEN : "Authorization: Bearer <http.token> is needed");
	});
	if (control) addControl(app, control, token);
	app.notFound((context) => context.json({ error: { code: "not_found", message: "no such path" }, paths }, 404));
	app.onError((error, context) => {
		onError?.(context.req.path, error);
		return refuse(context, 500, "internal_error", "the answer could not be made; the log says why");
	});
	return app;
}

/** Anybody may ask whether the daemon is ready; the reasons may name hosts, keys and errors. */
function withoutWords(report: ReadinessReport): object {
	return report.ready ? report : { ready: false, reasons: report.reasons.map(({ code }) => ({ code })) };
}

function refuse(context: Context, status: 401 | 403 | 405 | 500, code: string, message: string): Response {
	return context.json({ error: { code, message } }, status);
}

/** The name in the Host header, without the port. */
function hostOf(context: Context): string {
	return (context.req.header("host") ?? "").replace(/:\d*$/, "");
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
