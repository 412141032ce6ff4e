import { request, Server } from "node:http";
import { connect, createServer } from "node:net";
import { afterEach, describe, expect, it, vi } from "vitest";
import { systemClock } from "../../../../src/core/clock.ts";
import { isLoopbackName } from "../../../../src/core/loopback.ts";
import { createHttpServer, type HttpServer, type HttpServerOptions } from "../../../../src/observe/http/http-server.ts";
import type { ReadinessReport } from "../../../../src/observe/readiness.ts";
import type { Status } from "../../../../src/observe/status.ts";
import { ManualClock, settle } from "../../../support/fakes/manual-clock.ts";

const notReady: ReadinessReport = {
	ready: false,
	reasons: [{ code: "parked", topic: "orders", partition: 2, message: "poison: offset 7", since: "2026-01-01T00:00:00.000Z" }],
};
let server: HttpServer | undefined;

afterEach(async () => {
	vi.restoreAllMocks();
	await server?.close(0);
	server = undefined;
});

async function start(overrides: Partial<HttpServerOptions> = {}): Promise<HttpServer> {
	server = await createHttpServer({
		host: "127.0.0.1",
		port: 0,
		metrics: async () => ({ contentType: "text/plain; version=0.0.4; charset=utf-8", body: "up 1\n" }),
		readiness: () => ({ ready: true }),
		status: () => ({ version: "1.2.3" }) as Status,
		clock: systemClock,
		...overrides,
	});
	return server;
}

/** fetch refuses to set Host; this doesn't. */
function statusWithHost(url: string, host: string): Promise<number> {
	return new Promise((resolve, reject) => {
		request(`${url}/healthz`, { headers: { host } }, (response) => {
			response.resume();
			resolve(response.statusCode ?? 0);
		})
			.on("error", reject)
			.end();
	});
}

/** The whole answer to these bytes, after which the client sends no more. */
function rawAnswer(port: number, bytes: string): Promise<string> {
	return new Promise((resolve, reject) => {
		let answer = "";
		const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true }, () => socket.end(bytes));
		socket.setEncoding("utf8").on("data", (text) => {
			answer += text;
		});
		socket.on("error", reject).on("end", () => resolve(answer));
	});
}

