import { expect, it } from "vitest";
import { loadConfig } from "../../src/config/load.ts";
import { systemClock } from "../../src/core/clock.ts";
import { buildDeadLetters } from "../../src/daemon-parts.ts";
import { deadLetter } from "../support/dead-letters.ts";
import { createTestDatabase } from "../support/test-database.ts";

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
