/** Writes output of any length in bounded memory, by waiting for a slow reader. */
import { once } from "node:events";
import type { Writable } from "node:stream";

/** One line; resolves when there is room for the next. */
export async function printPaced(stream: Writable, line: string): Promise<void> {
	// A reader that went away takes nothing more: nobody waits for it.
	if (!stream.write(`${line}\n`) && !stream.destroyed && stream.writable)
		await Promise.race([once(stream, "drain"), once(stream, "close")]);
}
