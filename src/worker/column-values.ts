/**
 * A handler's values as the text that Postgres casts to the column's type. Pure; one function per type, chosen once per column.
 * What the server will judge better (ranges, dates, uuids) is left to it; what it can't be sent at all is refused here.
 */
import { isUtf8 } from "node:buffer";
import { isLosslessNumber, stringify as losslessStringify } from "lossless-json";
import { BadOutcomeError, isContainer, kindOf, RowFaultError } from "./bad-outcome.ts";
import { bufferOf, getPrototypeOf, isArray, isNotANumber, jsonOf, textOf, valuesOf } from "./built-ins.ts";

/** Makes a value that is not null or undefined into text. Throws BadOutcomeError or RowFaultError, whose message the caller completes. */
export type ValueEncoder = (value: unknown) => string;

/** The encoder of a column type. */
export function encoderOf(type: string): ValueEncoder {
	switch (type.replace(/\(.*/, "")) {
		case "json":
		case "jsonb":
			return encodeJson;
		case "bytea":
			return encodeBytes;
		default:
			return encodeScalar;
	}
}

/** Text that can be sent: no NUL, no lone surrogate (which would silently become another character). */
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

function encodeScalarObject(value: object): string {
	if (value instanceof Date) {
		if (isNotANumber(value.getTime())) throw new BadOutcomeError("can't take an invalid Date");
		return value.toISOString();
	}
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

/** Throws BadOutcomeError for what has no JSON: a cycle, a bigint in a plain object, a toJSON that throws. */
function jsonText(value: unknown): string | undefined {
	try {
		return holdsLosslessNumbers(value) ? losslessStringify(value) : jsonOf(value);
	} catch (error) {
		if (error instanceof BadOutcomeError) throw error;
		throw new BadOutcomeError(`can't take what can't be made JSON (${error instanceof Error ? error.name : "it throws"})`);
	}
}

function encodeBytes(value: unknown): string {
	if (value instanceof Uint8Array) return `\\x${bufferOf(value.buffer, value.byteOffset, value.byteLength).toString("hex")}`;
	if (typeof value === "string") return `\\x${bufferOf(sendableText(value)).toString("hex")}`;
	throw new BadOutcomeError(`can't take ${kindOf(value)}`);
}

function utf8Text(bytes: Uint8Array): string {
	if (!isUtf8(bytes)) throw new RowFaultError("22021", "holds bytes that are not UTF-8");
	return sendableText(bufferOf(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8"));
}

/** Looked through to its end, for what JSON would make `{}` of without a word. */
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
