/**
 * Finds where the wanted values of a JSON object lie in its bytes, in one pass that creates no object. Strict: it accepts exactly JSON (RFC
 * 8259), also in parts that nobody wants; only UTF-8 validity is not checked. It gives up if one pass is not enough: escapes in names, a
 * wanted name that comes twice, deep nesting. Its caller then reads the message in the ordinary way. Pure.
 */
import { type Field, type FieldTable, fieldNamed, hashWith, tableOf } from "./field-table.ts";

/** Kinds of values found in a slot. Strings lie between their quotes. */
export const MISSING = 0;
export const NULL = 1;
export const STRING = 2;
/** A string with a backslash. */
export const ESCAPED_STRING = 3;
/** A number, true or false. */
export const LITERAL = 4;
/** A list or object spelled exactly as JSON.stringify would write it. */
export const CONTAINER = 5;
/** A list or object spelled differently. */
const LOOSE_CONTAINER = 6;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const [OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET] = [0x7b, 0x7d, 0x5b, 0x5d];
const [MINUS, PLUS, POINT, ZERO, NINE, UNDERSCORE] = [0x2d, 0x2b, 0x2e, 0x30, 0x39, 0x5f];
const [SMALL_E, LARGE_E, SMALL_N, SMALL_T, SMALL_F, SMALL_U] = [0x65, 0x45, 0x6e, 0x74, 0x66, 0x75];

/** The highest bit of each of four bytes. */
const HIGH_BITS = 0x80808080;

/** Maximum levels of nesting below the object. */
const DEEPEST = 64;
/** Maximum names of one object that are compared with each other, and of all objects around one. */
const MOST_NAMES = 64;

/** 1: a byte that ends or changes a string: quote, backslash, control characters. */
const ends = Uint8Array.from({ length: 256 }, (_, byte) => (byte < 0x20 || byte === QUOTE || byte === BACKSLASH ? 1 : 0));
/** 1: may follow a backslash. 2: and JSON.stringify writes it like this. */
const escapes = new Uint8Array(256);
for (const each of '"\\bfnrt') escapes[each.charCodeAt(0)] = 2;
escapes["/".charCodeAt(0)] = 1;
const hexDigits = Uint8Array.from({ length: 256 }, (_, byte) => (/[\da-fA-F]/.test(String.fromCharCode(byte)) ? 1 : 0));

/** Finds the wanted values of a JSON object in its bytes. One for many messages: `scan`, then look at the slots. */
export class JsonScanner {
	/** The kind of value in each slot. */
	readonly kinds: Uint8Array;
	readonly starts: Int32Array;
	/** The index after each value's last byte. */
	readonly stops: Int32Array;
	/** 1: the value holds bytes that are not ASCII. */
	readonly wide: Uint8Array;
	/** True if the whole message holds bytes that are not ASCII. */
	isWide = false;
	/** The object has a name that is not wanted. */
	hasStranger = false;
	/** The object has a wanted name. */
	hasWanted = false;
	readonly #root: FieldTable;
	#bytes: Uint8Array = new Uint8Array(0);
	#view: DataView = new DataView(new ArrayBuffer(0));
	#end = 0;
	#message = 0;
	/** Bitwise or of all string bytes since it was last set to 0. */
	#seen = 0;
	#hasEscape = false;
	/** The container is spelled as JSON.stringify would write it. */
	#isStrict = false;
	#hash = 0;
	readonly #names = new Int32Array(DEEPEST * MOST_NAMES);
	#nameCount = 0;

	/** `paths[i]` is the path of slot i's value; no two are the same. */
	constructor(paths: readonly (readonly string[])[]) {
		this.kinds = new Uint8Array(paths.length);
		this.starts = new Int32Array(paths.length);
		this.stops = new Int32Array(paths.length);
		this.wide = new Uint8Array(paths.length);
		this.#root = tableOf(paths.map((path, slot) => ({ path, slot })));
	}

