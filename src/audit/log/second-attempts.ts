/**
 * Second attempts of messages that failed, so that no message counts as failed because of what earlier ones left in the thread (memory,
 * above all). The failed messages of a partition share a new thread. Those that fail there after others go into the next thread, twice as
 * many as succeeded. If none succeeds, each gets a thread of its own. A message is reported as failed if it failed again as the first of
 * its thread, or if many have failed alone before it.
 */
import type { DeadLetter } from "../../core/dead-letters/dead-letter.ts";
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import type { VerifyingWorker, VerifyingWorkerParts } from "./verifying-worker.ts";

/** Kept at most, and their bytes; then they are tried. */
const MAX_HELD = { messages: 1_000, bytes: 16 * 1024 * 1024 };
/** So many in a row that fail alone, too, and the others are believed: a thread for each of thousands takes minutes. */
const MAX_ALONE = 50;

/** What they are tried with. */
export interface SecondAttemptParts {
	readonly createWorker: (partition: TopicPartition, over: Partial<VerifyingWorkerParts>) => VerifyingWorker;
	/** Resolves once it holds; rejects where that is no use any more. */
	readonly until: (holds: () => boolean) => Promise<void>;
	readonly isAborted: () => boolean;
	readonly failed: (letter: DeadLetter) => void;
}

/** Tries failed messages again, in new threads. */
export class SecondAttempts {
	readonly #parts: SecondAttemptParts;
	readonly #held = new Map<string, DeadLetter[]>();
	#messages = 0;
	#bytes = 0;
	#aloneInVain = 0;

	constructor(parts: SecondAttemptParts) {
		this.#parts = parts;
	}

	/** So many are held that they should be tried before more come. */
	get isFull(): boolean {
		return this.#messages >= MAX_HELD.messages || this.#bytes >= MAX_HELD.bytes;
	}

	/** A message that failed. What the handler rejects it would reject again. */
	add(letter: DeadLetter): void {
		if (letter.reason === "rejected" || letter.reason === "row_fault") {
			this.#parts.failed(letter);
			return;
		}
		const own = withOwnBytes(letter);
		const name = partitionName(letter);
		const there = this.#held.get(name);
		if (there) there.push(own);
		else this.#held.set(name, [own]);
		this.#messages++;
		this.#bytes += (own.key?.length ?? 0) + (own.value?.length ?? 0);
	}

	/** Tries all that are held, and tells those that fail. Rejects where `until` does. */
	async run(): Promise<void> {
		const held = [...this.#held.values()];
		this.#held.clear();
		this.#messages = 0;
		this.#bytes = 0;
		for (const letters of held) await this.#tryAll(letters.sort((one, other) => one.offset - other.offset));
	}

	/** In pieces twice as large as what got through of the one before. The first of a thread has nobody before it: it is told. */
	async #tryAll(letters: readonly DeadLetter[]): Promise<void> {
		const open = letters.map((letter) => ({ letter, isAgain: false }));
		let size = MAX_HELD.messages;
		while (open.length > 0) {
			// Only what failed behind others is tried alone.
			if (open[0]?.isAgain === false && size === 1) size = MAX_HELD.messages;
			if (size === 1 && this.#aloneInVain >= MAX_ALONE) {
				this.#parts.failed((open.shift() as (typeof open)[number]).letter);
				continue;
			}
			const tried = open.splice(0, size).map(({ letter }) => letter);
			const failed = await this.#tried(tried);
			const isFirst = ({ offset }: DeadLetter) => offset === tried[0]?.offset;
			for (const letter of failed.filter(isFirst)) this.#parts.failed(letter);
			const through = tried.length - failed.length;
			if (through > 0) this.#aloneInVain = 0;
			else if (tried.length === 1) this.#aloneInVain++;
			open.unshift(...failed.filter((letter) => !isFirst(letter)).map((letter) => ({ letter, isAgain: true })));
			size = Math.min(Math.max(1, 2 * through), MAX_HELD.messages);
		}
	}

	/** One attempt each, in a new thread; those that fail. */
	async #tried(letters: readonly DeadLetter[]): Promise<DeadLetter[]> {
		const failed: DeadLetter[] = [];
		// Each of them may end its thread.
		const worker = this.#parts.createWorker(letters[0] as DeadLetter, {
			failed: (letter) => failed.push(letter),
			maxDeaths: letters.length,
		});
		try {
			worker.deliver(letters);
			await this.#parts.until(() => worker.pending === 0);
		} finally {
			const stopped = worker.stop(this.#parts.isAborted());
			if (!this.#parts.isAborted()) await stopped;
		}
		// In a state without the messages before them: that says nothing.
		return worker.leftOpen > 0 ? [...letters] : failed;
	}
}

/** Its buffers are pieces of the whole batch's, which they would keep. */
export function withOwnBytes(letter: DeadLetter): DeadLetter {
	const own = (bytes: Buffer | null) => (bytes === null ? null : Buffer.from(bytes));
	return { ...letter, key: own(letter.key), value: own(letter.value), headers: letter.headers.map(([name, value]) => [name, own(value)]) };
}
