/**
 * Turns a handler's values into the text that Postgres casts to the column's type. Pure; one function per type, chosen once per column. The
 * server judges ranges, dates and uuids better, so that is left to it. Values that can't be sent at all are refused here.
 */
import { isUtf8 } from "node:buffer";
import { isLosslessNumber, stringify as losslessStringify } from "lossless-json";
import { columnTypeOf, ordinaryTypes } from "../../../core/rows/column-type.ts";
import type { BytesEncoding } from "../../../core/rows/rows.ts";
import { bufferOf, getPrototypeOf, isArray, isNotANumber, jsonOf, textOf, valuesOf } from "../built-ins.ts";
import { BadOutcomeError, isContainer, kindOf, RowFaultError } from "./bad-outcome.ts";
import { wholeNumber } from "./whole-number.ts";

/** Turns a value that is not null or undefined into text. Throws BadOutcomeError or RowFaultError; the caller completes the message. */
export type ValueEncoder = (value: unknown) => string;

/** The encoder of a column type. `encoding`: how a string for a bytea column is read. */
export function encoderOf(type: string, encoding: BytesEncoding = "utf8"): ValueEncoder {
	const { name, dimensions } = columnTypeOf(type);
	const element = elementEncoderOf(name, encoding);
	return dimensions === 0
		? element
		: (value) => encodeArray(value, element, name.startsWith("json") ? dimensions : Number.POSITIVE_INFINITY);
}

function elementEncoderOf(name: string, encoding: BytesEncoding): ValueEncoder {
	switch (name) {
		case "json":
		case "jsonb":
			return encodeJson;
		case "bytea":
			return (value) => encodeBytes(value, encoding);
		default:
			if (isIntegerType(name)) return encodeInteger;
			if (name === "time" || name === "timetz") return encodeTime;
			if (name === "date" || name === "timestamp" || name === "timestamptz") return encodeDay;
			return ordinaryTypes.has(name) ? encodeScalar : encodeOther;
	}
}

export function isIntegerType(name: string): boolean {
	return name === "smallint" || name === "int4" || name === "bigint";
}

/**
 * A list as the text of an array. A string or bytes are taken as an array's text already. A list may be an element only below `depth`
 * levels.
 */
function encodeArray(value: unknown, element: ValueEncoder, depth: number): string {
	if (typeof value === "string") return sendableText(value);
	if (value instanceof Uint8Array) return utf8Text(value);
	if (!isArray(value)) throw new BadOutcomeError(`can't take ${kindOf(value)}, only a list`);
	return arrayText(value, element, depth);
}

function arrayText(list: readonly unknown[], element: ValueEncoder, depth: number): string {
	const elements: string[] = [];
	for (let i = 0; i < list.length; i++) {
		const value = list[i];
		if (value === null || value === undefined) elements[i] = "NULL";
		else if (depth > 1 && isArray(value)) elements[i] = arrayText(value, element, depth - 1);
		else elements[i] = `"${element(value).replaceAll(/[\\"]/g, "\\$&")}"`;
	}
	return `{${elements.join(",")}}`;
}

/** Encoder for types that only the server knows. Lists and objects go as JSON, which is right for a domain over jsonb and for vector. */
function encodeOther(value: unknown): string {
	const isScalar = typeof value !== "object" || value instanceof Date || value instanceof Uint8Array || isLosslessNumber(value);
	return isScalar ? encodeScalar(value) : encodeJson(value);
}

/** Longer texts are checked by string methods, which cost more per call and less per character. */
const SHORT = 48;

/** True for a short text that may be sent and contains no separator. Most texts are like this, and one pass finds out. */
export function isPlainText(text: string): boolean {
	if (text.length > SHORT) return false;
	for (let i = 0; i < text.length; i++) {
		const code = text.charCodeAt(i);
		if (code < 0x20 || (code >= 0xd800 && code < 0xe000)) return false;
	}
	return true;
}

/** True if strings need no conversion. */
export function takesText(encode: ValueEncoder): boolean {
	return encode === encodeScalar || encode === encodeOther || encode === encodeInteger || encode === encodeTime || encode === encodeDay;
}

/** Returns the text if it can be sent: no NUL, no lone surrogate (which would silently become another character). */
export function sendableText(text: string): string {
	if (text.includes("\0")) throw new RowFaultError("22021", "holds a NUL character, which Postgres text can't");
	if (!text.isWellFormed()) throw new RowFaultError("22021", "holds a lone surrogate, which is no character");
	return text;
}

