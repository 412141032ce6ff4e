/**
 * What the daemon's HTTP server answers: `/metrics`, `/healthz`, `/readyz`, `/status`, and control if configured (http-control.ts). On
 * loopback a request's Host header must name a loopback host, against DNS rebinding: a web page whose name resolves to this machine gets
 * nothing.
 *
 * On Node's own server, for eight paths: a framework that is made for fetch loads Node's fetch, which costs a start 30 ms of CPU (Node 20).
 */
import type { RequestListener } from "node:http";
import { isLoopbackName } from "../../core/loopback.ts";
import type { ReadinessReport } from "../readiness.ts";
import { bringsToken } from "./bearer-token.ts";
import { type HttpAnswer, type HttpRequest, json, NEEDS_TOKEN, refusal, requestOf, send, unauthorized } from "./http-answer.ts";
import { controlRoute, isControl } from "./http-control.ts";
import type { HttpServerOptions } from "./http-server.ts";

const paths = ["/metrics", "/healthz", "/readyz", "/status"];
const NO_TOKEN = "/status names hosts, keys and errors: beyond loopback it needs http.token";
/** Every answer is of this moment, and of the type that it says. */
const always = { "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff" };

/** What answers a server's requests. `isLocal`: true once it is known to listen on loopback. */
export function routesOf(
	{ metrics, readiness, isEmbedded = false, status, control = null, token = "", mask = (text) => text, onError }: HttpServerOptions,
	isLocal: () => boolean,
): RequestListener {
	const mayKnow = ({ headers }: HttpRequest) => isLocal() || bringsToken(headers.authorization, token);
	const ready = (request: HttpRequest) => {
		const report = readiness();
		const told = mayKnow(request) ? report : withoutWords(report);
		return json(isEmbedded ? { ...told, embedded: true } : told, { status: report.ready ? 200 : 503, mask });
	};
	const read = async (request: HttpRequest): Promise<HttpAnswer | null> => {
		switch (request.path) {
			case "/metrics": {
				const { contentType, body } = await metrics();
				return { status: 200, headers: { "Content-Type": contentType }, body };
			}
			case "/healthz":
				return json({ ok: true });
			case "/readyz":
				return ready(request);
			case "/status":
				return mayKnow(request) ? json(status(), { mask }) : unauthorized(token === "" ? NO_TOKEN : NEEDS_TOKEN);
			default:
				return null;
		}
	};
	const answer = async (request: HttpRequest): Promise<HttpAnswer> => {
		if (isLocal() && !isLoopbackName(hostOf(request)))
			return refusal(403, "forbidden_host", "the Host header must name this machine's loopback address");
		const controls = control !== null && isControl(request);
		const allowed = controls ? ["POST"] : ["GET", "HEAD"];
		if (!allowed.includes(request.method)) {
			const message = `only ${allowed.join(" and ")} ${controls ? "is" : "are"} answered here`;
			return refusal(405, "method_not_allowed", message, { Allow: allowed.join(", ") });
		}
		const found = controls ? await controlRoute(request, control, token) : await read(request);
		return found ?? json({ error: { code: "not_found", message: "no such path" }, paths }, { status: 404 });
	};
	return async (message, response) => {
		const request = requestOf(message);
		const made = await answer(request).catch((error: unknown) => {
			onError?.(request.path, error);
			return refusal(500, "internal_error", "the answer could not be made; the log says why");
		});
		send(response, { ...made, headers: { ...always, ...made.headers } });
	};
}

/** Anybody may ask whether the daemon is ready; the reasons may name hosts, keys and errors. */
function withoutWords(report: ReadinessReport): object {
	return report.ready ? report : { ready: false, reasons: report.reasons.map(({ code }) => ({ code })) };
}

/** The name in the Host header, without the port. */
function hostOf({ headers }: HttpRequest): string {
	return (headers.host ?? "").replace(/:\d*$/, "");
}
