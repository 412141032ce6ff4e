import { describe, expect, it } from "vitest";
import { joinTexts, separatorsFor, splitTexts } from "../../../src/core/rows/joined-texts.ts";
import { faultCatalogue, renderFaultTable, type SqlFault } from "../../../src/sink/database/sql-fault-catalogue.ts";
import { connectionHint, hintFor, problemOf } from "../../../src/sink/database/sql-faults.ts";
import { pageWith } from "../../support/project/docs-tables.ts";

describe("what an error of the database means", () => {
	it.each<[code: string, fault: SqlFault]>([
		["22003", "row"],
		["22P02", "row"],
		["22021", "row"],
		["23502", "row"],
		["23001", "order"],
		["23503", "order"],
		["23505", "order"],
		["23514", "row"],
		["54000", "row"],
		["P0001", "row"],
		["21000", "split"],
		["40001", "transient"],
		["40000", "transient"],
		["40003", "transient"],
		["40002", "systemic"],
		["40P01", "transient"],
		["57P01", "transient"],
		["57P03", "transient"],
		["57014", "transient"],
		["55P03", "transient"],
		["25006", "transient"],
		["53300", "transient"],
		["08006", "transient"],
		["26000", "transient"],
		["ECONNREFUSED", "transient"],
		["CONNECTION_CLOSED", "transient"],
		["CONNECT_TIMEOUT", "transient"],
		["QUERY_DEADLINE", "transient"],
		["42P01", "systemic"],
		["42703", "systemic"],
		["42501", "systemic"],
		["42804", "systemic"],
		["42P10", "systemic"],
		["28P01", "connection"],
		["3D000", "connection"],
		["99999", "systemic"],
		["2200H", "systemic"],
		["22P05", "row"],
		["23P01", "order"],
		["25P02", "transient"],
		["25P04", "transient"],
		["25001", "systemic"],
		["44000", "row"],
		["42P05", "transient"],
		["53100", "systemic"],
		["53200", "transient"],
		["53400", "systemic"],
		["54001", "row"],
		["54011", "systemic"],
		["55000", "systemic"],
		["55006", "transient"],
		["55P04", "systemic"],
		["57P04", "connection"],
		["58030", "systemic"],
		["58C00", "transient"],
		["72000", "transient"],
		["P0000", "systemic"],
		["P0002", "systemic"],
		["P0004", "systemic"],
		["XX000", "transient"],
		["XX001", "systemic"],
		["XX002", "systemic"],
		["XXUUU", "systemic"],
		["EPIPE", "transient"],
		["ENOTFOUND", "transient"],
		["EADDRNOTAVAIL", "transient"],
		["SELF_SIGNED_CERT_IN_CHAIN", "connection"],
		["ERR_TLS_CERT_ALTNAME_INVALID", "connection"],
		["", "systemic"],
	])("%s is %s", (code, fault) => {
		expect(problemOf(Object.assign(new Error("x"), { code })).fault).toBe(fault);
	});

	it("is a stale prepared statement where the server says so, which works when prepared anew", () => {
		expect(problemOf({ code: "0A000", message: "cached plan must not change result type", routine: "RevalidateCachedQuery" }).fault).toBe(
			"transient",
		);
		expect(problemOf({ code: "0A000", message: "not supported", routine: "other" }).fault).toBe("systemic");
	});

	it.each([
		"00",
		"01",
		"02",
		"03",
		"09",
		"0B",
		"0F",
		"0L",
		"0P",
		"0Z",
		"20",
		"24",
		"27",
		"2B",
		"2D",
		"2F",
		"34",
		"38",
		"39",
		"3B",
		"3F",
		"F0",
		"HV",
	])("of class %s is nobody's row: it waits for a person", (sqlClass) => {
		expect(problemOf({ code: `${sqlClass}000` }).fault).toBe("systemic");
	});

	it("is no row's fault where the session itself was refused or ended", () => {
		for (const code of ["22023", "23514", "P0001", "54000", "21000", "42704"]) {
			expect(problemOf({ code, severity: "FATAL" }).fault, code).toBe("connection");
			expect(problemOf({ code, severity_local: "PANIC" }).fault, code).toBe("connection");
		}
		expect(problemOf({ code: "57P01", severity: "FATAL" }).fault).toBe("transient");
	});

	it("is the table's where the column that must not be null is none that a message fills", () => {
		const error = { code: "23502", table_name: "events", column_name: "region" };
		expect(problemOf(error, ["id", "name"]).fault).toBe("systemic");
		expect(hintFor(problemOf(error, ["id", "name"]), "events")).toContain("region");
		expect(problemOf({ ...error, column_name: "name" }, ["id", "name"]).fault).toBe("row");
		expect(hintFor(problemOf(error), "events")).toBeNull();
	});

	it("is the table's where a partition is missing, and the row's where a check fails", () => {
		expect(problemOf({ code: "23514", routine: "ExecFindPartition" }).fault).toBe("systemic");
		expect(problemOf({ code: "23514", routine: "ExecConstraints", constraint_name: "c" }).fault).toBe("row");
	});

	it("is told in the server's words only where they can't hold a value", () => {
		expect(problemOf({ code: "53300", message: "too many connections" }).message).toBe(
			"SQLSTATE 53300: too many connections (too_many_connections)",
		);
		// What a function raises may say anything, under any code.
		expect(problemOf({ code: "53100", message: "secret", where: "PL/pgSQL function f() line 1 at RAISE" }).message).toBe(
			"SQLSTATE 53100 (disk_full), in the PL/pgSQL function f, line 1",
		);
		expect(problemOf({ code: "22P02", message: "secret" }).message).toBe("SQLSTATE 22P02 (invalid_text_representation)");
		expect(problemOf({ code: "ERR_INVALID_ARG_TYPE", message: "secret" }).message).toBe("ERR_INVALID_ARG_TYPE");
		expect(problemOf({ code: "EPIPE", message: "write EPIPE" }).message).toBe("EPIPE: write EPIPE");
	});

	it.each([
		["55P03", "ProcessInterrupts", "canceling statement due to lock timeout", "lock_not_available"],
		["57014", "ProcessInterrupts", "canceling statement due to statement timeout", "query_canceled"],
		["40P01", "DeadLockReport", "deadlock detected", "deadlock_detected"],
	])(
		"is told in the server's words for %s wherever the statement was, and by the code's name where a function raised it",
		(code, routine, message, name) => {
			const where = 'while updating tuple (0,7) in relation "events"';
			expect(problemOf({ code, message, where, routine }).message).toBe(`SQLSTATE ${code}: ${message} (${name})`);
			const raised = { code, message: "secret", where: "PL/pgSQL function s.f(text,integer) line 3 at RAISE", routine: "exec_stmt_raise" };
			expect(problemOf(raised).message).toBe(`SQLSTATE ${code} (${name}), in the PL/pgSQL function s.f, line 3`);
		},
	);

	it("never tells what a function's context holds beside its name and line", () => {
		const where = 'SQL statement "select secret"\nPL/pgSQL function f() line 2 at EXECUTE';
		expect(problemOf({ code: "XX000", message: "secret", where }).message).toBe(
			"SQLSTATE XX000 (internal_error), in the PL/pgSQL function f, line 2",
		);
		expect(problemOf({ code: "XX000", message: "secret", where: "PL/pgSQL function f('secret') line 2" }).message).toBe(
			"SQLSTATE XX000 (internal_error)",
		);
	});

	// `UPDATE_DOCS=1 npx vitest run --config config/vitest.config.ts test/unit/sink/sql-faults.test.ts` writes the table.
	it("equals the handbook's table", () => {
		const page = new URL("../../../docs/faults.md", import.meta.url);
		const { text, wanted } = pageWith(page, { sqlstates: renderFaultTable() });
		expect(text).toBe(wanted);
	});

	it("is looked up from the particular to the general: no line of the table is hidden by one above it", () => {
		const patterns = faultCatalogue.filter(({ only }) => !only).flatMap(({ codes }) => codes);
		const prefixes = patterns.map((code, index) => [code, index] as const).filter(([code]) => code.endsWith("…"));
		for (const [prefix, index] of prefixes) {
			const hidden = patterns.slice(index + 1).filter((code) => code.startsWith(prefix.slice(0, -1)));
			expect(hidden, `behind ${prefix}`).toEqual([]);
		}
		expect(new Set(patterns).size).toBe(patterns.length);
	});

	it("names table, column and constraint, never a value", () => {
		const error = {
			code: "23514",
			table_name: "events",
			column_name: "amount",
			constraint_name: "positive",
			message: 'Failing row contains ("secret")',
			detail: "secret",
		};
		expect(problemOf(error).message).toBe("SQLSTATE 23514: table events, column amount, constraint positive (check_violation)");
		expect(problemOf(error)).toMatchObject({ table: "events", column: "amount", constraint: "positive" });
		expect(problemOf({ ...error, table_name: undefined, constraint_name: undefined }).message).toBe(
			"SQLSTATE 23514: column amount (check_violation)",
		);
	});

	it("comes with what mends it, for the usual ones", () => {
		for (const code of ["42P01", "42703", "42804", "42501", "42P10", "28P01", "3D000"])
			expect(hintFor(problemOf({ code }), "events"), code).not.toBeNull();
	});

	it("does not tell anybody to take a column of PocKaffe's own out of the configuration, where it is not", () => {
		const hint = (message: string) => hintFor(problemOf({ code: "42703", message }), "events");
		for (const own of ["kafka_ts", "kafka_offset", "kafka_partition", "kafka_topic", "deleted"])
			expect(hint(`column "${own}" of relation "events" does not exist`), own).toBe(
				"add it to events (pockaffe schema prints its columns); it goes on by itself",
			);
		expect(hint("column t.kafka_ts does not exist")).toMatch(/^add it to events/);
		expect(hint('column "amount" of relation "events" does not exist')).toMatch(/or take it out of tables\.events\.columns/);
	});

	it("is told whatever was thrown", () => {
		for (const thrown of [null, undefined, "text", 5, {}]) expect(problemOf(thrown).fault).toBe("systemic");
	});
});

