/** Behind a pgbouncer: it takes no settings of a session, and in transaction mode the next transaction meets another session. */
import { describe, expect, inject, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { connectDatabase } from "../../../src/sink/database/database.ts";
import { layoutOf } from "../../support/fakes/row-submissions.ts";
import { rowsFrom } from "../../support/fakes/settled-once.ts";
import { hasPooler, Pooler } from "../../support/postgres/pooler.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { TestWriter } from "../../support/postgres/test-writer.ts";

// In CI it has to be there.
describe.skipIf(!hasPooler && !process.env.CI).each([
	["in session mode", ["pool_mode=session"]],
	["in transaction mode", ["pool_mode=transaction"]],
	[
		"that passes over what a session begins with",
		["pool_mode=transaction", "ignore_startup_parameters=extra_float_digits,statement_timeout,lock_timeout"],
	],
])("%s", (_, settings) => {
	it("statements have their times, also side by side and of the first query on", async () => {
		await using pooler = await Pooler.before(inject("postgresUrl"), ...settings);
		const database = connectDatabase({
			url: pooler.url,
			connections: 2,
			clock: systemClock,
			statementTimeoutMs: 20_000,
			lockTimeoutMs: 1_500,
		});
		try {
			const ask = "select $1::int as a, current_setting('statement_timeout') as statement, current_setting('lock_timeout') as lock";
			const answers = await Promise.all(Array.from({ length: 40 }, (_, a) => database.query(ask, [String(a)])));
			expect(answers).toEqual(answers.map((_, a) => [{ a, statement: "20s", lock: "1500ms" }]));
			const own = await database.transaction([{ text: ask, parameters: ["1"] }], { lockTimeoutMs: 100 });
			expect(own).toEqual([[{ a: 1, statement: "20s", lock: "100ms" }]]);
			const rows: unknown[] = [];
			for await (const some of database.stream("select i from generate_series(1, 250) i", 100)) rows.push(...some);
			expect(rows).toHaveLength(250);
		} finally {
			await database.close();
		}
	});

	it("rows are written and durable, each once, also past sessions that are ended", async () => {
		await using db = await createTestDatabase();
		await using pooler = await Pooler.before(db.url, ...settings);
		await using test = await TestWriter.on([layoutOf()], {
			db,
			own: () => connectDatabase({ url: pooler.url, connections: 2, clock: systemClock }),
		});
		await test.write(rowsFrom(0, 500));
		const others = "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname = current_database()";
		await db.database.query(others);
		await test.write(rowsFrom(500, 500));
		expect(await db.database.query("select count(*)::int as rows from events")).toEqual([{ rows: 1_000 }]);
	});
});
