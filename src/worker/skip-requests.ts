/**
 * Messages that somebody wants skipped. A request is decided when the partition's handler has nothing in hand: if the message still waits
 * for the handler, it becomes a letter; if it was handled meanwhile, it is too late.
 */
import type { SkipAnswer } from "../core/messages/skip-outcome.ts";

interface Request {
	readonly why: string;
	readonly answered: (answer: SkipAnswer) => void;
	readonly answer: Promise<SkipAnswer>;
}

/** Open requests to skip messages, by offset. */
export class SkipRequests {
	readonly #open = new Map<number, Request>();

	get size(): number {
		return this.#open.size;
	}

	/** Two requests for the same message are one. */
	ask(offset: number, why: string): Promise<SkipAnswer> {
		let request = this.#open.get(offset);
		if (!request) {
			let answered: (answer: SkipAnswer) => void = () => {};
			const answer = new Promise<SkipAnswer>((resolve) => {
				answered = resolve;
			});
			request = { why, answered, answer };
			this.#open.set(offset, request);
		}
		return request.answer;
	}

	has(offset: number): boolean {
		return this.#open.has(offset);
	}

	/** Takes all requests, to be answered one by one. */
	take(): [offset: number, Pick<Request, "why" | "answered">][] {
		const all = [...this.#open];
		this.#open.clear();
		return all;
	}

	/** The worker hands nothing over any more: every open request is answered. */
	release(): void {
		for (const [, { answered }] of this.take()) answered("released");
	}
}
