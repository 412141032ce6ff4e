/** A daemon of the library has one life: start, then stop. */
import { expect, it } from "vitest";
import { createDaemon } from "../../../src/library/create-daemon.ts";

/** Neither a broker nor a database is there. */
function anyDaemon() {
	return createDaemon({
		kafka: { brokers: ["127.0.0.1:1"], group: "g", topics: ["t"] },
		handler: { module: "pockaffe:json" },
		database: { url: "postgres://127.0.0.1:1/d" },
		tables: { events: {} },
		http: { port: 0 },
		log: { level: "silent" },
	});
}

it("a daemon that was stopped before it was started can't be started: nothing would stop it", async () => {
	const daemon = anyDaemon();
	expect(await daemon.stop()).toEqual({ drained: true, hangs: false });
	await expect(daemon.start()).rejects.toMatchObject({ code: "already_stopped" });
	expect(daemon.url).toBeNull();
});

it("a daemon that was started can't be started again", async () => {
	await using daemon = anyDaemon();
	const starting = daemon.start();
	await expect(daemon.start()).rejects.toMatchObject({ code: "already_started" });
	await daemon.stop();
	await starting;
});