describe("HTTP server", () => {
	it("answers metrics, health, readiness and status on the port it was given", async () => {
		const { url, port } = await start();
		expect(port).toBeGreaterThan(0);
		const metrics = await fetch(`${url}/metrics`);
		expect([metrics.status, metrics.headers.get("content-type"), await metrics.text()]).toEqual([
			200,
			"text/plain; version=0.0.4; charset=utf-8",
			"up 1\n",
		]);
		expect(await (await fetch(`${url}/healthz`)).json()).toEqual({ ok: true });
		expect(await (await fetch(`${url}/readyz`)).json()).toEqual({ ready: true });
		expect(await (await fetch(`${url}/status`)).json()).toEqual({ version: "1.2.3" });
	});

	it("answers 503 with the reasons while not ready", async () => {
		const { url } = await start({ readiness: () => notReady });
		const response = await fetch(`${url}/readyz`);
		expect([response.status, await response.json()]).toEqual([503, notReady]);
	});

	it("lists the paths where there is none, and takes only GET and HEAD", async () => {
		const { url } = await start();
		const missing = await fetch(`${url}/nope`);
		expect(missing.status).toBe(404);
		expect(await missing.json()).toMatchObject({ paths: ["/metrics", "/healthz", "/readyz", "/status"] });
		const post = await fetch(`${url}/healthz`, { method: "POST", body: "x" });
		expect([post.status, post.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
		const head = await fetch(`${url}/metrics`, { method: "HEAD" });
		expect([head.status, await head.text()]).toEqual([200, ""]);
	});

	it("shows no stack of an answer that failed, and tells who wants to know", async () => {
		const failures: string[] = [];
		const status = () => {
			throw new Error("password is hunter2");
		};
		const { url } = await start({ status, onError: (path, error) => failures.push(`${path}: ${(error as Error).message}`) });
		const response = await fetch(`${url}/status`);
		const text = await response.text();
		expect(response.status).toBe(500);
		expect(text).not.toMatch(/hunter2|at /);
		expect(failures).toEqual(["/status: password is hunter2"]);
	});

	it("refuses another machine's name in the Host header on loopback", async () => {
		const { url, port } = await start();
		expect(await statusWithHost(url, `rebound.example:${port}`)).toBe(403);
		expect(await statusWithHost(url, `localhost:${port}`)).toBe(200);
		expect(await statusWithHost(url, `[::1]:${port}`)).toBe(200);
	});

	it("blanks out secrets in what /status and /readyz say, and in no key", async () => {
		const mask = (text: string) => text.replaceAll("version", "***").replaceAll("offset", "***");
		const status = () => ({ version: "the version" }) as Status;
		const { url } = await start({ status, readiness: () => notReady, mask });
		expect(await (await fetch(`${url}/status`)).json()).toEqual({ version: "the ***" });
		expect(await (await fetch(`${url}/readyz`)).text()).toContain("poison: *** 7");
	});

	it("takes loopback's names in any spelling", async () => {
		const { url, port } = await start({ host: "127.1" });
		for (const host of ["LOCALHOST", "127.0.0.1", "[::ffff:127.0.0.1]", "127.9.9.9"])
			expect([host, await statusWithHost(url, `${host}:${port}`)]).toEqual([host, 200]);
		for (const host of [
			"127.example.com",
			"localhost.evil.example",
			"127.0.0.1.nip.io",
			"u@localhost",
			"localhost/x",
			"localhost?x",
			"1.2.3.4",
			"u@localhost",
			"localhost/x",
			"[::2]",
			"1.2.3.4",
		])
			expect([host, await statusWithHost(url, host)]).toEqual([host, 403]);
	});

	it("refuses a Host header that is no host, or is missing", async () => {
		const { url, port } = await start();
		expect(await statusWithHost(url, "\u00e1\u0094\u00ad")).toBe(403);
		const answer = await rawAnswer(port, "GET /healthz HTTP/1.0\r\n\r\n");
		expect(answer).toMatch(/^HTTP\/1\.1 403 [\s\S]*forbidden_host/);
	});

	it("answers whoever names the whole URL, adds a query, or has closed its half of the connection", async () => {
		const { port } = await start();
		for (const target of [`http://localhost:${port}/healthz`, "/healthz?probe=1", "http://other.example/healthz?x=/status"]) {
			const answer = await rawAnswer(port, `GET ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
			expect([target, answer.split("\r\n\r\n")[1]]).toEqual([target, '{"ok":true}']);
		}
	});

	it("says how long an answer is, to HEAD too, and that nobody may keep it or take it for another type", async () => {
		const { url } = await start({ metrics: async () => ({ contentType: "text/plain", body: "é 1\n" }) });
		for (const method of ["GET", "HEAD"]) {
			const { headers } = await fetch(`${url}/metrics`, { method });
			const told = ["content-length", "cache-control", "x-content-type-options"].map((name) => headers.get(name));
			expect([method, ...told]).toEqual([method, "5", "no-store", "nosniff"]);
		}
	});

	it("tells nobody beyond loopback why without the token, but that it is not ready", async () => {
		const token = "a-token-that-is-long";
		const { port } = await start({ host: "0.0.0.0", token, readiness: () => notReady });
		const ask = (path: string, authorization = "") =>
			fetch(`http://127.0.0.1:${port}${path}`, { headers: authorization ? { authorization } : {} });
		const refused = await ask("/status");
		expect([refused.status, refused.headers.get("www-authenticate")]).toEqual([401, "Bearer"]);
		expect((await ask("/status", "Bearer wrong")).status).toBe(401);
		expect(await (await ask("/status", `Bearer ${token}`)).json()).toEqual({ version: "1.2.3" });
		const bare = await ask("/readyz");
		expect([bare.status, await bare.json()]).toEqual([503, { ready: false, reasons: [{ code: "parked" }] }]);
		expect(await (await ask("/readyz", `Bearer ${token}`)).json()).toEqual(notReady);
		expect([(await ask("/healthz")).status, (await ask("/metrics")).status]).toEqual([200, 200]);
	});

	it("shows /status to nobody beyond loopback where there is no token", async () => {
		const { port } = await start({ host: "0.0.0.0" });
		const refused = await fetch(`http://127.0.0.1:${port}/status`, { headers: { authorization: "Bearer " } });
		expect([refused.status, await refused.json()]).toMatchObject([
			401,
			{ error: { message: expect.stringContaining("needs http.token") } },
		]);
	});

	it("takes any name where it listens on all addresses", async () => {
		const { port } = await start({ host: "0.0.0.0" });
		expect(await statusWithHost(`http://127.0.0.1:${port}`, "pockaffe.monitoring.svc")).toBe(200);
	});

	it("names host, port and key where the port is taken", async () => {
		const other = createServer();
		await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
		const { port } = other.address() as { port: number };
		try {
			const refused = createHttpServer({ ...optionsOf(), port });
			await expect(refused).rejects.toMatchObject({ code: "port_in_use", exitCode: 2 });
			await expect(refused).rejects.toThrow(`http.port: port ${port} on 127.0.0.1`);
		} finally {
			other.close();
		}
	});

	it("says so where the address is not this machine's", async () => {
		await expect(createHttpServer({ ...optionsOf(), host: "192.0.2.1" })).rejects.toMatchObject({ code: "http_host", exitCode: 2 });
	});

	it("waits for the request in flight when it closes", async () => {
		const asked = deferred<void>();
		const answer = deferred<{ contentType: string; body: string }>();
		const metrics = () => {
			asked.resolve();
			return answer.promise;
		};
		const { url, close } = await start({ metrics, clock: new ManualClock() });
		const response = fetch(`${url}/metrics`);
		await asked.promise;
		let isClosed = false;
		const closed = close().then(() => (isClosed = true));
		await settle();
		expect(isClosed).toBe(false);
		const idleClosed = vi.spyOn(Server.prototype, "closeIdleConnections");
		answer.resolve({ contentType: "text/plain", body: "late" });
		expect(await (await response).text()).toBe("late");
		await closed;
		// The client would keep its connection for seconds.
		expect(idleClosed).toHaveBeenCalled();
		await expect(fetch(`${url}/healthz`)).rejects.toThrow();
	});

	it("cuts off a request that outlasts the grace", async () => {
		const asked = deferred<void>();
		const metrics = () => {
			asked.resolve();
			return new Promise<never>(() => {});
		};
		const { url, close } = await start({ metrics });
		const response = fetch(`${url}/metrics`);
		const failed = expect(response).rejects.toThrow();
		await asked.promise;
		await close(20);
		await failed;
	});
});

describe("loopback names", () => {
	it("knows this machine by every spelling and nobody else", () => {
		expect(["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "[::1]", "::1", "::ffff:127.0.0.1"].every(isLoopbackName)).toBe(true);
		expect(["", "127.0.0.1.example.com", "localhost.example", "10.0.0.1", "0.0.0.0", "::"].some(isLoopbackName)).toBe(false);
	});
});

function optionsOf(): HttpServerOptions {
	return {
		host: "127.0.0.1",
		port: 0,
		metrics: async () => ({ contentType: "", body: "" }),
		readiness: () => ({ ready: true }),
		status: () => ({}) as Status,
		clock: systemClock,
	};
}

function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
	let resolve: (value: T) => void = () => {};
	const promise = new Promise<T>((resolver) => {
		resolve = resolver;
	});
	return { promise, resolve };
}
