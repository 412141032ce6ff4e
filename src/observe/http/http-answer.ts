/** Requests and answers as the daemon's HTTP server needs them: small, without streams. */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";

/** A request whose path was taken apart. */
export interface HttpRequest {
	readonly method: string;
	/** The path without the query, as it came. */
	readonly path: string;
	/** The path's parts behind the first slash, decoded; null if one can't be decoded. */
	readonly parts: readonly string[] | null;
	readonly headers: IncomingHttpHeaders;
	/** Reads the body as JSON; null if it is none, or is longer than 1 MiB. */
	json(): Promise<unknown>;
}

/** An answer; `body` is sent as UTF-8. */
export interface HttpAnswer {
	readonly status: number;
	readonly headers?: Readonly<Record<string, string>>;
	readonly body: string;
}

/** How an answer in JSON is made. */
export interface JsonAnswer extends Partial<Pick<HttpAnswer, "status" | "headers">> {
	readonly mask?: (text: string) => string;
}

/** Maximum bytes of a request's body. The longest that is meant, offsets of thousands of partitions, has some hundred thousand. */
const LONGEST_BODY = 1024 * 1024;

/** Reads what the client asks. */
export function requestOf(message: IncomingMessage): HttpRequest {
	const path = pathOf(message.url ?? "");
	return { method: message.method ?? "", path, parts: partsOf(path), headers: message.headers, json: () => jsonOf(message) };
}

/** Sends the answer; to HEAD without its body. */
export function send(response: ServerResponse, { status, headers = {}, body }: HttpAnswer): void {
	response.writeHead(status, { ...headers, "Content-Length": Buffer.byteLength(body) });
	response.end(body);
}

/** An answer in JSON. `mask` is applied to every text in it, but to no key. */
export function json(content: object, { status = 200, headers = {}, mask }: JsonAnswer = {}): HttpAnswer {
	const body = JSON.stringify(content, mask && ((_, value) => (typeof value === "string" ? mask(value) : value)));
	return { status, headers: { ...headers, "Content-Type": "application/json" }, body };
}

/** The answer to a request that is not carried out. */
export function refusal(status: number, code: string, message: string, headers: Readonly<Record<string, string>> = {}): HttpAnswer {
	return json({ error: { code, message } }, { status, headers });
}

/** What a request lacks that needs the token. */
export const NEEDS_TOKEN = "Authorization: Bearer <http.token> is needed";

/** The answer to a request without the token. */
export function unauthorized(message: string): HttpAnswer {
	return refusal(401, "unauthorized", message, { "WWW-Authenticate": "Bearer" });
}

/** A proxy's client names the whole URL. */
function pathOf(target: string): string {
	const [, rest] = /^https?:\/\/[^/?]*(.*)$/i.exec(target) ?? ["", target];
	return (rest as string).replace(/\?.*$/s, "");
}

function partsOf(path: string): readonly string[] | null {
	try {
		return path.slice(1).split("/").map(decodeURIComponent);
	} catch {
		return null;
	}
}

async function jsonOf(message: IncomingMessage): Promise<unknown> {
	const chunks: Buffer[] = [];
	let bytes = 0;
	try {
		for await (const chunk of message as AsyncIterable<Buffer>) {
			bytes += chunk.length;
			// The rest is read all the same: the client listens only when it has sent everything.
			if (bytes <= LONGEST_BODY) chunks.push(chunk);
		}
		if (bytes > LONGEST_BODY) return null;
		return JSON.parse(new TextDecoder().decode(Buffer.concat(chunks)));
	} catch {
		return null;
	}
}
