/** The embedded Postgres under our own supervision: kept, adopted, started again, never two on one folder. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { EmbeddedPostgres } from "../../../src/embedded/embedded-postgres.ts";
import { connectDatabase, probeDatabase } from "../../../src/sink/database/database.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

function start(folder: string, log: (message: string) => void = () => {}): Promise<EmbeddedPostgres> {
	return EmbeddedPostgres.start({ folder, clock: systemClock, probe: (url) => probeDatabase(url, systemClock), log });
}

async function query(url: string, text: string): Promise<readonly Record<string, unknown>[]> {
	const database = connectDatabase({ url, connections: 1, clock: systemClock });
	try {
		return await database.query(text);
	} finally {
		await database.close();
	}
}

describe("the embedded Postgres", () => {
	it("keeps its data, its password and its port between runs", async () => {
		await using folder = await temporaryFolder();
		const first = await start(join(folder.path, "postgres"));
		await query(first.url, "create table kept as select 42 as answer");
		await first[Symbol.asyncDispose]();
		await using second = await start(join(folder.path, "postgres"));
		expect(second.url).toBe(first.url);
		expect(await query(second.url, "select answer from kept")).toEqual([{ answer: 42 }]);
	});

	it("is adopted where a killed run left it", async () => {
		await using folder = await temporaryFolder();
		const data = join(folder.path, "postgres");
		// A run of its own that starts the server and is killed.
		const script = `
			const { EmbeddedPostgres } = await import(${JSON.stringify(new URL("../../../dist/embedded/embedded-postgres.js", import.meta.url).href)});
			const { systemClock } = await import(${JSON.stringify(new URL("../../../dist/core/clock.js", import.meta.url).href)});
			const { probeDatabase } = await import(${JSON.stringify(new URL("../../../dist/sink/database/database.js", import.meta.url).href)});
			const server = await EmbeddedPostgres.start({ folder: ${JSON.stringify(data)}, clock: systemClock, probe: (url) => probeDatabase(url, systemClock), log() {} });
			console.log(server.pid);
			setInterval(() => {}, 1000);`;
		const killed = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["ignore", "pipe", "inherit"] });
		const pid = await new Promise<number>((resolve) => killed.stdout.once("data", (line) => resolve(Number(line))));
		killed.kill("SIGKILL");
		await new Promise((resolve) => killed.once("exit", resolve));
		const log: string[] = [];
		await using adopted = await start(data, (message) => log.push(message));
		expect([adopted.adopted, adopted.pid]).toEqual([true, pid]);
		expect(log).toEqual([expect.stringContaining(`adopted the embedded database that a killed run left (pid ${pid})`)]);
	});

	it("is started again when it dies, and nothing committed is lost", async () => {
		await using folder = await temporaryFolder();
		await using server = await start(join(folder.path, "postgres"));
		await query(server.url, "create table kept as select 42 as answer");
		const { pid } = server;
		process.kill(pid, "SIGKILL");
		await waitFor(
			"another server",
			async () => server.pid !== pid && (await query(server.url, "select answer from kept"))[0]?.answer === 42,
		);
	});

	it("is not shared with another running daemon, which is told who has it", async () => {
		await using folder = await temporaryFolder();
		await using _server = await start(join(folder.path, "postgres"));
		const script = `
			const { EmbeddedPostgres } = await import(${JSON.stringify(new URL("../../../dist/embedded/embedded-postgres.js", import.meta.url).href)});
			const { systemClock } = await import(${JSON.stringify(new URL("../../../dist/core/clock.js", import.meta.url).href)});
			const { probeDatabase } = await import(${JSON.stringify(new URL("../../../dist/sink/database/database.js", import.meta.url).href)});
			await EmbeddedPostgres.start({ folder: ${JSON.stringify(join(folder.path, "postgres"))}, clock: systemClock, probe: (url) => probeDatabase(url, systemClock), log() {} })
				.catch((error) => console.log(error.exitCode, error.message));
			process.exit();`;
		const second = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["ignore", "pipe", "inherit"] });
		let said = "";
		second.stdout.on("data", (chunk) => (said += chunk));
		await new Promise((resolve) => second.once("close", resolve));
		expect(said).toMatch(new RegExp(`^2 another embedded daemon \\(pid ${process.pid}\\)`));
	});
});
