/**
 * The messages that one `finishedTo` finishes. They stay open until all rows of the same answer are durable, whichever message the rows
 * belong to. A handler may make these rows from messages that it kept in its state: if the offset were committed earlier and the process
 * died, nobody could make the rows again.
 *
 * Step 6 of a message's way (docs/architecture.md).
 */
import type { HeldMessage } from "../message-queue.ts";

/** Finishes messages once the rows of the same answer are durable. One per answer with a `finishedTo`. */
export class FinishedTogether {
	/** Index in the batch of the answer's first message. */
	readonly #from: number;
	readonly #messages: readonly HeldMessage[];
	readonly #close: (message: HeldMessage) => void;
	/** Outstanding rows and records, and 1 until the answer is routed. */
	#open: number;

	/** `rows`: number of rows and records of the answer's messages. */
	constructor(parts: { from: number; rows: number; messages: readonly HeldMessage[]; close: (message: HeldMessage) => void }) {
		this.#from = parts.from;
		this.#messages = parts.messages;
		this.#close = parts.close;
		this.#open = parts.rows + 1;
	}

	/** The whole answer is routed. */
	routed(): void {
		this.#closed();
	}

	/** A row of a message is durable or never will be. Rows of calls before this answer, in the same run, do not belong to it. */
	settled(message: number): void {
		if (message >= this.#from) this.#closed();
	}

	/** The messages whose rows may be among those of `message`. */
	with(message: number): readonly HeldMessage[] {
		return message >= this.#from ? this.#messages : [];
	}

	#closed(): void {
		this.#open--;
		if (this.#open === 0) for (const message of this.#messages) this.#close(message);
	}
}