	/** Notes the values of the object in bytes `start` to `end` (excluded). False: it gave up, and the slots mean nothing. */
	scan(bytes: Uint8Array, start: number, end: number): boolean {
		if (bytes !== this.#bytes) this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
		this.#bytes = bytes;
		this.#end = end;
		this.#message = (this.#message + 1) | 0;
		this.kinds.fill(MISSING);
		this.hasStranger = false;
		this.hasWanted = false;
		this.#seen = 0;
		const open = this.#behindSpace(start);
		if (open >= end || bytes[open] !== OPEN_BRACE) return false;
		const close = this.#fields(open + 1, this.#root, true);
		if (close < 0 || this.#behindSpace(close) !== end) return false;
		this.isWide = this.#seen >= 0x80;
		return true;
	}

	/** Releases the message's bytes. */
	forget(): void {
		this.#bytes = new Uint8Array(0);
		this.#view = new DataView(new ArrayBuffer(0));
	}

	/** Reads the object after its opening brace. Like all reading methods, returns the index where it ends, or -1 if it gave up. */
	#fields(start: number, table: FieldTable, isRoot: boolean): number {
		const bytes = this.#bytes;
		let at = this.#behindSpace(start);
		if (at < this.#end && bytes[at] === CLOSE_BRACE) return at + 1;
		for (;;) {
			if (at >= this.#end || bytes[at] !== QUOTE) return -1;
			const stop = this.#name(at + 1);
			if (stop < 0) return -1;
			const field = fieldNamed(table, bytes, at + 1, stop, this.#hash);
			at = this.#behindColon(stop + 1);
			if (at < 0) return -1;
			if (field === null) {
				this.hasStranger ||= isRoot;
				at = this.#value(at, 0);
			} else {
				this.hasWanted = true;
				at = this.#field(at, field);
			}
			if (at < 0) return -1;
			at = this.#behindSpace(at);
			if (at >= this.#end) return -1;
			const byte = bytes[at];
			if (byte === CLOSE_BRACE) return at + 1;
			if (byte !== COMMA) return -1;
			at = this.#behindSpace(at + 1);
		}
	}

	/** The value of a wanted field, noted. */
	#field(at: number, field: Field): number {
		if (field.seen === this.#message) return -1;
		field.seen = this.#message;
		const { slot, fields } = field;
		const stop = slot < 0 ? at : this.#noted(at, slot);
		if (fields === null || stop < 0) return stop;
		const first = this.#bytes[at] as number;
		if (first === OPEN_BRACE) return this.#fields(at + 1, fields, false);
		// In a list or number the handler could find something by an odd name (`length`), so give up. In other values it finds nothing.
		if (first !== QUOTE && first !== SMALL_N && first !== SMALL_T && first !== SMALL_F) return -1;
		return slot < 0 ? this.#value(at, 0) : stop;
	}

	#noted(at: number, slot: number): number {
		const seenBefore = this.#seen;
		this.#seen = 0;
		this.#hasEscape = false;
		this.#isStrict = true;
		this.#nameCount = 0;
		const stop = this.#value(at, 0);
		if (stop < 0) return stop;
		const isWide = this.#seen >= 0x80;
		this.#seen |= seenBefore;
		const first = this.#bytes[at] as number;
		const isString = first === QUOTE;
		this.starts[slot] = isString ? at + 1 : at;
		this.stops[slot] = isString ? stop - 1 : stop;
		this.wide[slot] = isWide ? 1 : 0;
		if (isString) this.kinds[slot] = this.#hasEscape ? ESCAPED_STRING : STRING;
		else if (first === OPEN_BRACE || first === OPEN_BRACKET) this.kinds[slot] = this.#isStrict ? CONTAINER : LOOSE_CONTAINER;
		else this.kinds[slot] = first === SMALL_N ? NULL : LITERAL;
		return stop;
	}

	#value(at: number, depth: number): number {
		if (at >= this.#end) return -1;
		const first = this.#bytes[at] as number;
		switch (first) {
			case QUOTE:
				return this.#string(at + 1);
			case OPEN_BRACE:
				return depth === DEEPEST ? -1 : this.#object(at + 1, depth);
			case OPEN_BRACKET:
				return depth === DEEPEST ? -1 : this.#list(at + 1, depth);
			case SMALL_T:
				return this.#word(at, 0x72, 0x75, SMALL_E);
			case SMALL_N:
				return this.#word(at, SMALL_U, 0x6c, 0x6c);
			case SMALL_F:
				return at + 1 < this.#end && this.#bytes[at + 1] === 0x61 ? this.#word(at + 1, 0x6c, 0x73, SMALL_E) : -1;
			default:
				return this.#number(at);
		}
	}

	/** Reads a string after its opening quote; returns the index after its closing quote. */
	#string(start: number): number {
		const bytes = this.#bytes;
		const end = this.#end;
		let seen = 0;
		let at = start;
		for (;;) {
			at = this.#behindPlain(at);
			while (at < end && ends[bytes[at] as number] === 0) seen |= bytes[at++] as number;
			if (at >= end) return -1;
			const byte = bytes[at];
			if (byte === QUOTE) break;
			if (byte !== BACKSLASH || at + 1 >= end) return -1;
			this.#hasEscape = true;
			const escaped = bytes[at + 1] as number;
			if (escaped === SMALL_U) {
				this.#isStrict = false;
				if (at + 5 >= end) return -1;
				for (let digit = at + 2; digit < at + 6; digit++) if (hexDigits[bytes[digit] as number] === 0) return -1;
				at += 6;
			} else {
				if (escapes[escaped] === 0) return -1;
				if (escapes[escaped] === 1) this.#isStrict = false;
				at += 2;
			}
		}
		this.#seen |= seen;
		return at + 1;
	}

	/** Skips four bytes at a time while none of them ends or changes a string: halves the time for a long text. */
	#behindPlain(start: number): number {
		const view = this.#view;
		const last = this.#end - 4;
		let wide = 0;
		let at = start;
		for (; at <= last; at += 4) {
			const word = view.getInt32(at, true);
			const quotes = word ^ 0x22222222;
			const slashes = word ^ 0x5c5c5c5c;
			const controls = (word - 0x20202020) & ~word;
			// Sets the high bit of every byte that is special (a control character, quote or backslash), and perhaps of bytes above it.
			if (((controls | ((quotes - 0x01010101) & ~quotes) | ((slashes - 0x01010101) & ~slashes)) & HIGH_BITS) !== 0) break;
			wide |= word;
		}
		if ((wide & HIGH_BITS) !== 0) this.#seen |= 0x80;
		return at;
	}

	/** Reads a name after its opening quote; returns the index of its closing quote, and leaves its hash. */
	#name(start: number): number {
		const bytes = this.#bytes;
		const end = this.#end;
		let at = start;
		let hash = 0;
		let seen = 0;
		while (at < end && ends[bytes[at] as number] === 0) {
			const byte = bytes[at++] as number;
			hash = hashWith(hash, byte);
			seen |= byte;
		}
		this.#seen |= seen;
		this.#hash = hash;
		return at < end && bytes[at] === QUOTE ? at : -1;
	}

	#number(start: number): number {
		const bytes = this.#bytes;
		const end = this.#end;
		let at = start;
		if (bytes[at] === MINUS) at++;
		if (at < end && bytes[at] === ZERO) at++;
		else {
			at = this.#behindDigits(at);
			if (at < 0) return -1;
		}
		if (at < end && bytes[at] === POINT) {
			at = this.#behindDigits(at + 1);
			if (at < 0) return -1;
		}
		if (at < end && (bytes[at] === SMALL_E || bytes[at] === LARGE_E)) {
			at++;
			if (at < end && (bytes[at] === MINUS || bytes[at] === PLUS)) at++;
			return this.#behindDigits(at);
		}
		return at;
	}

