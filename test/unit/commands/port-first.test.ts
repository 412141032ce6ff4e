/** A port that is taken is found before anything is made for nothing. */
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { expect, it } from "vitest";
import { probeAddress } from "../../../src/observe/http/http-server.ts";
import { pockaffe } from "../../support/daemons/command-line.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

async function takenPort() {
	const server = createServer().listen(0, "127.0.0.1");
	await once(server, "listening");
	return { port: (server.address() as AddressInfo).port, [Symbol.asyncDispose]: async () => void server.close() };
}

it("an embedded run whose port is taken says so, exits with 2, and leaves no folder behind", async () => {
	await using taken = await takenPort();
	await using folder = await temporaryFolder();
	const { code, stderr } = await pockaffe(["run", "--embedded"], { cwd: folder.path, env: { POCKAFFE_HTTP_PORT: String(taken.port) } });
	expect([code, stderr]).toEqual([2, expect.stringContaining(`http.port: port ${taken.port} on 127.0.0.1 is in use`)]);
	expect(await readdir(folder.path)).toEqual([]);
});

it("a port that is free is free again afterwards", async () => {
	const { port } = await (async () => {
		await using taken = await takenPort();
		return taken;
	})();
	await probeAddress({ host: "127.0.0.1", port });
	await probeAddress({ host: "127.0.0.1", port });
});
