/**
 * What the daemon's HTTP server answers: `/metrics`, `/healthz`, `/readyz`, `/status`, and control if configured (http-control.ts). On
 * loopback a request's Host header must name a loopback host, against DNS rebinding: a web page whose name resolves to this machine gets
 * nothing.
 */
import type { RequestListener } from "node:http";
import { getRequestListener } from "@hono/node-server";
import { type Context, Hono } from "hono";
import { isLoopbackName } from "../../core/loopback.ts";
import type { ReadinessReport } from "../readiness.ts";
import { bringsToken } from "./bearer-token.ts";
import { addControl } from "./http-control.ts";
import type { HttpServerOptions } from "./http-server.ts";

const paths = ["/metrics", "/healthz", "/readyz", "/status"];
const NO_TOKEN = "/status names hosts, keys and errors: beyond loopback it needs http.token";

/** What answers a server's requests. `isLocal`: true once it is known to listen on loopback. */
export function routesOf(
	{ metrics, readiness, isEmbedded = false, status, control, token = "", mask = (text) => text, onError }: HttpServerOptions,
	isLocal: () => boolean,
): RequestListener {
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
	return getRequestListener(app.fetch);
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
