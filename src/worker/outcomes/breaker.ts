/**
 * Whether one more dead letter may be made: a partition that dead-letters too large a share of its messages, or too many in a row, has
 * a handler, a schema or a producer that is wrong, and its messages are better kept where they are. Pure: asked with the time.
 *
 *   closed -> open (letters are withheld) -> trial (one message decides) -> closed | open
 *
 * Modelled on Arroyo's dead-letter policy. A side way of a message's way (docs/architecture.md).
 */

/** `deadLetters.breaker` of the configuration. */
export interface BreakerLimits {
	/** More than this share of the messages of the period; 1: never by share. */
	readonly share: number;
	/** Messages of the period from which the share counts. */
	readonly minMessages: number;
	readonly withinMs: number;
	/** So many in a row; 0: never by a row. */
	readonly consecutive: number;
}

interface Slice {
	readonly since: number;
	messages: number;
	letters: number;
}

/** Pieces of the period: what is older than the period leaves it in steps of a tenth. */
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

	/** Why it is open; null while it isn't. */
	get reason(): string | null {
		return this.#state === "open" ? this.#reason : null;
	}

	/** True while the next message decides alone. */
	get onTrial(): boolean {
		return this.#state === "trial";
	}

	/** Messages went through without a letter. */
	passed(count: number, nowMs: number): void {
		if (count === 0 || this.#state === "open") return;
		if (this.#state === "trial") this.#close();
		this.#inARow = 0;
		this.#slice(nowMs).messages += count;
	}

	/** A message is to become a dead letter at `nowMs` (monotonic): false where it must be withheld instead. */
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

	/** A changed file or a person lets one message decide. */
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

	/** The slice of now; those that left the period are forgotten. */
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
