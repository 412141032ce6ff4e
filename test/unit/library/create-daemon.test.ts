/** A daemon of the library has one life: start, then stop; a stop may come in the middle of the start. */
import { PassThrough } from "node:stream";
import { expect, it } from "vitest";
import { loadConfig } from "../../../src/config/load.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { systemRandom } from "../../../src/core/random.ts";
import { createDaemon, LibraryDaemon } from "../../../src/library/create-daemon.ts";
import { createLogger } from "../../../src/observe/logs/log.ts";

/** Neither a broker nor a database is there. */
function anyDaemon({ version = "", listening = async () => {} } = {}) {
	const written = {
		kafka: { brokers: ["127.0.0.1:1"], group: "g", topics: ["t"] },
		handler: { module: "pockaffe:json", version },
		database: { url: "postgres://127.0.0.1:1/d" },
		tables: { events: {} },
		http: { port: 0 },
	};
	const { config } = loadConfig({ written, environment: {}, cwd: "/" });
	const output = new PassThrough();
	const logger = createLogger(config.log, output as never);
	const daemon = new LibraryDaemon({ config, logger, clock: systemClock, random: systemRandom, version: "1", listening });
	const told: string[] = [];
	daemon.on("started", () => told.push("started"));
	daemon.on("stopped", () => told.push("stopped"));
	return { daemon, told, log: () => String(output.read() ?? "") };
}

it("a daemon that was stopped before it was started can't be started: nothing would stop it", async () => {
	const { daemon } = anyDaemon();
	expect(await daemon.stop()).toEqual({ drained: true, hangs: false });
	await expect(daemon.start()).rejects.toMatchObject({ code: "already_stopped" });
	expect(daemon.url).toBeNull();
});

it("a daemon that was started can't be started again", async () => {
	const { daemon } = anyDaemon();
	const starting = daemon.start();
	await expect(daemon.start()).rejects.toMatchObject({ code: "already_started" });
	await daemon.stop();
	await starting;
});

it("a stop while the handler's version is read leaves nothing that listens", async () => {
	const { daemon, told } = anyDaemon();
	const starting = daemon.start();
	await daemon.stop();
	await starting;
	expect([daemon.url, told]).toEqual([null, ["stopped"]]);
});

it("a stop while it begins to listen closes what then listens", async () => {
	// Without a version to read this is what a start begins with.
	const { daemon, told } = anyDaemon({ version: "7" });
	const starting = daemon.start();
	await daemon.stop();
	expect(told).toEqual(["stopped"]);
	expect(daemon.url).toMatch(/^http:/);
	await expect(fetch(`${daemon.url}/healthz`)).rejects.toMatchObject({ cause: { code: "ECONNREFUSED" } });
	await starting;
	expect(told).toEqual(["stopped"]);
});

it("a stop while its address is noted lets it begin nothing more", async () => {
	let stopping: Promise<unknown> | undefined;
	const { daemon, told, log } = anyDaemon({
		listening: async () => {
			stopping = daemon.stop();
		},
	});
	await daemon.start();
	await stopping;
	expect(told).toEqual(["stopped"]);
	const written = log();
	expect(written).toContain("stopping: its owner stops it");
	expect(written).not.toContain("listens at");
	await expect(fetch(`${daemon.url}/healthz`)).rejects.toMatchObject({ cause: { code: "ECONNREFUSED" } });
});

it("a configuration that lacks something is told without a file and variables, which the library does not read", () => {
	expect(() => createDaemon({ handler: { module: "pockaffe:log" }, kafka: { group: "g", topics: ["t"] } })).toThrow(
		"2 errors in the configuration (the object that was passed):\n  kafka.brokers – is needed: host:port\n  database.url – is needed: postgres://…",
	);
});
