/**
 * Ids and versions in one spelling: what is one value for the server is one text here, and what it can't hold is refused with its SQLSTATE.
 */
import { parse } from "lossless-json";
import { describe, expect, it } from "vitest";
import type { IdType } from "../../../src/core/rows/rows.ts";
import { BadOutcomeError, RowFaultError } from "../../../src/worker/inside/rows/bad-outcome.ts";
import { canonicalId, canonicalVersion } from "../../../src/worker/inside/rows/canonical-values.ts";
import { wholeNumber } from "../../../src/worker/inside/rows/whole-number.ts";

function outcome(make: () => string): string {
	try {
		return make();
	} catch (error) {
		if (error instanceof RowFaultError) return `SQLSTATE ${error.sqlstate}`;
		return error instanceof BadOutcomeError ? error.message : String(error);
	}
}

const uuid = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";

describe("an id", () => {
	it.each<[IdType, unknown, string]>([
		["text", " a ", " a "],
		["text", 7, "7"],
		["text", 7n, "7"],
		["text", "a\0", "SQLSTATE 22021"],
		["uuid", uuid, uuid],
		["uuid", ` {${uuid.toUpperCase()}} `, uuid],
		["uuid", uuid.replaceAll("-", ""), uuid],
		["uuid", uuid.slice(1), "SQLSTATE 22P02"],
		["uuid", `${uuid}0`, "SQLSTATE 22P02"],
		["uuid", `g${uuid.slice(1)}`, "SQLSTATE 22P02"],
		["int", " +007 ", "7"],
		["int", "-0", "0"],
		["int", -5, "-5"],
		["int", "1.0", "SQLSTATE 22P02"],
		["int", "", "SQLSTATE 22P02"],
		["int", 2147483647, "2147483647"],
		["int", 2147483648, "SQLSTATE 22003"],
		["int", -2147483648, "-2147483648"],
		["int", -2147483649, "SQLSTATE 22003"],
		["smallint" as IdType, 32767, "32767"],
		["smallint" as IdType, 32768, "SQLSTATE 22003"],
		["smallint" as IdType, -32768, "-32768"],
		["smallint" as IdType, -32769, "SQLSTATE 22003"],
		["bigint", "9223372036854775807", "9223372036854775807"],
		["bigint", 9223372036854775808n, "SQLSTATE 22003"],
		["bigint", -9223372036854775808n, "-9223372036854775808"],
		["bigint", "-9223372036854775809", "SQLSTATE 22003"],
		["text", true, "an id must be a string, number or bigint, not a boolean"],
		["text", null, "an id must be a string, number or bigint, not null"],
	])("of type %s: %s is %s", (type, value, expected) => {
		expect(outcome(() => canonicalId(value, type))).toBe(expected);
	});
});

