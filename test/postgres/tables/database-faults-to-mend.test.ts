/**
 * Faults of the database that wait for a person, on a real server: the writer says at once what to mend, refuses no row, and goes on by
 * itself once it is mended. What passes by itself is in database-faults.test.ts.
 */
import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { connectDatabase } from "../../../src/sink/database/database.ts";
import { layoutOf } from "../../support/fakes/row-submissions.ts";
import { expectSettledOnce, rowsFrom } from "../../support/fakes/settled-once.ts";
import { TestWriter } from "../../support/postgres/test-writer.ts";
import { waitFor } from "../../support/wait-for.ts";

const SECRET = "name 100";

interface Fault {
	readonly sqlstate: string;
	/** What the block says, message and hint together. */
	readonly says: RegExp;
	/** Statements of somebody else that break it, and that mend it; `DB` is the database. */
	readonly breaks: readonly string[];
	readonly mends: readonly string[];
	/** The sessions are ended in between: the fault meets new ones. */
	readonly ends?: boolean;
	/** The rows that were written before are gone by the fault itself. */
	readonly rowsGone?: boolean;
}

const DDL =
	"create table events (id text primary key, name text, amount bigint, kafka_ts bigint not null, kafka_offset bigint not null, kafka_partition int4 not null, deleted boolean not null default false)";
const NOBODY = { ends: true } as const;

const faults: Readonly<Record<string, Fault>> = {
	"a table that is dropped, and made again": {
		sqlstate: "42P01",
		says: /pockaffe schema prints/,
		breaks: ["drop table events"],
		mends: [DDL],
		rowsGone: true,
	},
	"a column that is dropped, and added again": {
		sqlstate: "42703",
		says: /add the column/,
		breaks: ["alter table events drop column amount"],
		mends: ["alter table events add column amount bigint"],
	},
	"a column of another type": {
		sqlstate: "42804",
		says: /another type than configured/,
		breaks: ["alter table events alter column amount type boolean using false"],
		mends: ["alter table events alter column amount type bigint using 0"],
	},
	"a primary key that is dropped": {
		sqlstate: "42P10",
		says: /needs a primary key/,
		breaks: ["alter table events drop constraint events_pkey"],
		mends: ["alter table events add primary key (id)"],
	},
	"a column of somebody else that must not be null": {
		sqlstate: "23502",
		says: /column region.*give column region of events a default/,
		breaks: ["alter table events add column region text not null default 'x'", "alter table events alter column region drop default"],
		mends: ["alter table events alter column region set default 'y'"],
	},
	"a sequence at its end": {
		sqlstate: "2200H",
		says: /let the sequence of events go further/,
		breaks: [
			"create sequence numbers maxvalue 20",
			"alter table events add column number int default nextval('numbers')",
			"alter sequence numbers restart with 20",
			"select nextval('numbers')",
		],
		mends: ["alter sequence numbers maxvalue 1000000"],
	},
	"permission that is taken away": {
		sqlstate: "42501",
		says: /grant select, insert, update on events/,
		breaks: ["revoke insert on events from USER"],
		mends: ["grant insert on events to USER"],
	},
	"row-level security": {
		sqlstate: "42501",
		says: /row-level security/,
		breaks: ["alter table events enable row level security"],
		mends: ["alter table events disable row level security"],
	},
	"a password that is changed": {
		sqlstate: "28P01",
		says: /look at the user, at the password/,
		breaks: ["alter role USER password 'another'"],
		mends: ["alter role USER password 'secret'"],
		...NOBODY,
	},
	"a role that may not log in": {
		sqlstate: "28000",
		says: /not permitted to log in/,
		breaks: ["alter role USER nologin"],
		mends: ["alter role USER login"],
		...NOBODY,
	},
	"a database that takes no connections": {
		sqlstate: "55000",
		says: /not currently accepting connections/,
		breaks: ["alter database DB allow_connections false"],
		mends: ["alter database DB allow_connections true"],
		...NOBODY,
	},
	"a limit of the server's configuration": {
		sqlstate: "53400",
		says: /temporary file size exceeds/,
		breaks: ["alter database DB set work_mem = '64kB'", "alter role USER in database DB set temp_file_limit = 0"],
		mends: ["alter role USER in database DB reset temp_file_limit", "END"],
		...NOBODY,
	},
	"a publication without a replica identity": {
		sqlstate: "55000",
		says: /replica identity/,
		breaks: ["alter table events replica identity nothing", "create publication everything for table events"],
		mends: ["alter table events replica identity full"],
	},
	...raisedFaults(),
};

