/** The errors of making rows: something is wrong with the handler's outcome (a failed attempt), or with one row (a dead letter). */
import { types } from "node:util";
import { isArray, keysOf } from "../built-ins.ts";

/** What the handler returned breaks the contract. The message says what it was, never a value. */
export class BadOutcomeError extends Error {
	constructor(message: string) {
		super(message);
		this.name = "BadOutcomeError";
	}
}

/** This row can never be written to its table. Found before the server would refuse it, with the SQLSTATE that the server would give. */
export class RowFaultError extends Error {
	readonly sqlstate: string;
	constructor(sqlstate: string, message: string) {
		super(message);
		this.name = "RowFaultError";
		this.sqlstate = sqlstate;
	}
}

/** Describes a value for people: `a string`, `an object with keys a, b`, `a list of 3`. Never the value itself. */
export function kindOf(value: unknown): string {
	if (value === null) return "null";
	if (isArray(value)) return `a list of ${value.length}`;
	if (value instanceof Date) return "a Date";
	if (value instanceof Uint8Array) return "bytes";
	if (typeof value !== "object") return value === undefined ? "undefined" : `a ${typeof value}`;
	if (types.isPromise(value)) return "a Promise: is an await missing?";
	if (types.isNativeError(value)) return "an Error: are its message or stack meant?";
	if (isContainer(value)) return `a ${Object.prototype.toString.call(value).slice(8, -1)}`;
	const keys = keysOf(value).slice(0, 5);
	return keys.length === 0 ? "an object without keys" : `an object with ${keys.join(", ")}`;
}

/** True for objects that hold their values elsewhere than in properties (a Map, for example): read as an object they would be empty. */
export function isContainer(value: object): boolean {
	const { isPromise, isMap, isSet, isWeakMap, isWeakSet, isRegExp, isNativeError, isAnyArrayBuffer } = types;
	if (isPromise(value) || isMap(value) || isSet(value) || isAnyArrayBuffer(value) || ArrayBuffer.isView(value)) return true;
	return isNativeError(value) || isRegExp(value) || isWeakMap(value) || isWeakSet(value);
}
