/** How a connection to the database begins: in clear or asking for TLS, host by host, and what is said where it does not come about. */
import net from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { connectionSettings } from "../../../src/sink/database/connecting/connection-settings.ts";
import { Dialler } from "../../../src/sink/database/connecting/dialler.ts";
import { ManualClock } from "../../support/fakes/manual-clock.ts";

const SSL_REQUEST = "0000000804d2162f";
const open: net.Server[] = [];
afterEach(() => {
	for (const server of open.splice(0)) server.close();
});

/** A server that answers the first bytes with these, and notes what it gets; `null` hangs up. */
async function serverAnswering(answer: string | null): Promise<{ readonly port: number; readonly got: string[] }> {
	const got: string[] = [];
	const server = net.createServer((socket) => {
		socket.on("error", () => {});
		socket.on("data", (bytes) => {
			got.push(bytes.toString("hex"));
			if (answer === null) socket.end();
			else socket.write(answer);
		});
	});
	open.push(server);
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	return { got, port: (server.address() as net.AddressInfo).port };
}

async function dial(url: string, { first = 0, clock = new ManualClock(), signal = new AbortController().signal } = {}) {
	const prepared: number[] = [];
	const dialler = new Dialler(connectionSettings(url, { HOME: "/none" }), clock, signal);
	const result = dialler.dial(first, async ({ port }) => void prepared.push(port));
	return { prepared, result, clock };
}

describe("a server that has no TLS", () => {
	it.each(["prefer", "allow"])("is talked to in clear where TLS is only preferred: sslmode=%s", async (mode) => {
		const { port, got } = await serverAnswering("N");
		const { result } = await dial(`postgres://u@127.0.0.1:${port}/d?sslmode=${mode}`);
		const { socket, index } = await result;
		expect([socket.destroyed, index, got]).toEqual([false, 0, [SSL_REQUEST]]);
		socket.destroy();
	});

	it.each(["require", "verify-full"])("is refused where TLS is asked for: sslmode=%s", async (mode) => {
		const { port } = await serverAnswering("N");
		const { result } = await dial(`postgres://u@127.0.0.1:${port}/d?sslmode=${mode}`);
		await expect(result).rejects.toMatchObject({ code: "ERR_TLS_NONE", message: expect.stringContaining(`sslmode=${mode} asks for it`) });
	});

	it("is not asked where nobody wants TLS", async () => {
		const { port, got } = await serverAnswering("N");
		const { result } = await dial(`postgres://u@127.0.0.1:${port}/d?sslmode=disable`);
		const { socket } = await result;
		socket.destroy();
		expect(got).toEqual([]);
	});
});

describe("an answer that is none of a Postgres server", () => {
	it.each([
		["is more than one byte: somebody in between has put more behind it", "NX"],
		["is more than one byte, also where it says yes", "SX"],
		["is another byte", "E"],
	])("%s", async (_, answer) => {
		const { port } = await serverAnswering(answer);
		const { result } = await dial(`postgres://u@127.0.0.1:${port}/d?sslmode=prefer`);
		await expect(result).rejects.toMatchObject({ code: "ERR_TLS_ANSWER", message: expect.stringContaining(`127.0.0.1:${port}`) });
	});

	it("is a connection that ends", async () => {
		const { port } = await serverAnswering(null);
		const { result } = await dial(`postgres://u@127.0.0.1:${port}/d?sslmode=prefer`);
		await expect(result).rejects.toMatchObject({ code: "ECONNRESET", message: expect.stringContaining("closed the connection") });
	});
});

describe("several hosts", () => {
	it("are tried in order from the first wanted on, each prepared for, until one takes the connection", async () => {
		const [gone, there] = [await serverAnswering(null), await serverAnswering("N")];
		const url = `postgres://u@127.0.0.1:${gone.port},127.0.0.1:${there.port},127.0.0.1:${gone.port}/d?sslmode=prefer`;
		const { prepared, result } = await dial(url, { first: 2 });
		const { index, host, socket } = await result;
		socket.destroy();
		expect([prepared, index, host.port]).toEqual([[gone.port, gone.port, there.port], 1, there.port]);
	});

	it("that all refuse are told with all reasons; a single one with its own error", async () => {
		const [one, two] = [await serverAnswering(null), await serverAnswering("E")];
		const both = await dial(`postgres://u@127.0.0.1:${one.port},127.0.0.1:${two.port}/d?sslmode=prefer`);
		const message = expect.stringMatching(new RegExp(`:${one.port}: .*closed the connection; .*:${two.port}: its answer`));
		await expect(both.result).rejects.toMatchObject({ code: "ERR_TLS_ANSWER", message });
		const single = await dial(`postgres://u@127.0.0.1:${one.port}/d?sslmode=prefer`);
		await expect(single.result).rejects.not.toThrow(";");
	});
});

it("a connection that is not there in time is given up, and leaves no timer", async () => {
	const { port, got } = await serverAnswering("");
	const { result, clock } = await dial(`postgres://u@127.0.0.1:${port}/d?sslmode=prefer&connect_timeout=7`);
	result.catch(() => {});
	await expect.poll(() => got.length).toBe(1);
	expect(clock.pending).toHaveLength(1);
	await clock.advance(7_000);
	await expect(result).rejects.toMatchObject({ code: "CONNECT_TIMEOUT", message: expect.stringContaining("7000 ms") });
	expect(clock.pending).toEqual([]);
});

it("a connection that nobody wants any more rejects with the reason, also where other hosts are left", async () => {
	const { port, got } = await serverAnswering("");
	const ended = new AbortController();
	const { result, prepared } = await dial(`postgres://u@127.0.0.1:${port},127.0.0.1:${port}/d?sslmode=prefer`, { signal: ended.signal });
	result.catch(() => {});
	await expect.poll(() => got.length).toBe(1);
	ended.abort(new Error("it ends"));
	await expect(result).rejects.toThrow("it ends");
	expect(prepared).toHaveLength(1);
});
