/**
 * Faults of the database that pass, on a real server and by their real causes: the writer tells the code, sends the same rows again,
 * refuses none, and settles each exactly once. Faults that wait for a person are in database-faults-to-mend.test.ts.
 */
import { describe, expect, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { connectDatabase, type Database, type DatabaseOptions } from "../../../src/sink/database/database.ts";
import { layoutOf } from "../../support/fakes/row-submissions.ts";
import { expectSettledOnce, rowsFrom } from "../../support/fakes/settled-once.ts";
import { DatabaseProxy } from "../../support/postgres/database-proxy.ts";
import { TestWriter } from "../../support/postgres/test-writer.ts";
import { waitFor } from "../../support/wait-for.ts";

const connect =
	(over: Partial<DatabaseOptions> = {}) =>
	(url: string) =>
		connectDatabase({ url, connections: 2, clock: systemClock, ...over });
const codes = (test: TestWriter) => [...new Set(test.retried.map(({ sqlstate }) => sqlstate))];
const LOST = ["CONNECTION_CLOSED", "ECONNRESET", "57P01"];

describe("a connection", () => {
	it("that is reset when the work is done and the answer on its way: the batch runs again and changes nothing", async () => {
		await using through = await writerThroughProxy();
		const { test, proxy } = through;
		await test.write(rowsFrom(0, 10));
		const before = await test.rows("select id, xmin::text from events order by id");
		const again = rowsFrom(100, 50);
		proxy.cutAnswers(1);
		await expectSettledOnce(test.submit(again), again);
		expect(proxy.cut).toBe(1);
		expect(LOST).toContain(codes(test).join());
		// The first try took effect whole; the second found every row as new as its own.
		expect(test.written.at(-1)).toMatchObject({ rows: 50, inserted: 0, updated: 0, stale: { replay: 50, older: 0, other_partition: 0 } });
		expect(await test.rows("select id, xmin::text from events where id < 'id-000100' order by id")).toEqual(before);
		expect(await test.rows("select count(*)::int as rows from events")).toEqual([{ rows: 60 }]);
	});

	it("whose session is terminated in the middle of a statement: the batch runs again", async () => {
		await using test = await TestWriter.on([layoutOf()], { own: connect(), connections: 1 });
		await delayRows(test, "pg_sleep(30)", "id-000003");
		const rows = rowsFrom(0, 10);
		const submission = test.submit(rows);
		const pid = await waitFor("the statement to sleep", () => sleeping(test));
		await delayNoMore(test);
		await test.rows(`select pg_terminate_backend(${pid})`);
		await expectSettledOnce(submission, rows);
		expect(LOST).toContain(codes(test).join());
		expect(test.counts).toMatchObject({ inserted: 10, stale: 0 });
	});

	it("that is half open ends by an own deadline, and the rows go in over a new one", async () => {
		await using through = await writerThroughProxy({ deadlineMs: 400 });
		const { test, proxy } = through;
		await test.write(rowsFrom(0, 10));
		proxy.fallSilent();
		const rows = rowsFrom(10, 50);
		const submission = test.submit(rows);
		await waitFor("two deadlines", () => test.retried.length >= 2);
		expect(codes(test)).toEqual(["QUERY_DEADLINE"]);
		expect(test.writer.stuck).toBe(true);
		proxy.mend();
		await expectSettledOnce(submission, rows);
		expect(test.writer.stuck).toBe(false);
		expect(await test.rows("select count(*)::int as rows from events")).toEqual([{ rows: 60 }]);
	});

	it("to an address that hangs up at once is told, and tried no more often than the rows are", async () => {
		await using through = await writerThroughProxy();
		const { test, proxy } = through;
		await test.write(rowsFrom(0, 10));
		proxy.hangUp();
		const before = proxy.accepted;
		const rows = rowsFrom(10, 10);
		const submission = test.submit(rows);
		await waitFor("four failures", () => test.retried.length >= 4);
		expect(LOST).toEqual(expect.arrayContaining(codes(test)));
		expect(proxy.accepted - before).toBeLessThanOrEqual(test.retried.length + 2);
		proxy.mend();
		await expectSettledOnce(submission, rows);
	});

	it("to a server that became read-only is made anew, for the address leads to the new primary by then", async () => {
		await using test = await TestWriter.on([layoutOf()], { own: connect(), connections: 1 });
		const name = await databaseName(test);
		await test.write(rowsFrom(0, 1));
		// Sessions take the setting when they begin and keep it: those of the demoted server never write again.
		await test.rows(`alter database ${name} set default_transaction_read_only = on`);
		await terminateOthers(test);
		const rows = rowsFrom(1, 20);
		const submission = test.submit(rows);
		await waitFor("two refusals", () => test.retried.filter(({ sqlstate }) => sqlstate === "25006").length >= 2);
		await test.rows(`alter database ${name} reset default_transaction_read_only`);
		await expectSettledOnce(submission, rows);
		expect(test.blocked).toEqual([]);
		expect(await test.rows("select count(*)::int as rows from events")).toEqual([{ rows: 21 }]);
	});

	it("beyond a role's limit (53300) is asked for again until there is room", async () => {
		await using test = await TestWriter.on([layoutOf()], {
			own: (url) => connect()(url.replace(/\/\/[^@]*@/, "//crowded:secret@")),
			connections: 1,
		});
		await test.rows("drop role if exists crowded");
		await test.rows("create role crowded login password 'secret' connection limit 0");
		await test.rows("grant select, insert, update on events to crowded");
		const rows = rowsFrom(0, 10);
		const submission = test.submit(rows);
		await waitFor("two refusals", () => test.retried.length >= 2);
		expect(codes(test)).toEqual(["53300"]);
		expect(test.retried.at(-1)?.message).toContain("too many connections");
		await test.rows("alter role crowded connection limit 5");
		await expectSettledOnce(submission, rows);
		expect(test.blocked).toEqual([]);
		await test.rows("drop owned by crowded");
		await terminateOthers(test);
		await test.rows("drop role crowded");
	});
});

describe("a statement", () => {
	it("too large for its timeout is sent in smaller ones instead of as it was for ever", async () => {
		await using test = await TestWriter.on([layoutOf()], { own: connect({ statementTimeoutMs: 300 }), connections: 1 });
		await delayRows(test, "pg_sleep(0.01)");
		const rows = rowsFrom(0, 64);
		await expectSettledOnce(test.submit(rows), rows);
		expect(codes(test)).toEqual(["57014"]);
		expect(test.written.length).toBeGreaterThan(1);
		for (const { rows: sent } of test.written) expect(sent).toBeLessThanOrEqual(32);
		expect(test.counts).toMatchObject({ inserted: 64, stale: 0 });
	});

	it("with one row that is too slow by itself holds up no other row of its batch", async () => {
		await using test = await TestWriter.on([layoutOf()], { own: connect({ statementTimeoutMs: 300 }), connections: 1 });
		await delayRows(test, "pg_sleep(30)", "id-000002");
		const rows = rowsFrom(0, 8);
		const submission = test.submit(rows);
		await waitFor("the other seven", () => submission.settledOffsets.length === 7);
		expect(submission.settledOffsets).not.toContain(2);
		await delayNoMore(test);
		await expectSettledOnce(submission, rows);
	});

	it("that meets a deadlock with another session (40P01) runs again", async () => {
		await using test = await TestWriter.on([layoutOf()], { own: connect(), connections: 1 });
		await test.write(rowsFrom(0, 2));
		await using other = await session(test);
		await other.query("set deadlock_timeout = '60s'");
		await other.query("begin");
		await other.query("update events set amount = 7 where id = 'id-000001'");
		const rows = rowsFrom(0, 2).map((row) => ({ ...row, offset: row.offset + 100 }));
		const submission = test.submit(rows);
		await waitFor("the writer to wait for the lock", () => isWaiting(test));
		await other.query("update events set amount = 7 where id = 'id-000000'");
		await other.query("commit");
		await expectSettledOnce(submission, rows);
		expect(codes(test)).toEqual(["40P01"]);
		expect(await test.rows("select kafka_offset::int as at, amount::int from events order by 1")).toEqual([
			{ at: 100, amount: 1 },
			{ at: 101, amount: 1 },
		]);
	});

	it("that can't be serialized (40001) runs again", async () => {
		await using test = await TestWriter.on([layoutOf()], { own: connect(), connections: 1 });
		await test.write(rowsFrom(0, 1));
		await test.rows(`alter database ${await databaseName(test)} set default_transaction_isolation = 'serializable'`);
		await terminateOthers(test);
		await using other = await session(test);
		await other.query("begin");
		await other.query("update events set amount = 7");
		const rows = rowsFrom(0, 1).map((row) => ({ ...row, offset: 100 }));
		const submission = test.submit(rows);
		await waitFor("the writer to wait for the lock", () => isWaiting(test));
		await other.query("commit");
		await expectSettledOnce(submission, rows);
		expect(codes(test).at(-1)).toBe("40001");
		expect(await test.rows("select kafka_offset::int as at, amount::int from events")).toEqual([{ at: 100, amount: 1 }]);
	});

	it("that waits for another session's lock too long (55P03) runs again; other tables go on", async () => {
		const other = layoutOf({ name: "others" });
		await using test = await TestWriter.on([layoutOf(), other], { own: connect({ lockTimeoutMs: 100 }), connections: 1 });
		await using holder = await session(test);
		await holder.query("begin");
		await holder.query("lock table events");
		const rows = rowsFrom(0, 10);
		const submission = test.submit(rows);
		await waitFor("two timeouts", () => test.retried.length >= 2);
		expect(codes(test)).toEqual(["55P03"]);
		expect([test.writer.isStuck("events"), test.writer.isStuck("others")]).toEqual([true, false]);
		await test.write(rowsFrom(0, 10), "others");
		expect(test.writer.isStuck("events")).toBe(true);
		await holder.query("rollback");
		await expectSettledOnce(submission, rows);
		expect([test.writer.isStuck("events"), test.blocked.length]).toEqual([false, 0]);
	});

	it("whose cached plan a changed table made invalid runs again without a word", async () => {
		await using test = await TestWriter.on([layoutOf()], { own: connect(), connections: 1 });
		let from = 0;
		for (const change of [
			"add column more text default 'm'",
			"alter column amount type numeric",
			"drop column more",
			"add column more int",
		]) {
			const rows = rowsFrom(from, 10);
			await expectSettledOnce(test.submit(rows), rows);
			await test.rows(`alter table events ${change}`);
			from += 10;
		}
		const rows = rowsFrom(from, 10);
		await expectSettledOnce(test.submit(rows), rows);
		expect([test.blocked, test.retried]).toEqual([[], []]);
		expect(test.counts).toMatchObject({ inserted: 50, stale: 0 });
	});

	it("whose preparation a pooler dropped (26000) is prepared anew", async () => {
		let own: Database | undefined;
		await using test = await TestWriter.on([layoutOf()], { own: (url) => (own = connect({ connections: 1 })(url)), connections: 1 });
		await test.write(rowsFrom(0, 10));
		const prepared = async () =>
			(await own?.query("select pg_backend_pid() as pid, (select count(*)::int from pg_prepared_statements) as statements"))?.[0];
		const before = await prepared();
		expect(before?.statements).toBeGreaterThan(0);
		await own?.query("deallocate all");
		expect(await prepared()).toEqual({ ...before, statements: 0 });
		const rows = rowsFrom(10, 10);
		await expectSettledOnce(test.submit(rows), rows);
		expect([test.blocked, test.retried, test.counts.inserted]).toEqual([[], [], 20]);
		// In the session that had lost it.
		const after = await prepared();
		expect([after?.pid, Number(after?.statements) > 0]).toEqual([before?.pid, true]);
	});
});

/** A writer whose connections go through a proxy; the test's own don't. */
async function writerThroughProxy(over: Partial<DatabaseOptions> = {}) {
	const first = await TestWriter.on([layoutOf()]);
	const proxy = await DatabaseProxy.to(first.db.url);
	const { url } = proxy;
	const test = await TestWriter.on([layoutOf()], { db: first.db, own: () => connect(over)(url), connections: 1 });
	const dispose = async () => {
		await test.writer.dispose();
		await proxy[Symbol.asyncDispose]();
		await test[Symbol.asyncDispose]();
	};
	return { test, proxy, [Symbol.asyncDispose]: dispose };
}

/** A session of its own, for transactions of another client. */
async function session(test: TestWriter) {
	const database = connectDatabase({ url: test.db.url, connections: 1, clock: systemClock, statementTimeoutMs: 0 });
	await database.query("select 1");
	return { query: (text: string) => database.query(text), [Symbol.asyncDispose]: () => database.close() };
}

/** Rows (or the one with this id) take their time, in a trigger. */
async function delayRows(test: TestWriter, what: string, id?: string): Promise<void> {
	const condition = id === undefined ? "" : `if new.id <> '${id}' then return new; end if;`;
	await test.rows(`create function delay() returns trigger language plpgsql as $$ begin ${condition} perform ${what}; return new; end $$`);
	await test.rows("create trigger delay before insert on events for each row execute function delay()");
}

/** Needs no lock of the table, which a delayed statement holds. */
async function delayNoMore(test: TestWriter): Promise<void> {
	await test.rows("create or replace function delay() returns trigger language plpgsql as $$ begin return new; end $$");
}

async function sleeping(test: TestWriter): Promise<number | undefined> {
	const [row] = await test.rows("select pid from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'");
	return row?.pid as number | undefined;
}

async function isWaiting(test: TestWriter): Promise<boolean> {
	const rows = await test.rows("select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'");
	return rows.length > 0;
}

async function databaseName(test: TestWriter): Promise<string> {
	return (await test.rows("select current_database() as name"))[0]?.name as string;
}

/** Ends every session but the one that asks; the test's other connection may not know it yet. */
async function terminateOthers(test: TestWriter): Promise<void> {
	await test.rows("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()");
	await waitFor("an answer", () => test.rows("select 1"));
}
