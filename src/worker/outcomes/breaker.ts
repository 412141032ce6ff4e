/**
 * Decides whether one more dead letter may be made. If a partition dead-letters too large a share of its messages, or too many in a row,
 * then a handler, a schema or a producer is wrong, and its messages are better kept where they are. Pure: the caller passes the time.
 *
 *    closed -> open (letters are withheld) -> trial (one message decides) -> closed | open
 *
 * Modelled on Arroyo's dead-letter policy. Beside a message's way (docs/architecture.md).
 */

/** `deadLetters.breaker` of the configuration. */
export interface BreakerLimits {
	/** Share of the period's messages that may become dead letters; more opens the breaker. 1 disables this check. */
	readonly share: number;
	/** Minimum messages in the period before the share is checked. */
	readonly minMessages: number;
	readonly withinMs: number;
	/** Consecutive dead letters that open the breaker; 0 disables this check. */
	readonly consecutive: number;
}

interface Slice {
	readonly since: number;
	messages: number;
	letters: number;
}

/** The period has this many slices: messages older than the period drop out a tenth of it at a time. */
const SLICES = 10;

/** The breaker of a partition. One per partition. */
export class Breaker {
	readonly #limits: BreakerLimits;
	#slices: Slice[] = [];
	#inARow = 0;
	#state: "closed" | "open" | "trial" = "closed";
	#reason: string | null = null;

	constructor(limits: BreakerLimits) {
		this.#limits = limits;
	}

	/** Why the breaker is open; null while it is closed. */
	get reason(): string | null {
		return this.#state === "open" ? this.#reason : null;
	}

	/** True while one message decides whether the breaker stays open. */
	get onTrial(): boolean {
		return this.#state === "trial";
	}

	/** Messages were finished without a dead letter. */
	passed(count: number, nowMs: number): void {
		if (count === 0 || this.#state === "open") return;
		if (this.#state === "trial") this.#close();
		this.#inARow = 0;
		this.#slice(nowMs).messages += count;
	}

	/** A message is about to become a dead letter at `nowMs` (monotonic). False if the letter must be withheld instead. */
	admits(nowMs: number): boolean {
		if (this.#state === "open") return false;
		const why = this.#state === "trial" ? this.#reason : this.#tooMany(nowMs);
		if (why !== null) {
			this.#state = "open";
			this.#reason = why;
			return false;
		}
		const slice = this.#slice(nowMs);
		slice.messages++;
		slice.letters++;
		this.#inARow++;
		return true;
	}

	/** A changed file or a person starts a trial: one message decides. */
	tryAgain(): void {
		if (this.#state === "open") this.#state = "trial";
	}

	#tooMany(nowMs: number): string | null {
		const { share, minMessages, withinMs, consecutive } = this.#limits;
		if (consecutive > 0 && this.#inARow + 1 >= consecutive) return `breaker: ${consecutive} dead letters in a row`;
		this.#slice(nowMs);
		let [messages, letters] = [1, 1];
		for (const slice of this.#slices) {
			messages += slice.messages;
			letters += slice.letters;
		}
		if (messages < minMessages || letters / messages <= share) return null;
		return `breaker: ${letters} of the last ${messages} messages would be dead letters within ${withinMs} ms`;
	}

	#close(): void {
		this.#state = "closed";
		this.#reason = null;
		this.#slices = [];
	}

	/** The current slice. Slices that left the period are dropped. */
	#slice(nowMs: number): Slice {
		const { withinMs } = this.#limits;
		this.#slices = this.#slices.filter(({ since }) => nowMs - since < withinMs);
		const last = this.#slices.at(-1);
		if (last && nowMs - last.since < withinMs / SLICES) return last;
		const slice = { since: nowMs, messages: 0, letters: 0 };
		this.#slices.push(slice);
		return slice;
	}
}
