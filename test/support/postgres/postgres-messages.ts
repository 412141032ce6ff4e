/** The protocol's messages in bytes, as far as the Postgres by script speaks it (scripted-postgres.ts). */

/** A value of a row: booleans and numbers have their own types, everything else is text. */
export type Value = string | number | boolean | null;

export function message(letter: string, ...parts: readonly (Buffer | string)[]): Buffer {
	const body = Buffer.concat(parts.map((part) => Buffer.from(part as string)));
	return Buffer.concat([Buffer.from(letter), int32(body.length + 4), body]);
}

export function errorFields(severity: string, code: string, words: string): Buffer {
	return Buffer.concat([zeroed(`S${severity}`), zeroed(`V${severity}`), zeroed(`C${code}`), zeroed(`M${words}`), Buffer.from([0])]);
}

export function textsOf(body: Buffer): string[] {
	return body.toString("utf8").split("\0");
}

export function typeOf(value: Value): number {
	if (typeof value === "boolean") return 16;
	return typeof value === "number" ? 23 : 25;
}

export function fieldOf(value: Value): Buffer {
	if (value === null) return int32(-1);
	const bytes = Buffer.from(typeof value === "boolean" ? (value ? "t" : "f") : `${value}`);
	return Buffer.concat([int32(bytes.length), bytes]);
}

export function zeroed(text: string): Buffer {
	return Buffer.from(`${text}\0`);
}

export function int16(value: number): Buffer {
	const bytes = Buffer.alloc(2);
	bytes.writeInt16BE(value);
	return bytes;
}

export function int32(value: number): Buffer {
	const bytes = Buffer.alloc(4);
	bytes.writeInt32BE(value);
	return bytes;
}
