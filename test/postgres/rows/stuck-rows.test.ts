/**
 * One row that does not go in, by its real causes: another session's lock on it, a trigger that fails at it, one that is too slow. The
 * others of its table go in, nobody is refused, who holds the lock is told, and it goes on by itself.
 */
import { describe, expect, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { connectDatabase } from "../../../src/sink/database/database.ts";
import { layoutOf, type TestRow } from "../../support/fakes/row-submissions.ts";
import { expectSettledOnce, rowsFrom } from "../../support/fakes/settled-once.ts";
import { TestWriter } from "../../support/postgres/test-writer.ts";
import { slowness } from "../../support/slowness.ts";
import { waitFor } from "../../support/wait-for.ts";

/** Newer rows of the same ids. */
const again = (from: number, count: number, by: number): TestRow[] =>
	rowsFrom(from, count).map((row) => ({ ...row, offset: row.offset + by }));

describe("a row that another session keeps locked", () => {
	it("holds up no other row, not for as long as its lock may be waited for, and who holds it is told", async () => {
		await using test = await TestWriter.on([layoutOf()]);
		await test.write(rowsFrom(0, 50));
		await using holder = await session(test, "a person's psql");
		await holder.query("begin");
		await holder.query("update events set amount = 7 where id = 'id-000020'");
		const startedAt = performance.now();
		const first = test.submit(again(0, 50, 100));
		await waitFor("the other 49", () => first.settledOffsets.length === 49);
		expect(performance.now() - startedAt).toBeLessThan(8_000 * (await slowness()));
		expect(first.settledOffsets).not.toContain(120);
		// And so does what comes later, of that row's id too.
		const second = test.submit(again(0, 50, 200));
		const third = test.submit(again(50, 50, 200));
		await waitFor("what comes later", () => second.settledOffsets.length === 49 && third.settledOffsets.length === 50);
		const [fact] = await waitFor("the word", () => (test.stuck.length > 0 ? test.stuck : undefined));
		expect(fact).toMatchObject({ table: "events", id: "id-000020", topic: "t", partition: 0, offset: 120, sqlstate: "55P03" });
		const last = await waitFor("the holder", () => test.stuck.find(({ hint }) => hint !== null));
		const { pid } = holder;
		expect(last.message).toMatch(
			new RegExp(
				`^SQLSTATE 55P03: canceling statement due to lock timeout \\(lock_not_available\\); it is locked by pid ${pid} \\(a person's psql, user \\w+\\): idle in transaction, its transaction began at 20\\d\\d-`,
			),
		);
		expect(last.hint).toBe(`let that transaction end, or end it: select pg_terminate_backend(${pid}); it goes on by itself`);
		expect([test.writer.stuck, test.writer.isStuck("events"), test.writer.isMoving(first)]).toEqual([false, false, false]);
		expect([test.writer.queueRows, (test.writer.oldestAgeMs ?? 0) > 1_000]).toEqual([2, true]);
		await test.rows(`select pg_terminate_backend(${pid})`);
		await expectSettledOnce(first, again(0, 50, 100));
		await expectSettledOnce(second, again(0, 50, 200));
		expect(await test.rows("select kafka_offset::int as at from events where id = 'id-000020'")).toEqual([{ at: 220 }]);
		await waitFor("no stuck row", () => test.writer.stuckRows.length === 0);
		expect([test.writer.queueRows, test.counts.refused, test.blocked]).toEqual([0, 0, []]);
	});

	it("keeps no lock of the rows before it for long", async () => {
		await using test = await TestWriter.on([layoutOf()]);
		await test.write(rowsFrom(0, 50));
		await using holder = await session(test, "holder");
		await holder.query("begin");
		await holder.query("update events set amount = 7 where id = 'id-000049'");
		const submission = test.submit(again(0, 50, 100));
		await using other = await session(test, "other");
		await waitFor(
			"the writer to wait",
			async () => (await other.query("select from pg_stat_activity where wait_event_type = 'Lock'")).length > 0,
		);
		const startedAt = performance.now();
		await other.query("update events set amount = 9 where id = 'id-000000'");
		expect(performance.now() - startedAt).toBeLessThan(4_000 * (await slowness()));
		await holder.query("rollback");
		await expectSettledOnce(submission, again(0, 50, 100));
	});

	it("is told where it is alone, too", async () => {
		await using test = await TestWriter.on([layoutOf()]);
		await test.write(rowsFrom(0, 1));
		await using holder = await session(test, "holder");
		await holder.query("begin");
		await holder.query("select from events for update");
		const submission = test.submit(again(0, 1, 100));
		await waitFor("the word", () => test.stuck.some(({ id, hint }) => id === "id-000000" && hint?.includes(String(holder.pid))));
		await holder.query("rollback");
		await expectSettledOnce(submission, again(0, 1, 100));
	});
});

it("a locked table is told soon with who holds the lock, and no row is to blame", async () => {
	await using test = await TestWriter.on([layoutOf()]);
	await using holder = await session(test, "migration");
	await holder.query("begin");
	await holder.query("lock table events");
	const submission = test.submit(rowsFrom(0, 20));
	const told = await waitFor("the holder", () => test.retried.find(({ hint }) => hint !== null));
	expect(told.message).toContain(`the table events is locked by pid ${holder.pid} (migration, user `);
	expect(told.hint).toBe(`let that transaction end, or end it: select pg_terminate_backend(${holder.pid}); it goes on by itself`);
	await waitFor("it to be stuck", () => test.writer.isStuck("events"));
	expect([test.stuck, test.writer.stuckRows]).toEqual([[], []]);
	await holder.query("rollback");
	await expectSettledOnce(submission, rowsFrom(0, 20));
	expect(test.writer.isStuck("events")).toBe(false);
});

describe("a row that a trigger fails at", () => {
	it.each([
		["XX000", "an internal error"],
		["40001", "a serialization failure of its own"],
		["P0002", "what somebody has to mend in the table"],
		["21000", "what finds several rows where it wants one"],
	])("with %s (%s) holds up no other row", async (code) => {
		await using test = await TestWriter.on([layoutOf()]);
		await test.rows(
			`create function fail() returns trigger language plpgsql as $$ begin if new.id = 'id-000007' then raise exception 'secret' using errcode = '${code}'; end if; return new; end $$`,
		);
		await test.rows("create trigger fail before insert on events for each row execute function fail()");
		const first = test.submit(rowsFrom(0, 20));
		await waitFor("the other 19", () => first.settledOffsets.length === 19);
		await test.write(rowsFrom(100, 20));
		const fact = await waitFor("the word", () => test.stuck[0]);
		expect(fact).toMatchObject({ id: "id-000007", offset: 7, rows: 1, sqlstate: code });
		expect(fact.message).toMatch(new RegExp(`^SQLSTATE ${code} \\(\\w+\\), in the PL/pgSQL function fail, line 1$`));
		expect(test.writer.isStuck("events")).toBe(false);
		await test.rows("drop trigger fail on events");
		await expectSettledOnce(first, rowsFrom(0, 20));
		expect(test.counts).toMatchObject({ inserted: 40, refused: 0 });
	});

	it("is refused once the trigger says so, and an older version goes in for it", async () => {
		await using test = await TestWriter.on([layoutOf()]);
		const raise = (code: string) =>
			`create or replace function fail() returns trigger language plpgsql as $$ begin if new.name = 'bad' then raise exception 'no' using errcode = '${code}'; end if; return new; end $$`;
		await test.rows(raise("XX000"));
		await test.rows("create trigger fail before insert on events for each row execute function fail()");
		const rows = [...rowsFrom(0, 20), { id: "id-000003", offset: 30, values: ["bad", "1"] }];
		const submission = test.submit(rows);
		await waitFor("the word", () => test.stuck.length > 0);
		await test.rows(raise("P0001"));
		await submission.done;
		expect([...submission.refusedOffsets.keys()]).toEqual([30]);
		expect(await test.rows("select kafka_offset::int as at from events where id = 'id-000003'")).toEqual([{ at: 3 }]);
		expect(test.counts).toMatchObject({ inserted: 20, refused: 1 });
	});
});

it("a row that is slow by itself holds up neither its batch nor what comes later", async () => {
	const own = (url: string) => connectDatabase({ url, connections: 2, clock: systemClock, statementTimeoutMs: 300 });
	await using test = await TestWriter.on([layoutOf()], { own });
	await test.rows(
		"create function slow() returns trigger language plpgsql as $$ begin if new.id = 'id-000002' then perform pg_sleep(30); end if; return new; end $$",
	);
	await test.rows("create trigger slow before insert on events for each row execute function slow()");
	const first = test.submit(rowsFrom(0, 8));
	await waitFor("the other seven", () => first.settledOffsets.length === 7);
	for (let from = 10; from < 40; from += 10) await test.write(rowsFrom(from, 10));
	await waitFor("the word", () => test.stuck.some(({ id, sqlstate }) => id === "id-000002" && sqlstate === "57014"));
	await test.rows("create or replace function slow() returns trigger language plpgsql as $$ begin return new; end $$");
	await expectSettledOnce(first, rowsFrom(0, 8));
});

it("rows of a partition that was given away are stuck no more", async () => {
	await using test = await TestWriter.on([layoutOf()]);
	await test.write(rowsFrom(0, 5));
	await using holder = await session(test, "holder");
	await holder.query("begin");
	await holder.query("update events set amount = 7 where id = 'id-000001'");
	const submission = test.submit(again(0, 5, 100));
	await waitFor("the word", () => test.writer.stuckRows.length > 0);
	submission.release();
	expect(test.writer.stuckRows).toEqual([]);
	await waitFor("it to be forgotten", () => test.writer.queueRows === 0);
});

/** A session of its own, for another client's transactions. */
async function session(test: TestWriter, name: string) {
	const database = connectDatabase({ url: test.db.url, connections: 1, clock: systemClock, statementTimeoutMs: 0, lockTimeoutMs: 0 });
	const [row] = await database.query("select pg_backend_pid() as pid");
	await database.query(`set application_name = '${name.replaceAll("'", "''")}'`);
	return {
		pid: row?.pid as number,
		query: (text: string) => database.query(text),
		[Symbol.asyncDispose]: () => database.close(),
	};
}
