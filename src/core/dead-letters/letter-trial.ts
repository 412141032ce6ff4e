/**
 * Makes a letter fit into a target that may refuse it for its size. It is tried whole, then without its largest part, and so on. If the
 * size turns out not to be the cause, it is tried whole again. Pure.
 */
import type { DeadLetter } from "./dead-letter.ts";
import { contentBytes, withoutLargestPart } from "./omitted-parts.ts";

/** For messages of at least this size, other refusals may also mean that they are too large: a timeout, no memory. */
const LARGE_BYTES = 2 ** 20;
/** Parts up to this size stay. */
const SMALL_BYTES = 256;
/** So often in a row a large letter may be refused for an unclear reason before a part is left out. */
const REFUSALS = 3;

/** Decides which parts of a letter to leave out after the target found it too large. */
export class LetterTrial {
	readonly letter: DeadLetter;
	readonly isLarge: boolean;
	#next: DeadLetter;
	#refusals = 0;

	constructor(letter: DeadLetter) {
		this.letter = letter;
		this.isLarge = contentBytes(letter) > LARGE_BYTES;
		this.#next = letter;
	}

	/** The letter to try next. */
	get next(): DeadLetter {
		return this.#next;
	}

	/** True while a part of the message is left out. */
	get isCut(): boolean {
		return this.#next !== this.letter;
	}

	/** The target said, or may have meant, that the letter is too large. False if nothing more can be left out. */
	tooLarge(isCertain: boolean): boolean {
		this.#refusals++;
		if (!isCertain && (!this.isLarge || this.#refusals < REFUSALS)) return true;
		const lighter = withoutLargestPart(this.#next, isCertain ? SMALL_BYTES : LARGE_BYTES);
		if (lighter) this.#next = lighter;
		else this.failed();
		return lighter !== null;
	}

	/** It failed for another reason: try the whole letter again. */
	failed(): void {
		this.#refusals = 0;
		this.#next = this.letter;
	}
}
