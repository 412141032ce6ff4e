import { describe, expect, it } from "vitest";
import { joinColumn, separatorsFor } from "../../src/sink/separators.ts";
import { hintFor, problemOf, type SqlFault } from "../../src/sink/sql-faults.ts";

describe("what an error of the database means", () => {
	it.each<[code: string, fault: SqlFault]>([
		["22003", "row"],
		["22P02", "row"],
		["22021", "row"],
		["23502", "row"],
		["23503", "row"],
		["23505", "row"],
		["23514", "row"],
		["54000", "row"],
		["P0001", "row"],
		["21000", "split"],
		["40001", "transient"],
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

	it("names table, column and constraint, never a value", () => {
		const error = {
			code: "23514",
			table_name: "events",
			constraint_name: "positive",
			message: 'Failing row contains ("secret")',
			detail: "secret",
		};
		expect(problemOf(error).message).toBe("SQLSTATE 23514: table events, constraint positive");
	});

	it("comes with what mends it, for the usual ones", () => {
		for (const code of ["42P01", "42703", "42804", "42501", "42P10", "28P01", "3D000"])
			expect(hintFor(problemOf({ code }), "events"), code).not.toBeNull();
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
		const joined = joinColumn(columns[0] as (string | null)[], { separator, nullMark });
		expect(joined.split(separator).map((part) => (part === nullMark ? null : part))).toEqual(columns[0]);
	});

	it("are the usual ones where nothing collides", () => {
		expect(separatorsFor([["a", null]])).toEqual({ separator: "\x1e", nullMark: "\x1d" });
	});
});