describe("rows wait, none is refused, and they go in by themselves once it is mended:", () => {
	it.each(Object.entries(faults))("%s", async (_, { sqlstate, says, breaks, mends, ends, rowsGone }) => {
		await using writer = await writerWithRole();
		const { test, admin } = writer;
		await expectSettledOnce(test.submit(rowsFrom(0, 10)), rowsFrom(0, 10));
		await admin(breaks);
		if (ends) await admin(["END"]);
		// Half of them are updates: those are what a publication without an identity refuses. Large enough to spill over work_mem.
		const rows = rowsFrom(100, 600).map((row, i) => ({ ...row, id: `id-${String(i).padStart(6, "0")}` }));
		const submission = test.submit(rows);
		await waitFor("the block", () => test.blocked.some((fact) => fact.sqlstate === sqlstate));
		const { message, hint } = test.blocked.find((fact) => fact.sqlstate === sqlstate) ?? { message: "", hint: "" };
		expect(`${message}; ${hint ?? ""}`).toMatch(says);
		expect(message).not.toContain(SECRET);
		expect([test.writer.blocked, test.writer.isStuck("events"), submission.settledOffsets.length]).toEqual([true, true, 0]);
		await admin(mends);
		await expectSettledOnce(submission, rows);
		expect([test.writer.blocked, test.writer.isStuck("events"), test.unblocked]).toEqual([false, false, 1]);
		expect(test.counts).toMatchObject({ stale: 0, refused: 0, inserted: 600 + (rowsGone ? 10 : 0), updated: rowsGone ? 0 : 10 });
	});

	it("a partition that is missing", async () => {
		await using writer = await writerWithRole();
		const { test, admin } = writer;
		await admin([
			"drop table events",
			`${DDL} partition by range (id)`,
			"create table first partition of events for values from ('a') to ('b')",
		]);
		await admin(["grant select, insert, update on events to USER"]);
		const rows = rowsFrom(0, 10);
		const submission = test.submit(rows);
		await waitFor("the block", () => test.blocked.length > 0);
		expect(test.blocked).toMatchObject([{ sqlstate: "23514", hint: expect.stringContaining("create the partition of events") }]);
		await admin(["create table rest partition of events default"]);
		await expectSettledOnce(submission, rows);
	});

	it("a trigger that finds several of what it expects one of (21000), which is no id twice", async () => {
		await using writer = await writerWithRole();
		const { test, admin } = writer;
		await admin([
			"create function one() returns trigger language plpgsql as $$ begin new.amount := (select i from generate_series(1, 2) i); return new; end $$",
			"create trigger one before insert on events for each row execute function one()",
		]);
		const rows = rowsFrom(0, 10);
		const submission = test.submit(rows);
		await waitFor("the block", () => test.blocked.length > 0);
		expect(test.blocked).toMatchObject([{ sqlstate: "21000", hint: expect.stringContaining("trigger") }]);
		await admin(["drop trigger one on events"]);
		await expectSettledOnce(submission, rows);
	});

	it("a database that is renamed, and named as it was again", async () => {
		await using writer = await writerWithRole();
		const { test, elsewhere } = writer;
		const rows = rowsFrom(0, 10);
		await elsewhere(["END", "alter database DB rename to DB_gone"]);
		const submission = test.submit(rows);
		await waitFor("the block", () => test.blocked.length > 0);
		expect(test.blocked).toMatchObject([{ sqlstate: "3D000", hint: expect.stringContaining("the database's name") }]);
		await elsewhere(["alter database DB_gone rename to DB"]);
		await expectSettledOnce(submission, rows);
	});
});

