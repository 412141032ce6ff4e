/** The database's contract, held by a real Postgres. */
import { systemClock } from "../../src/core/clock.ts";
import { connectDatabase } from "../../src/sink/database/database.ts";
import { createTables } from "../../src/sink/tables/schema.ts";
import { createTestDatabase } from "../support/postgres/test-database.ts";
import { waitFor } from "../support/wait-for.ts";
import { databaseContract } from "./database.contract.ts";

databaseContract("Postgres", async (layout) => {
	const { url, database, ...db } = await createTestDatabase();
	// A transaction needs a connection of its own.
	const alone = connectDatabase({ url, connections: 1, clock: systemClock });
	await createTables(database, [layout]);
	await database.query("alter table events add constraint no_bad check (n <> 'bad')");
	return {
		database,
		async rows() {
			const rows = await database.query(`select id, n, kafka_offset::int4 as "offset", deleted from events order by id`);
			return new Map(rows.map(({ id, ...rest }) => [id as string, rest as never]));
		},
		async putBack({ topic, partition }, offset) {
			const where = `where topic = '${topic}' and partition = ${partition}`;
			if (offset === null) await alone.query(`delete from pockaffe_offsets ${where}`);
			else await alone.query(`update pockaffe_offsets set next_offset = ${offset} ${where}`);
		},
		settled: (promise) => promise,
		async overtaken(first, second) {
			await alone.query("begin");
			const overtaker = await second(alone);
			const late = first(database);
			await waitFor("the statement that waits for the row", async () => {
				const waiting = await alone.query("select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'");
				return waiting.length === 1;
			});
			await alone.query("commit");
			return [await late, overtaker];
		},
		async [Symbol.asyncDispose]() {
			await alone.close();
			await db[Symbol.asyncDispose]();
		},
	};
});
