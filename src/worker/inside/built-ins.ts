/**
 * Built-in functions as they were before the user's module was loaded. PocKaffe's own code in the handler's thread uses these, because a
 * handler may replace the originals. Methods that arrays and strings inherit can't be kept this way without a cost per value; if a handler
 * breaks those, answer-check.ts finds out by counting.
 */
export const { isArray } = Array;
export const { getPrototypeOf, hasOwn, keys: keysOf, values: valuesOf } = Object;
export const { stringify: jsonOf } = JSON;
export const { isNaN: isNotANumber } = Number;
export const { ceil, max, round } = Math;
export const { from: bufferOf } = Buffer;
/** Any value's text. */
export const textOf = String;
const { apply, ownKeys } = Reflect;
const { join } = Array.prototype;
/** Joins texts. Costs half as much as concatenating them. */
export const joinList = (list: readonly string[], separator: string): string => apply(join, list, [separator]);
const { charCodeAt } = String.prototype;
export const codeAt = (text: string, at: number): number => apply(charCodeAt, text, [at]);
const { latin1Slice } = Buffer.prototype as unknown as { latin1Slice: (start: number, end: number) => string };
/** The first `length` bytes of a buffer as Latin-1 text. */
export const latin1Of = (buffer: Buffer, length: number): string => apply(latin1Slice, buffer, [0, length]);
const [listPrototype, objectPrototype] = [Array.prototype, Object.prototype];

/**
 * True if a handler gave all lists an index to inherit, so that a list would gain or lose a value. Indexes come first among an object's
 * keys.
 */
export function listsInheritIndexes(): boolean {
	return ownKeys(listPrototype)[0] !== "length" || ownKeys(objectPrototype)[0] !== "constructor";
}
