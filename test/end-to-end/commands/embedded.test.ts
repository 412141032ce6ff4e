/** What `npm start` shows on a fresh machine: no broker, no database, no Java. Mock cluster, embedded Postgres, the example. */
import { stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { readEmbeddedFile } from "../../../src/embedded/embedded-file.ts";
import { connectDatabase } from "../../../src/sink/database/database.ts";
import { jsonLines, pockaffe } from "../../support/daemons/command-line.ts";
import { DaemonProcess } from "../../support/daemons/daemon-process.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

const env = { POCKAFFE_HTTP_PORT: "0", POCKAFFE_OFFSETS_COMMIT_INTERVAL_MS: "100" };

it("shows the main job: inserts, updates, stale rows, a crash with its restart; other commands talk to it; Ctrl-C drains", async () => {
	await using folder = await temporaryFolder();
	const cwd = folder.path;
	const daemon = new DaemonProcess(["run", "--embedded"], { cwd, env });
	await daemon.ready();
	expect(daemon.records[0]).toMatchObject({ level: "warn", embedded: true, msg: expect.stringContaining("not for production") });
	expect([(await daemon.status()).embedded, await daemon.metric("pockaffe_embedded")]).toEqual([true, 1]);
	expect(await (await fetch(`${await daemon.url()}/readyz`)).json()).toMatchObject({ embedded: true });
	for (const result of ["inserted", "updated", "stale"]) {
		await waitFor(`${result} rows`, async () => (await daemon.metric("pockaffe_cas_rows_total", `result="${result}"`)) > 0);
	}
	const crash = await daemon.record("the crash", ({ kind }) => kind === "exception");
	expect(crash).toMatchObject({ topic: "events", next: "restart", attempt: 1 });
	await waitFor("life after the crash", async () => {
		const { partitions } = await daemon.status();
		return partitions.some(({ restarts, state, inFlight, queued }) => restarts === 1 && state === "running" && inFlight + queued === 0);
	});
	expect(await (await fetch(`${await daemon.url()}/healthz`)).text()).toMatch(/ok|true/i);

	const produced = await pockaffe(["produce", "events", "-k", "by-hand"], { cwd, stdin: '{"name":"by hand","amount":1}\n' });
	expect(produced.stdout).toMatch(/^Sent record to partition \d at offset \d+ with timestamp \d{13}\.\n$/);
	const consumed = await pockaffe(["consume", "events", "-g", "look", "--exit-at-end"], { cwd });
	expect(jsonLines(consumed.stdout).some(({ key }) => key === "by-hand")).toBe(true);
	const offsets = await pockaffe(["offsets", "pockaffe-example", "--json"], { cwd });
	expect(JSON.parse(offsets.stdout)).toHaveLength(4);
	const owners = await pockaffe(["offsets", "pockaffe-example"], { cwd });
	expect(owners).toMatchObject({ code: 0, stderr: "the embedded broker does not tell who has which partition: see pockaffe status\n" });

	const addresses = await readEmbeddedFile(cwd);
	expect(addresses).toMatchObject({ http: await daemon.url(), pid: daemon.child.pid });
	const database = connectDatabase({ url: addresses?.databaseUrl ?? "", connections: 1, clock: systemClock });
	await waitFor("the row made by hand", async () => (await database.query("select 1 from events where id = 'by-hand'")).length === 1);
	await database.close();
	expect(await daemon.stop("SIGINT")).toBe(0);
	expect(daemon.records.at(-1)).toMatchObject({ drained: true, left: true });
	// Nothing stays behind but the data.
	expect(await readEmbeddedFile(cwd)).toBeNull();
	await expect(stat(join(cwd, ".pockaffe/postgres/data/postmaster.pid"))).rejects.toThrow();

	const again = new DaemonProcess(["run", "--embedded"], { cwd, env });
	await again.ready();
	// The broker is empty again, the table is not: what comes now is newer by its timestamp.
	await waitFor("updates of kept rows", async () => (await again.metric("pockaffe_cas_rows_total", 'result="updated"')) > 0);
	expect(await again.stop("SIGINT")).toBe(0);
});

it("runs a file whose addresses are variables that are not set, tells a missing handler at once, and that it goes on once it is there", async () => {
	await using folder = await temporaryFolder();
	const cwd = folder.path;
	const file = `
kafka: {brokers: ["\${NO_BROKERS}"], group: g, topics: [orders], sasl: {mechanism: PLAIN, username: u, password: "\${NO_PASSWORD}"}}
handler: {module: ./handler.mjs}
database: {url: "\${NO_DATABASE}"}
tables: {orders: {columns: {v: text}, create: true}}
`;
	await writeFile(join(cwd, "pockaffe.yaml"), file);
	const refused = await pockaffe(["verify"], { cwd });
	expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining("${NO_DATABASE} is not set") });
	const daemon = new DaemonProcess(["run", "--embedded"], { cwd, env });
	const missing = await daemon.record("the missing handler", ({ reason }) => reason === "handler_not_loaded");
	expect(missing.msg).toContain("handler.mjs: there is no such file");
	await daemon.record("membership", ({ msg }) => String(msg).startsWith("member of the group"));
	expect(await daemon.notReady()).toMatchObject([{ code: "handler_not_loaded", topic: null }]);
	expect((await daemon.status()).memberState).toBe("up/steady");

	// These go to the embedded daemon, whose addresses the file does not have either.
	expect(await pockaffe(["produce", "orders", "-k", "a"], { cwd, stdin: "1\n" })).toMatchObject({ code: 0 });
	await daemon.record("a failure", ({ kind }) => kind === "load");
	await writeFile(
		join(cwd, "handler.mjs"),
		"export const handleMessage = ({ key, value }) => ({ id: key.toString(), fields: { v: value.toString() } });",
	);
	await daemon.ready();
	const recovery = await daemon.record("the recovery", ({ stoodMs }) => stoodMs !== undefined);
	expect(recovery).toMatchObject({
		level: "info",
		topic: "orders",
		offset: 0,
		msg: expect.stringMatching(/ goes on: offset 0 is handled, /),
	});
	await waitFor("a clean verification", async () => (await pockaffe(["verify"], { cwd })).code === 0);
	expect(await daemon.stop("SIGINT")).toBe(0);
});

it("refuses a second embedded daemon in the same folder, and says who has it", async () => {
	await using folder = await temporaryFolder();
	const daemon = new DaemonProcess(["run", "--embedded"], { cwd: folder.path, env });
	await daemon.ready();
	const second = await pockaffe(["run", "--embedded"], { cwd: folder.path, env });
	expect(second).toMatchObject({ code: 2, stderr: expect.stringContaining(`pid ${daemon.child.pid}`) });
	expect(await daemon.stop("SIGINT")).toBe(0);
});
