/** One at a time, in the order in which they asked. */
import { unlessAborted } from "./unless-aborted.ts";

/** See the file's header. */
export class Turn {
	#last: Promise<void> = Promise.resolve();

	/** Resolves when it is the caller's turn, to what ends it; to null where `signal` was aborted before that. */
	async take(signal: AbortSignal): Promise<(() => void) | null> {
		const before = this.#last;
		let end = () => {};
		const ended = new Promise<void>((resolve) => {
			end = resolve;
		});
		this.#last = before.then(() => ended);
		try {
			await unlessAborted(before, signal);
			return end;
		} catch {
			end();
			return null;
		}
	}
}
