/**
 * Built-in functions as they were before the user's module was loaded, for our own code in the handler's thread: a handler may put its
 * own in their place. Methods that lists and texts inherit can't be kept this way without a cost per value: what those break is found by
 * counting (outcome-check.ts).
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
/** A list's texts as one: half of what it costs to put them behind each other. */
export const joinList = (list: readonly string[], separator: string): string => apply(join, list, [separator]);
const { charCodeAt } = String.prototype;
export const codeAt = (text: string, at: number): number => apply(charCodeAt, text, [at]);
const { latin1Slice } = Buffer.prototype as unknown as { latin1Slice: (start: number, end: number) => string };
/** The first bytes of a buffer, one character each. */
export const latin1Of = (buffer: Buffer, length: number): string => apply(latin1Slice, buffer, [0, length]);
const [listPrototype, objectPrototype] = [Array.prototype, Object.prototype];

/** True where a list would get or lose a value by an index that all lists inherit. Indexes come first among an object's keys. */
export function listsInheritIndexes(): boolean {
	return ownKeys(listPrototype)[0] !== "length" || ownKeys(objectPrototype)[0] !== "constructor";
}
