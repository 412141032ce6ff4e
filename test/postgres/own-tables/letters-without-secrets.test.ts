import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, inject, it } from "vitest";
import { loadConfig } from "../../../src/config/load.ts";
import { tableLayouts } from "../../../src/config/table-layouts.ts";
import { systemClock } from "../../../src/core/clock.ts";
import { buildDeadLetters } from "../../../src/daemon/daemon-parts.ts";
import { createTables } from "../../../src/sink/tables/schema.ts";
import { pockaffe } from "../../support/daemons/command-line.ts";
import { VerifiedScene } from "../../support/daemons/verified-scene.ts";
import { deadLetter } from "../../support/fakes/dead-letters.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

it("a letter's error and stack hold no secret of the configuration's, its message stays as it is", async () => {
	await using db = await createTestDatabase();
	const { config } = loadConfig({
		environment: { POCKAFFE_DATABASE_URL: "postgres://u:p%40ssw0rd@h/d", POCKAFFE_KAFKA_GROUP: "g" },
		cwd: "/nowhere",
	});
	const letters = buildDeadLetters({ config, database: db.database, clock: systemClock, random: () => 0.1 }, "0.1.0");
	await letters.prepare();
	const value = Buffer.from("p@ssw0rd");
	const quoting = deadLetter({ error: "can't reach postgres://u:p%40ssw0rd@h/d", stack: "Error: p@ssw0rd\n    at x", value });
	await letters.store(quoting, new AbortController().signal);
	await letters.dispose();
	const [row] = await db.database.query("select error, stack, value from pockaffe_dead_letters");
	expect(row).toEqual({ error: "can't reach postgres://u:***@h/d", stack: "Error: ***\n    at x", value });
});

it("nor does a letter whose replay fails, or what the command says of it", async () => {
	await using db = await createTestDatabase();
	await using folder = await temporaryFolder();
	const token = "a-t0ken-of-the-configuration";
	const source = `export const handleMessage = () => { throw new Error("refused with ${token}"); };`;
	await writeFile(join(folder.path, "handler.mjs"), source);
	const file = {
		kafka: { group: "g", topics: ["orders"], brokers: ["127.0.0.1:1"] },
		handler: { module: "./handler.mjs" },
		database: { url: db.url },
		tables: { events: { create: true } },
		http: { token },
	};
	await writeFile(join(folder.path, "pockaffe.yaml"), JSON.stringify(file));
	const { config } = loadConfig({ environment: {}, cwd: folder.path });
	await createTables(db.database, tableLayouts(config));
	const letters = buildDeadLetters({ config, database: db.database, clock: systemClock, random: () => 0.1 }, "0.1.0");
	await letters.prepare();
	await letters.store(deadLetter(), new AbortController().signal);
	await letters.dispose();
	const { code, stdout } = await pockaffe(["dead-letters", "replay", "--all"], { cwd: folder.path });
	expect([code, stdout]).toEqual([1, expect.stringContaining("still fails: refused with ***")]);
	const [row] = await db.database.query("select error, stack from pockaffe_dead_letters");
	expect(row).toMatchObject({ error: "refused with ***" });
	expect(JSON.stringify(row)).not.toContain(token);
});

it("nor does verify, of a message that the handler refuses with a secret in its words", async () => {
	const password = decodeURIComponent(new URL(inject("postgresUrl")).password);
	expect(password.length).toBeGreaterThan(3);
	await using scene = await VerifiedScene.open({}, [
		[0, "a", { name: "a" }],
		[0, "b", { reject: `it was ${password}` }],
	]);
	await scene.sql("delete from pockaffe_dead_letters");
	const { report, text } = await scene.verify();
	expect(report.differences).toEqual([expect.objectContaining({ kind: "failed", error: "it was ***" })]);
	expect(text).not.toContain(password);
});