it("a setting in database.url that the server refuses (22023, a row's class) is no row's fault", async () => {
	await using test = await TestWriter.on([layoutOf()], {
		own: (url) => connectDatabase({ url: `${url}?options=-c%20TimeZone%3DNowhere`, connections: 1, clock: systemClock }),
		connections: 1,
	});
	const submission = test.submit(rowsFrom(0, 10));
	await waitFor("two failures", () => test.retried.length >= 2);
	expect(test.blocked).toMatchObject([{ sqlstate: "22023", message: expect.stringContaining("TimeZone") }]);
	expect([submission.settledOffsets, [...submission.refusedOffsets]]).toEqual([[], []]);
});

describe("what only speaks of the row", () => {
	it("is refused alone: `with check option` of a view (44000)", async () => {
		await using writer = await writerWithRole();
		const { test, admin } = writer;
		await admin([
			"alter table events rename to stored",
			"create view events as select * from stored where name <> 'name 3' with check option",
			"grant select, insert, update on events to USER",
		]);
		const submission = test.submit(rowsFrom(0, 10));
		await submission.done;
		expect([...submission.refusedOffsets]).toEqual([[3, expect.objectContaining({ sqlstate: "44000", rowId: "id-000003" })]]);
		expect([submission.settledOffsets.length, test.blocked]).toEqual([9, []]);
	});
});

/** Codes that only a broken machine or a function raises: a trigger does it here, with a row's value in its words. */
function raisedFaults(): Record<string, Fault> {
	const causes: readonly (readonly [code: string, what: string, says: RegExp])[] = [
		["53100", "a disk that is full", /free space/],
		["58030", "an I/O error", /58030/],
		["XX001", "a corrupted table", /XX001/],
		["0A000", "something not supported", /0A000/],
		["38000", "an error inside a function", /mend the trigger or function/],
		["P0002", "a function that finds no data", /mend the trigger or function/],
		["ZZ999", "a code that nobody knows", /ZZ999/],
	];
	return Object.fromEntries(
		causes.map(([sqlstate, what, says]): [string, Fault] => [
			`${what} (${sqlstate})`,
			{
				sqlstate,
				says,
				breaks: [
					`create function fail() returns trigger language plpgsql as $$ begin raise exception 'no: %', new.name using errcode = '${sqlstate}'; end $$`,
					"create trigger fail before insert on events for each row execute function fail()",
				],
				mends: ["drop trigger fail on events"],
			},
		]),
	);
}

/** A writer that is an ordinary user, on one connection, and administrators in its database and elsewhere. */
async function writerWithRole() {
	const role = `writer_${randomBytes(4).toString("hex")}`;
	const test = await TestWriter.on([layoutOf()], {
		own: (url) => connectDatabase({ url: url.replace(/\/\/[^@]*@/, `//${role}:secret@`), connections: 1, clock: systemClock }),
		connections: 1,
	});
	const name = test.db.url.split("/").at(-1) as string;
	const other = connectDatabase({ url: test.db.url.replace(/\/[^/]*$/, "/postgres"), connections: 1, clock: systemClock });
	const end = `select pg_terminate_backend(pid) from pg_stat_activity where datname = 'DB'`;
	const said = (text: string) => (text === "END" ? end : text).replaceAll("DB", name).replaceAll("USER", role);
	const elsewhere = async (texts: readonly string[]) => {
		for (const text of texts) await other.query(said(text));
	};
	/** In the database itself, but for what concerns sessions and roles. */
	const admin = async (texts: readonly string[]) => {
		for (const text of texts) {
			if (/^(END|alter (role|database))/.test(text)) await elsewhere([text]);
			else await waitFor("an answer", () => test.rows(said(text)));
		}
	};
	await admin([
		"create role USER login password 'secret'",
		"grant select, insert, update on events to USER",
		"grant usage on all sequences in schema public to USER",
	]);
	await admin([
		"alter default privileges grant select, insert, update on tables to USER",
		"alter default privileges grant usage on sequences to USER",
	]);
	const dispose = async () => {
		await test[Symbol.asyncDispose]();
		await other.close();
	};
	return { test, admin, elsewhere, [Symbol.asyncDispose]: dispose };
}