describe("separators", () => {
	it("are chosen so that no value holds them", () => {
		const columns = [
			["a", null, "b\x1ec"],
			["\x1d", "\x1e0\x1f", ""],
		];
		const { separator, nullMark } = separatorsFor(columns);
		for (const value of columns.flat()) {
			expect(value?.includes(separator)).not.toBe(true);
			expect(value).not.toBe(nullMark);
		}
		const joined = joinTexts(columns[0] as (string | null)[], { separator, nullMark });
		expect(splitTexts(joined, 3, { separator, nullMark })).toEqual(columns[0]);
	});

	it("are the usual ones where nothing collides", () => {
		expect(separatorsFor([["a", null]])).toEqual({ separator: "\x1e", nullMark: "\x1d" });
	});
});

it("what to look at where no connection can be made", () => {
	const hints = ["ECONNREFUSED", "ENOTFOUND", "28P01", "3D000", "42P01", "57P03"].map((code) => connectionHint(problemOf({ code })));
	expect(hints).toEqual([
		expect.stringMatching(/address in database\.url right/),
		expect.stringMatching(/address in database\.url right/),
		expect.stringMatching(/look at the user, at the password/),
		expect.stringMatching(/database's name/),
		null,
		null,
	]);
});

describe("what to do about a fault of the table", () => {
	const hint = (code: string, over: object = {}) => hintFor(problemOf({ code, message: "x", ...over }), "events");

	it.each<[code: string, words: RegExp, over?: object]>([
		["42P01", /^create events \(pockaffe schema prints/],
		["42703", /^add the column .*take it out of tables\.events\.columns and restart/, { message: 'column "name" does not exist' }],
		["42703", /^add it to events \(pockaffe schema prints its columns\)/, { message: "column t.kafka_ts does not exist" }],
		["42703", /^add it to events/, { message: 'column "deleted" of relation "events" does not exist' }],
		["42703", /^add the column/, { message: 'column "kafka_ts2" does not exist' }],
		["42804", /^a column of events has another type than configured/],
		["42883", /^a column of events has another type than configured/],
		["42704", /^the server has no such type: correct tables\.events\.columns .*and restart$/],
		["42501", /^grant select, insert, update on events to the daemon's user/],
		["42P10", /^events needs a primary key or unique constraint on its id column/],
		["3F000", /^create the schema of events/],
		["28P01", /^look at the user, at the password/],
		["28000", /^look at the user, at the password/],
		["3D000", /^look at the database's name/],
		["53100", /^free space on the server's disk/],
		["23514", /^create the partition of events that is missing/, { routine: "ExecFindPartition" }],
		["2200H", /^let the sequence of events go further/],
		["21000", /^a trigger or default of events asks for one row and finds several/],
		["P0001", /^mend the trigger or function that events calls/],
		["2F005", /^mend the trigger or function that events calls/],
		["09000", /^mend the trigger or function/],
		["38001", /^mend the trigger or function/],
		["39P01", /^mend the trigger or function/],
		["20000", /^mend the trigger or function/],
	])("%s: %s", (code, words, over) => {
		expect(hint(code, over)).toMatch(words);
	});

	it.each(["22003", "23505", "40001", "57P01", "99999"])("%s: nothing is better than the message", (code) => {
		expect(hint(code)).toBeNull();
	});

	it("is nothing for a check that a row fails", () => {
		expect(hint("23514", { routine: "ExecConstraints", constraint_name: "c" })).toBeNull();
	});

	it("says that it goes on by itself, unless a restart is needed", () => {
		for (const code of ["42P01", "42804", "42501", "42P10", "3F000", "53100", "2200H", "21000", "P0001"])
			expect(hint(code), code).toMatch(/; it goes on by itself$/);
		expect(hint("42704")).not.toContain("by itself");
	});

	it("is in the words of whoever reported it, if they have some", () => {
		expect(hintFor({ ...problemOf({ code: "42P01", message: "x" }), hint: "ask them" } as never, "events")).toBe("ask them");
	});
});
