/**
 * The parts that a letter leaves out if its target can't take it whole, the largest first. Of such a part only size and hash are kept. It
 * can be read from the log as long as the log has it.
 */
import { createHash } from "node:crypto";
import type { Header } from "../messages/message.ts";

/** A part of a message that may be left out. */
export type LetterPart = "key" | "value" | "headers";

/** A part that was left out. `sha256` in hexadecimal, of the bytes; for headers of their JSON with values in base64. */
export interface OmittedPart {
	readonly bytes: number;
	readonly sha256: string;
}

/** By part; empty if the letter is complete. */
export type OmittedParts = Readonly<Partial<Record<LetterPart, OmittedPart>>>;

/** The parts of a message. */
interface Content {
	readonly key: Buffer | null;
	readonly value: Buffer | null;
	readonly headers: readonly Header[];
}

const parts: readonly LetterPart[] = ["value", "key", "headers"];

/** Bytes of a part in the message; headers with their names. */
export function partBytes({ key, value, headers }: Content, part: LetterPart): number {
	if (part === "headers") return headers.reduce((sum, [name, content]) => sum + Buffer.byteLength(name) + (content?.length ?? 0), 0);
	return (part === "key" ? key : value)?.length ?? 0;
}

/** Bytes of the whole message. */
export function contentBytes(content: Content): number {
	return parts.reduce((sum, part) => sum + partBytes(content, part), 0);
}

/** The letter without its largest part; null if no part has more than `smallest` bytes. */
export function withoutLargestPart<T extends Content & { readonly omitted: OmittedParts }>(letter: T, smallest: number): T | null {
	const [bytes, part] = parts.map((each) => [partBytes(letter, each), each] as const).reduce((a, b) => (b[0] > a[0] ? b : a));
	if (bytes <= smallest) return null;
	const empty = part === "headers" ? { headers: [] } : { [part]: null };
	return { ...letter, ...empty, omitted: { ...letter.omitted, [part]: { bytes, sha256: hashOf(letter, part) } } };
}

/** For people, e.g. `value (20971520 bytes, SHA-256 ab…)`. */
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
