/**
 * Spells ids and versions in one canonical way, so that they can be compared as text or number before the server sees them. Otherwise two
 * spellings of one uuid in a batch would put one row into a statement twice. Pure.
 */
import { isLosslessNumber } from "lossless-json";
import type { IdType } from "../../../core/rows/rows.ts";
import { isNotANumber, textOf } from "../built-ins.ts";
import { BadOutcomeError, kindOf, RowFaultError } from "./bad-outcome.ts";
import { sendableText } from "./column-values.ts";
import { wholeNumber } from "./whole-number.ts";

const integerBounds = {
	smallint: [-(2n ** 15n), 2n ** 15n - 1n],
	int: [-(2n ** 31n), 2n ** 31n - 1n],
	bigint: [-(2n ** 63n), 2n ** 63n - 1n],
} as const;

const LONGEST_EXPONENT = 1000;

/**
 * An id's canonical text. Throws BadOutcomeError if the value is not an id, RowFaultError (22P02, 22003) if the id's type can't hold it.
 */
export function canonicalId(value: unknown, type: IdType): string {
	if (typeof value !== "string" && typeof value !== "number" && typeof value !== "bigint") {
		throw new BadOutcomeError(`an id must be a string, number or bigint, not ${kindOf(value)}`);
	}
	switch (type) {
		case "text":
			return sendableText(textOf(value));
		case "uuid":
			return canonicalUuid(textOf(value));
		default:
			return canonicalInteger(textOf(value), type);
	}
}

/**
 * A version column's canonical text: a plain decimal with the zeros it was written with, or UTC with microseconds. `type` is the column's
 * type: values are rounded as the server would round them. Otherwise two versions could differ while they wait and be equal once written.
 */
export function canonicalVersion(value: unknown, type: string): string {
	const text = value instanceof Date ? (isNotANumber(value.getTime()) ? "" : value.toISOString()) : textOf(value);
	switch (type) {
		case "timestamptz":
			return canonicalTimestamp(text);
		case "bigint":
			if (isLosslessNumber(value)) return canonicalInteger(wholeNumber(value.value), "bigint");
			if (!/^\s*[+-]?\d+\s*$/.test(text)) throw new RowFaultError("22P02", "is no bigint");
			return canonicalInteger(text, "bigint");
		default:
			return canonicalNumeric(text, scaleOf(type));
	}
}

/** Decimal places of a numeric column; null if it takes any number of them. */
function scaleOf(type: string): number | null {
	const [, precision, scale = "0"] = /^numeric\((\d+)(?:,(-?\d+))?\)$/.exec(type) ?? [];
	return precision === undefined ? null : Number(scale);
}

function canonicalUuid(text: string): string {
	const hex = text
		.trim()
		.replace(/^\{(.*)\}$/, "$1")
		.replaceAll("-", "")
		.toLowerCase();
	if (!/^[0-9a-f]{32}$/.test(hex)) throw new RowFaultError("22P02", "is no uuid");
	return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

function canonicalInteger(text: string, type: "smallint" | "int" | "bigint"): string {
	const trimmed = text.trim();
	if (!/^[+-]?\d+$/.test(trimmed)) throw new RowFaultError("22P02", `is no ${type}`);
	const [lowest, highest] = integerBounds[type];
	const value = BigInt(trimmed.replace(/^\+/, ""));
	if (value < lowest || value > highest) throw new RowFaultError("22003", `is out of range for ${type}`);
	return textOf(value);
}

function canonicalNumeric(text: string, scale: number | null): string {
	const match = /^\s*([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?\s*$/.exec(text);
	const [, sign = "", whole = "", fraction = "", exponent = "0"] = match ?? [];
	if (!match || whole + fraction === "") throw new RowFaultError("22P02", "is no numeric");
	const shift = Number(exponent);
	if (Math.abs(shift) > LONGEST_EXPONENT) throw new RowFaultError("22003", "is out of range for numeric");
	const { digits, point } = rounded(whole + fraction, whole.length + shift, scale);
	const left = (point <= 0 ? "" : digits.slice(0, point).padEnd(point, "0")).replace(/^0+/, "") || "0";
	const right = point >= digits.length ? "" : digits.slice(Math.max(0, point)).padStart(digits.length - point, "0");
	const plain = right ? `${left}.${right}` : left;
	return sign === "-" && /[1-9]/.test(plain) ? `-${plain}` : plain;
}

/** Digits with their decimal point, rounded to `scale` places as the server does it: half away from zero. */
function rounded(digits: string, point: number, scale: number | null): { digits: string; point: number } {
	const kept = scale === null ? digits.length : point + scale;
	if (kept >= digits.length) return { digits, point };
	if (kept < 0) return { digits: "0", point: 1 };
	const up = (digits[kept] as string) >= "5" ? 1n : 0n;
	const whole = textOf(BigInt(digits.slice(0, kept) || "0") + up).padStart(kept, "0");
	return { digits: whole, point: point + whole.length - kept };
}

function canonicalTimestamp(text: string): string {
	const endless = /^\s*(-?infinity)\s*$/i.exec(text)?.[1];
	if (endless) return endless.toLowerCase();
	const match = /^(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?\s*(Z|[+-]\d\d(?::?\d\d)?)$/i.exec(text.trim());
	if (!match) throw new RowFaultError("22007", "is no ISO 8601 timestamp with a time zone");
	const [, year, month, day, hour, minute, second = "00", fraction = "0", zone = "Z"] = match;
	const offset = zone.toUpperCase() === "Z" ? "Z" : zone.length === 3 ? `${zone}:00` : zone.replace(/^(...):?(..)$/, "$1:$2");
	// Second 60 is the next minute's first, as for the server; Date does not accept it.
	const isLeap = second === "60";
	const ms = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${isLeap ? "59" : second}${offset}`);
	// Date reads February 30th as March 2nd.
	const isDay = new Date(`${year}-${month}-${day}T00:00:00Z`).getUTCDate() === Number(day);
	// The server rounds nanoseconds too.
	const micros = Math.round(Number(`0.${fraction}`) * 1e6);
	const carried = Number(micros === 1e6) + Number(isLeap);
	const seconds = isDay && !isNotANumber(ms) && carried < 2 ? new Date(ms + carried * 1_000).toISOString() : "";
	if (!/^\d{4}-/.test(seconds)) throw new RowFaultError("22008", "is out of range for timestamptz");
	return `${seconds.slice(0, 19)}.${textOf(micros % 1e6).padStart(6, "0")}Z`;
}