function encodeScalar(value: unknown): string {
	switch (typeof value) {
		case "string":
			return sendableText(value);
		case "number":
		case "bigint":
		case "boolean":
			return textOf(value);
		case "object":
			return encodeScalarObject(value as object);
		default:
			throw new BadOutcomeError(`can't take ${kindOf(value)}`);
	}
}

/** A number with its own text may be an integer with a point or an exponent, which the server would not read. */
function encodeInteger(value: unknown): string {
	return isLosslessNumber(value) ? wholeNumber(value.value) : encodeScalar(value);
}

/** A Date's time of day; a type with a time zone gets the `Z`. */
function encodeTime(value: unknown): string {
	return value instanceof Date ? isoText(value).replace(/^.*T/, "") : encodeScalar(value);
}

/**
 * A Date as the server reads it. JavaScript counts years before 1 down from 0, and writes most of them, and years after 9999, with a sign.
 */
function encodeDay(value: unknown): string {
	if (!(value instanceof Date)) return encodeScalar(value);
	const [, year = "", rest = ""] = /^([+-]\d+|0000)(-.*)$/.exec(isoText(value)) ?? [];
	if (year === "") return isoText(value);
	const number = Number(year);
	return number > 0 ? `${number}${rest}` : `${textOf(1 - number).padStart(4, "0")}${rest} BC`;
}

function isoText(value: Date): string {
	if (isNotANumber(value.getTime())) throw new BadOutcomeError("can't take an invalid Date");
	return value.toISOString();
}

function encodeScalarObject(value: object): string {
	if (value instanceof Date) return isoText(value);
	if (value instanceof Uint8Array) return utf8Text(value);
	if (isLosslessNumber(value)) return value.value;
	throw new BadOutcomeError(`can't take ${kindOf(value)}`);
}

function encodeJson(value: unknown): string {
	if (value instanceof Uint8Array) return utf8Text(value);
	const text = jsonText(value);
	if (text === undefined) throw new BadOutcomeError(`can't take ${kindOf(value)}`);
	return sendableText(text);
}

/** Throws BadOutcomeError for a value without JSON: a cycle, a bigint in a plain object, a toJSON that throws. */
function jsonText(value: unknown): string | undefined {
	try {
		return holdsLosslessNumbers(value) ? losslessStringify(value) : jsonOf(value);
	} catch (error) {
		if (error instanceof BadOutcomeError) throw error;
		throw new BadOutcomeError(`can't take what can't be made JSON (${error instanceof Error ? error.name : "it throws"})`);
	}
}

function encodeBytes(value: unknown, encoding: BytesEncoding): string {
	if (value instanceof Uint8Array) return `\\x${bufferOf(value.buffer, value.byteOffset, value.byteLength).toString("hex")}`;
	if (typeof value === "string") return `\\x${bytesOf(value, encoding).toString("hex")}`;
	throw new BadOutcomeError(`can't take ${kindOf(value)}`);
}

/** Buffer.from silently leaves out characters that are not of its encoding. */
function bytesOf(text: string, encoding: BytesEncoding): Buffer {
	if (encoding === "utf8") return bufferOf(sendableText(text));
	const isWritten =
		encoding === "hex" ? /^(?:[0-9a-f]{2})*$/i.test(text) : /^(?:[\w+/-]{4})*(?:[\w+/-]{2}(?:==)?|[\w+/-]{3}=?)?$/.test(text);
	if (!isWritten) throw new RowFaultError("22023", `is not ${encoding}`);
	return bufferOf(text, encoding);
}

function utf8Text(bytes: Uint8Array): string {
	if (!isUtf8(bytes)) throw new RowFaultError("22021", "holds bytes that are not UTF-8");
	return sendableText(bufferOf(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8"));
}

/** Searches the whole value for numbers that JSON would silently turn into `{}`. */
function holdsLosslessNumbers(value: unknown): boolean {
	if (typeof value !== "object" || value === null) return false;
	if (isLosslessNumber(value)) return true;
	const isPlain = isArray(value) || getPrototypeOf(value) === Object.prototype;
	if (!isPlain && isContainer(value) && typeof (value as { toJSON?: unknown }).toJSON !== "function")
		throw new BadOutcomeError(`can't take ${kindOf(value)}`);
	let holds = false;
	for (const each of valuesOf(value)) if (holdsLosslessNumbers(each)) holds = true;
	return holds;
}
