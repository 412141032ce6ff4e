/**
 * A lock with shared and exclusive turns, first come first served: an exclusive turn waits for all that asked before it, a shared one only
 * for exclusive ones.
 */
import { unlessAborted } from "./unless-aborted.ts";

/** Shared or exclusive turns, in the order in which they were asked for. */
export class Turn {
	/** Resolves when the last exclusive turn has ended. */
	#loners: Promise<unknown> = Promise.resolve();
	/** Resolves when all turns have ended. */
	#everybody: Promise<unknown> = Promise.resolve();

	/** Resolves when the caller has an exclusive turn, to the function that ends it; to null if `signal` was aborted before that. */
	alone(signal: AbortSignal): Promise<(() => void) | null> {
		const [before, turn] = [this.#everybody, newTurn()];
		this.#everybody = before.then(() => turn.ended);
		this.#loners = this.#everybody;
		return turn.begin(before, signal);
	}

	/** Resolves when the caller has a shared turn, to the function that ends it; to null if `signal` was aborted before that. */
	together(signal: AbortSignal): Promise<(() => void) | null> {
		const turn = newTurn();
		this.#everybody = Promise.all([this.#everybody, turn.ended]);
		return turn.begin(this.#loners, signal);
	}
}

function newTurn() {
	let end = () => {};
	const ended = new Promise<void>((resolve) => {
		end = resolve;
	});
	const begin = async (before: Promise<unknown>, signal: AbortSignal) => {
		try {
			await unlessAborted(before, signal);
			return end;
		} catch {
			end();
			return null;
		}
	};
	return { ended, begin };
}
