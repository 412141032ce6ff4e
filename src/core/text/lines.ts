/**
 * Text by lines, which end at `\n` and nowhere else. `node:readline` also splits at a lone `\r` and, in later versions of Node, at U+2028
 * and U+2029, which JSON leaves in its strings as they are.
 */
import { StringDecoder } from "node:string_decoder";

/** The lines of UTF-8 bytes (or of text), without their ends; what follows the last end is a line unless it is empty. */
export async function* readLines(stream: AsyncIterable<Uint8Array | string>): AsyncGenerator<string> {
	const decoder = new StringDecoder("utf8");
	// A line of many pieces is put together once.
	let pieces: string[] = [];
	for await (const chunk of stream) {
		const text = typeof chunk === "string" ? chunk : decoder.write(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
		let from = 0;
		for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", from)) {
			const last = text.slice(from, end);
			yield pieces.length === 0 ? last : pieces.join("") + last;
			pieces = [];
			from = end + 1;
		}
		if (from < text.length) pieces.push(text.slice(from));
	}
	pieces.push(decoder.end());
	const rest = pieces.join("");
	if (rest !== "") yield rest;
}
