/**
 * Every statement that writes commits durably, whatever database and role say of `synchronous_commit`: a trigger that runs at the commit
 * looks at what holds then. And it is so: a server that is killed has every row that it answered for.
 */
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import type { StoredLetter } from "../../../src/core/dead-letters/dead-letter.ts";
import { partitionName } from "../../../src/core/messages/message.ts";
import { EmbeddedPostgres } from "../../../src/embedded/embedded-postgres.ts";
import { connectDatabase, type Database, probeDatabase } from "../../../src/sink/database/database.ts";
import { DeadLetterTable } from "../../../src/sink/dead-letters/dead-letter-table.ts";
import { DeadLetterTableStore } from "../../../src/sink/dead-letters/dead-letter-table-store.ts";
import { NoteFence } from "../../../src/sink/offsets/note-fence.ts";
import { OffsetTable } from "../../../src/sink/offsets/offset-table.ts";
import { StartTable } from "../../../src/sink/offsets/start-table.ts";
import { createTables } from "../../../src/sink/tables/schema.ts";
import { deadLetter, lettersIn, replayFailure } from "../../support/fakes/dead-letters.ts";
import { layoutOf } from "../../support/fakes/row-submissions.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { TestWriter } from "../../support/postgres/test-writer.ts";
import { waitFor } from "../../support/wait-for.ts";

const at = { topic: "orders", partition: 0 };
const letter = deadLetter(at);
/** Every statement that writes, on tables that look at the setting when the transaction commits. */
async function writeEverything(database: Database, url: string): Promise<string[]> {
	const origin = { consumerGroup: "g", version: "1", clock: systemClock, random: () => 0.5 };
	const letters = new DeadLetterTable({ ...origin, database, table: "letters" });
	const offsets = new OffsetTable({ database, table: "offsets", consumerGroup: "g" });
	const starts = new NoteFence(new StartTable({ database, offsetsTable: "offsets", consumerGroup: "g" }));
	await createTables(database, [layoutOf()]);
	await letters.prepare();
	await offsets.prepare();
	await starts.prepare();
	await database.query("create table seen (setting text)");
	await database.query(
		"create function look() returns trigger language plpgsql as 'begin insert into seen select tg_table_name || '' '' || current_setting(''synchronous_commit''); return null; end'",
	);
	for (const table of ["events", "letters", "offsets", "offsets_start"]) {
		await database.query(
			`create constraint trigger look after insert or update or delete on ${table} deferrable initially deferred for each row execute function look()`,
		);
	}
	await using writer = await TestWriter.on([layoutOf()], { db: { url, database, async [Symbol.asyncDispose]() {} } });
	await writer.write([{ id: "a", offset: 1 }]);
	await writer.write([{ id: "a", offset: 2 }]);
	await letters.store(letter, new AbortController().signal);
	const store = new DeadLetterTableStore(database, "letters", "g");
	const [stored] = await lettersIn(store);
	const failed = { letter: stored as StoredLetter, failure: replayFailure };
	await store.settle([failed]);
	await store.settle([{ ...failed, failure: null }]);
	await letters.store({ ...letter, offset: 2 }, new AbortController().signal);
	await store.discard({});
	await store.purge({ offset: 2 });
	await offsets.begin([{ ...at, offset: 1 }]);
	await offsets.claim([at]);
	await offsets.store([{ ...at, offset: 2 }]);
	await offsets.forget([at]);
	const note = { start: 0, assumed: false, log: { id: null, witness: null }, reached: 0, skipped: [] };
	await starts.change([{ ...at, note, replaces: null }]);
	const replaces = (await starts.read()).get(partitionName(at)) ?? null;
	await starts.change([{ ...at, note, replaces }]);
	await starts.reach([{ ...at, offset: 1 }]);
	await starts.forget([at]);
	return (await database.query("select setting from seen")).map(({ setting }) => String(setting)).sort();
}

describe("what is written", () => {
	it.each([
		["off", "on"],
		["local", "on"],
		["remote_write", "on"],
		["on", "on"],
		["remote_apply", "remote_apply"],
	])("commits durably where the database says synchronous_commit = %s", async (setting, held) => {
		await using db = await createTestDatabase();
		const name = db.url.split("/").at(-1);
		await db.database.query(`alter database ${name} set synchronous_commit = ${setting}`);
		const database = connectDatabase({ url: db.url, connections: 1, clock: systemClock });
		try {
			const seen = await writeEverything(database, db.url);
			const tables = [
				"events",
				"events",
				...Array.from({ length: 6 }, () => "letters"),
				...Array.from({ length: 4 }, () => "offsets"),
				...Array.from({ length: 4 }, () => "offsets_start"),
			];
			expect(seen).toEqual(tables.map((table) => `${table} ${held}`));
			// Only for its own transaction: behind a pooler the session may be another's next.
			expect(await database.query("select current_setting('synchronous_commit') as setting")).toEqual([{ setting }]);
		} finally {
			await database.close();
		}
	});

	it("is there after the server was killed, though it is told to answer before it has written", async () => {
		const folder = await mkdtemp(join(tmpdir(), "pockaffe-crash-"));
		await chmod(folder, 0o755);
		await using server = await EmbeddedPostgres.start({
			folder,
			clock: systemClock,
			probe: (url) => probeDatabase(url, systemClock),
			log: () => {},
		});
		const database = connectDatabase({ url: server.url, connections: 2, clock: systemClock });
		try {
			// Without a word of its own a statement's commit waits here for up to ten seconds to be written.
			await database.query("alter system set synchronous_commit = off");
			await database.query("alter system set wal_writer_delay = '10s'");
			await database.query("select pg_reload_conf()");
			await waitFor("the setting", async () => {
				const [row] = await database.query("select current_setting('synchronous_commit') as setting");
				return row?.setting === "off";
			});
			await using test = await TestWriter.on([layoutOf()], { db: { url: server.url, database, async [Symbol.asyncDispose]() {} } });
			const offsets = new OffsetTable({ database, table: "pockaffe_offsets", consumerGroup: "g" });
			await offsets.prepare();
			await offsets.begin([{ ...at, offset: 0 }]);
			for (let offset = 1; offset <= 60; offset++) {
				await test.write([{ id: `id-${offset}`, offset }]);
				expect(await offsets.store([{ ...at, offset: offset + 1 }])).toEqual([]);
			}
			const before = server.pid;
			process.kill(before, "SIGKILL");
			await waitFor("the server that is started again", () => server.pid !== before && server.pid > 0);
			await waitFor("an answer", () => probeDatabase(server.url, systemClock));
			const after = connectDatabase({ url: server.url, connections: 1, clock: systemClock });
			expect(await after.query("select count(*)::int4 as rows from events")).toEqual([{ rows: 60 }]);
			expect(await after.query("select next_offset::int4 as next from pockaffe_offsets")).toEqual([{ next: 61 }]);
			await after.close();
		} finally {
			await database.close();
			await server[Symbol.asyncDispose]();
			await rm(folder, { recursive: true, force: true });
		}
	});
});
