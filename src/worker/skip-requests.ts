/**
 * Messages that somebody wants skipped. A request is decided when the partition's handler has nothing in hand: if the message still waits
 * for the handler, it becomes a letter; if it was handled meanwhile, it is too late.
 */
import type { SkipAnswer } from "../core/messages/skip-outcome.ts";
import type { MessageQueue } from "./message-queue.ts";
import type { FailedAttempt, OutcomeRouter } from "./outcomes/outcome-router.ts";

interface Request {
	readonly why: string;
	readonly answered: (answer: SkipAnswer) => void;
	readonly answer: Promise<SkipAnswer>;
}

/** Open requests to skip messages, by offset. */
export class SkipRequests {
	readonly #open = new Map<number, Request>();

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

	/**
	 * Carries out all requests, or those that are meant; the handler must have nothing in hand. `failed` tells a message's last failed attempt.
	 * Calls `gaveUp` if the skipped message was the next one: skipping a later message says nothing about the messages that fail before it.
	 */
	carryOut(
		queue: MessageQueue,
		router: Pick<OutcomeRouter, "skipByHand">,
		failed: (offset: number) => FailedAttempt | null,
		gaveUp: (offset: number) => void,
		isMeant?: (offset: number) => boolean,
	): void {
		for (const [offset, { why, answered }] of this.#take(isMeant)) {
			const found = queue.find(offset);
			if (found?.isWithheld) queue.requeueOne(found);
			else if (!found?.isQueued) {
				answered(found ? "open" : "finished");
				continue;
			}
			const { held, message } = found;
			const next = queue.next(1);
			const isNext = next?.held === held && next.from === message;
			queue.take({ held, from: message, to: message + 1 });
			router.skipByHand(held, message, why, failed(offset), () => answered("skipped"));
			if (isNext) gaveUp(offset);
		}
	}

	/** Takes requests, to be answered one by one. */
	#take(isMeant: (offset: number) => boolean = () => true): [offset: number, Pick<Request, "why" | "answered">][] {
		const all = [...this.#open].filter(([offset]) => isMeant(offset));
		for (const [offset] of all) this.#open.delete(offset);
		return all;
	}

	/** The worker hands nothing over any more: every open request is answered. */
	release(): void {
		for (const [, { answered }] of this.#take()) answered("released");
	}
}
