/** Bytes of a message for people and for JSON: UTF-8 as text, other bytes as {base64}, null as null. */
import { isUtf8 } from "node:buffer";

export function shownBytes(bytes: Buffer | null): string | null | { base64: string } {
	if (bytes === null) return null;
	return isUtf8(bytes) ? bytes.toString("utf8") : { base64: bytes.toString("base64") };
}