describe("a version", () => {
	it.each<[string, unknown, string]>([
		["bigint", " 7 ", "7"],
		["bigint", "+7", "7"],
		["bigint", parse("1e3"), "1000"],
		["bigint", parse("1.5"), "SQLSTATE 22P02"],
		["bigint", "1.0", "SQLSTATE 22P02"],
		["bigint", "9223372036854775808", "SQLSTATE 22003"],
		["numeric", "1.50", "1.50"],
		["numeric", "007.10", "7.10"],
		["numeric", ".5", "0.5"],
		["numeric", "5.", "5"],
		["numeric", "-0.0", "0.0"],
		["numeric", "-1.5", "-1.5"],
		["numeric", "+1.5", "1.5"],
		["numeric", " 1.5 ", "1.5"],
		["numeric", "1.5e3", "1500"],
		["numeric", "12.34e1", "123.4"],
		["numeric", "1.5E-2", "0.015"],
		["numeric", "15e-3", "0.015"],
		["numeric", "15e-2", "0.15"],
		["numeric", "0e5", "0"],
		["numeric", "1e1000", `1${"0".repeat(1000)}`],
		["numeric", "1e1001", "SQLSTATE 22003"],
		["numeric", "1e-1001", "SQLSTATE 22003"],
		["numeric", "", "SQLSTATE 22P02"],
		["numeric", ".", "SQLSTATE 22P02"],
		["numeric", "1e", "SQLSTATE 22P02"],
		["numeric", "NaN", "SQLSTATE 22P02"],
		["numeric(10,2)", "1.005", "1.01"],
		["numeric(10,2)", "1.004", "1.00"],
		["numeric(10,2)", "-1.005", "-1.01"],
		["numeric(10,2)", "9.995", "10.00"],
		["numeric(10,2)", "0.005", "0.01"],
		["numeric(10,2)", "0.0049", "0.00"],
		["numeric(10,2)", "1.5", "1.5"],
		["numeric(10)", "1.5", "2"],
		["numeric(10)", "0.4", "0"],
		["numeric(10,-2)", "150", "200"],
		["numeric(10,-2)", "149", "100"],
		["numeric(10,-2)", "49", "0"],
		["numeric(10,-2)", "4", "0"],
		["numeric(10,2)", "99e-4", "0.01"],
	])("of type %s: %s is %s", (type, value, expected) => {
		expect(outcome(() => canonicalVersion(value, type))).toBe(expected);
	});

	it.each<[unknown, string]>([
		["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000000Z"],
		["2026-01-02 03:04z", "2026-01-02T03:04:00.000000Z"],
		["2026-01-02T03:04:05.123456+02:00", "2026-01-02T01:04:05.123456Z"],
		["2026-01-02T03:04:05.1-0230", "2026-01-02T05:34:05.100000Z"],
		["2026-01-02T03:04:05+02", "2026-01-02T01:04:05.000000Z"],
		["2026-01-02T03:04:05.1234564Z", "2026-01-02T03:04:05.123456Z"],
		["2026-01-02T03:04:05.1234565Z", "2026-01-02T03:04:05.123457Z"],
		["2026-01-02T03:04:05.9999999Z", "2026-01-02T03:04:06.000000Z"],
		["2026-12-31T23:59:60Z", "2027-01-01T00:00:00.000000Z"],
		["2026-12-31T23:59:60.5Z", "2027-01-01T00:00:00.500000Z"],
		["2026-12-31T23:59:60.9999999Z", "SQLSTATE 22008"],
		["2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000000Z"],
		["2026-02-29T00:00:00Z", "SQLSTATE 22008"],
		["2026-02-30T00:00:00Z", "SQLSTATE 22008"],
		["2026-13-01T00:00:00Z", "SQLSTATE 22008"],
		["9999-12-31T23:59:59-01:00", "SQLSTATE 22008"],
		[new Date("2026-01-02T03:04:05.678Z"), "2026-01-02T03:04:05.678000Z"],
		[new Date(Number.NaN), "SQLSTATE 22007"],
		[" Infinity ", "infinity"],
		["-INFINITY", "-infinity"],
		["2026-01-02", "SQLSTATE 22007"],
		["2026-01-02T03:04:05", "SQLSTATE 22007"],
		[1_700_000_000_000, "SQLSTATE 22007"],
	])("of type timestamptz: %s is %s", (value, expected) => {
		expect(outcome(() => canonicalVersion(value, "timestamptz"))).toBe(expected);
	});
});

describe("an integer's spelling", () => {
	it.each([
		["7", "7"],
		["-7", "-7"],
		["1.0", "1"],
		["-1.00", "-1"],
		["1e3", "1000"],
		["1.5e1", "15"],
		["10e-1", "1"],
		["100e-1", "10"],
		["-0.0", "0"],
		["0.0e5", "0"],
		["0.5e1", "5"],
		["1.5", "1.5"],
		["15e-1", "15e-1"],
		["1e18", "1000000000000000000"],
		["1e19", "1e19"],
		["abc", "abc"],
		["", ""],
	])("%s is %s", (text, expected) => {
		expect(wholeNumber(text)).toBe(expected);
	});
});
