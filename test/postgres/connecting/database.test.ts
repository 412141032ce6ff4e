/** The connection pool on a real server: what the library gets wrong is put right here. */
import { expect, inject, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { connectDatabase } from "../../../src/sink/database/database.ts";
import { DatabaseProxy } from "../../support/postgres/database-proxy.ts";
import { waitFor } from "../../support/wait-for.ts";

it("gives a query all its rows and nothing else behind one that failed after its first rows", async () => {
	const database = connectDatabase({ url: inject("postgresUrl"), connections: 1, clock: systemClock });
	try {
		const failsLate = "select 1 / (3000 - i) as one, repeat('x', 100) from generate_series(1, 4000) i";
		await expect(database.query(failsLate)).rejects.toMatchObject({ code: "22012" });
		expect(await database.query("select i from generate_series(1, $1::int) i", ["2"])).toEqual([{ i: 1 }, { i: 2 }]);
		await expect(database.query(failsLate)).rejects.toMatchObject({ code: "22012" });
		const streamed: unknown[] = [];
		for await (const rows of database.stream("select i from generate_series(1, 3) i", 2)) streamed.push(...rows.map(({ i }) => i));
		expect(streamed).toEqual([1, 2, 3]);
	} finally {
		await database.close();
	}
});

it("closes the connections of a pool that was replaced, too", async () => {
	await using proxy = await DatabaseProxy.to(inject("postgresUrl"));
	const database = connectDatabase({ url: proxy.url, connections: 2, clock: systemClock });
	const hanging = database.query("select pg_sleep(600) /* hangs */").catch((error: { code?: string }) => error.code);
	await database.query("select pg_terminate_backend(pg_backend_pid())").catch(() => {});
	expect(await database.query("select 1 as one")).toEqual([{ one: 1 }]);
	expect(proxy.open).toBe(2);
	await database.close();
	await waitFor("no connection", () => proxy.open === 0);
	expect(await hanging).toMatch(/CONNECTION_(DESTROYED|CLOSED)/);
});

it.each(["in a transaction", "with limits of its own"])(
	"a session that ends %s is an error of that alone, again and again",
	async (how) => {
		const database = connectDatabase({ url: inject("postgresUrl"), connections: 2, clock: systemClock });
		const admin = connectDatabase({ url: inject("postgresUrl"), connections: 1, clock: systemClock });
		try {
			for (let round = 0; round < 12; round++) {
				const mark = `/* ends ${how} ${round} */`;
				const sleep = `select pg_sleep(30) ${mark}`;
				const ended = (
					how === "in a transaction"
						? database.transaction([{ text: sleep, parameters: [] }])
						: database.query(sleep, [], { lockTimeoutMs: 500 })
				)
					.then(() => "done")
					.catch((error: { code?: string }) => error.code);
				const kill = "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and query like '%' || $1 || '%'";
				await waitFor("the session", async () => (await admin.query(kill, [mark])).length > 0);
				expect(await ended).toMatch(/^(CONNECTION_CLOSED|ECONNRESET|57P01)$/);
				expect(await database.transaction([{ text: "select 1 as one", parameters: [] }])).toEqual([[{ one: 1 }]]);
			}
		} finally {
			await database.close();
			await admin.close();
		}
	},
);