	/** Skips digits; at least one has to be there. */
	#behindDigits(start: number): number {
		const bytes = this.#bytes;
		const end = this.#end;
		let at = start;
		while (at < end && (bytes[at] as number) >= ZERO && (bytes[at] as number) <= NINE) at++;
		return at === start ? -1 : at;
	}

	#word(at: number, second: number, third: number, fourth: number): number {
		const bytes = this.#bytes;
		if (at + 4 > this.#end) return -1;
		return bytes[at + 1] === second && bytes[at + 2] === third && bytes[at + 3] === fourth ? at + 4 : -1;
	}

	#object(start: number, depth: number): number {
		const bytes = this.#bytes;
		const firstName = this.#nameCount;
		let at = this.#behindSpace(start);
		if (at !== start) this.#isStrict = false;
		if (at < this.#end && bytes[at] === CLOSE_BRACE) return at + 1;
		for (;;) {
			if (at >= this.#end || bytes[at] !== QUOTE) return -1;
			// Only a name that is wanted nowhere may have escapes.
			const stop = this.#name(at + 1);
			if (stop < 0) return -1;
			if (this.#isStrict) this.#isStrict = this.#isPlainName(at + 1, stop, firstName);
			const value = this.#behindColon(stop + 1);
			if (value < 0) return -1;
			if (value !== stop + 2) this.#isStrict = false;
			const behind = this.#value(value, depth + 1);
			if (behind < 0) return -1;
			at = this.#behindSpace(behind);
			if (at >= this.#end) return -1;
			const byte = bytes[at];
			if (at !== behind) this.#isStrict = false;
			if (byte === CLOSE_BRACE) {
				this.#nameCount = firstName;
				return at + 1;
			}
			if (byte !== COMMA) return -1;
			const next = this.#behindSpace(at + 1);
			if (next !== at + 1) this.#isStrict = false;
			at = next;
		}
	}

	/** True if the name keeps its place in a JavaScript object: it is not a number, which would come first, and not a repeated name. */
	#isPlainName(start: number, stop: number, firstName: number): boolean {
		const first = this.#bytes[start] as number;
		if ((first >= ZERO && first <= NINE) || (first === UNDERSCORE && this.#bytes[start + 1] === UNDERSCORE)) return false;
		if (this.#nameCount - firstName === MOST_NAMES || this.#nameCount === this.#names.length) return false;
		const hash = this.#hash ^ (stop - start);
		for (let i = firstName; i < this.#nameCount; i++) if (this.#names[i] === hash) return false;
		this.#names[this.#nameCount++] = hash;
		return true;
	}

	#list(start: number, depth: number): number {
		const bytes = this.#bytes;
		let at = this.#behindSpace(start);
		if (at !== start) this.#isStrict = false;
		if (at < this.#end && bytes[at] === CLOSE_BRACKET) return at + 1;
		for (;;) {
			const behind = this.#value(at, depth + 1);
			if (behind < 0) return -1;
			at = this.#behindSpace(behind);
			if (at >= this.#end) return -1;
			const byte = bytes[at];
			if (at !== behind) this.#isStrict = false;
			if (byte === CLOSE_BRACKET) return at + 1;
			if (byte !== COMMA) return -1;
			const next = this.#behindSpace(at + 1);
			if (next !== at + 1) this.#isStrict = false;
			at = next;
		}
	}

	#behindSpace(start: number): number {
		const bytes = this.#bytes;
		let at = start;
		while (at < this.#end) {
			const byte = bytes[at] as number;
			if (byte > 0x20 || (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09)) break;
			at++;
		}
		return at;
	}

	/** Skips from the end of a name to its value. */
	#behindColon(start: number): number {
		const at = this.#behindSpace(start);
		return at < this.#end && this.#bytes[at] === COLON ? this.#behindSpace(at + 1) : -1;
	}
}
