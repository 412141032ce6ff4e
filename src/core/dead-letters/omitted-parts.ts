/**
 * What a letter does without where its target can't take it whole: a part of the message is kept as its size and hash, and can be had from
 * the log as long as that holds it. The largest part goes first.
 */
import { createHash } from "node:crypto";
import type { Header } from "../messages/message.ts";

/** A part of a message that may be left out. */
export type LetterPart = "key" | "value" | "headers";

/** What was left out; `sha256` in hexadecimal, of the bytes, and of headers as JSON with values in base64. */
export interface OmittedPart {
	readonly bytes: number;
	readonly sha256: string;
}

/** By part; empty where the letter is whole. */
export type OmittedParts = Readonly<Partial<Record<LetterPart, OmittedPart>>>;

/** The parts of a message. */
interface Content {
	readonly key: Buffer | null;
	readonly value: Buffer | null;
	readonly headers: readonly Header[];
}

const parts: readonly LetterPart[] = ["value", "key", "headers"];

/** Bytes of a part as it is in the message; headers with their names. */
export function partBytes({ key, value, headers }: Content, part: LetterPart): number {
	if (part === "headers") return headers.reduce((sum, [name, content]) => sum + Buffer.byteLength(name) + (content?.length ?? 0), 0);
	return (part === "key" ? key : value)?.length ?? 0;
}

/** Bytes of the whole message. */
export function contentBytes(content: Content): number {
	return parts.reduce((sum, part) => sum + partBytes(content, part), 0);
}

/** The letter without its largest part; null where none has more than `smallest` bytes. */
export function withoutLargestPart<T extends Content & { readonly omitted: OmittedParts }>(letter: T, smallest: number): T | null {
	const [bytes, part] = parts.map((each) => [partBytes(letter, each), each] as const).reduce((a, b) => (b[0] > a[0] ? b : a));
	if (bytes <= smallest) return null;
	const empty = part === "headers" ? { headers: [] } : { [part]: null };
	return { ...letter, ...empty, omitted: { ...letter.omitted, [part]: { bytes, sha256: hashOf(letter, part) } } };
}

/** True where this message's part is what was left out. */
export function isOmitted(content: Content, part: LetterPart, { bytes, sha256 }: OmittedPart): boolean {
	return partBytes(content, part) === bytes && hashOf(content, part) === sha256;
}

/** For people: `value (20971520 bytes, SHA-256 ab…)`. */
export function omittedText(omitted: OmittedParts): string {
	return Object.entries(omitted)
		.map(([part, { bytes, sha256 }]) => `${part} (${bytes} bytes, SHA-256 ${sha256})`)
		.join(", ");
}

function hashOf({ key, value, headers }: Content, part: LetterPart): string {
	const hash = createHash("sha256");
	if (part === "headers")
		return hash.update(JSON.stringify(headers.map(([name, content]) => [name, content?.toString("base64") ?? null]))).digest("hex");
	return hash.update((part === "key" ? key : value) ?? "").digest("hex");
}
