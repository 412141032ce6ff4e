/**
 * Tries failed messages once more in new threads: a message may have failed only because of what earlier ones left in the thread (memory,
 * above all). The first message of a thread has none before it; if it fails again, it is reported. Messages that fail after others are
 * tried in the next thread, which gets twice as many messages as succeeded in the last one, or a single one if none did. If many in a row
 * fail alone, the others are reported without a try.
 */
import type { DeadLetter } from "../../core/dead-letters/dead-letter.ts";
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import type { VerifyingWorker, VerifyingWorkerParts } from "./verifying-worker.ts";

/** Maximum messages and bytes held; then they are tried. */
const MAX_HELD = { messages: 1_000, bytes: 16 * 1024 * 1024 };
/** Maximum in a row that fail alone before the others are reported without a try: a thread for each of thousands takes minutes. */
const MAX_ALONE = 50;

/** What second attempts need. */
export interface SecondAttemptParts {
	readonly createWorker: (partition: TopicPartition, over: Partial<VerifyingWorkerParts>) => VerifyingWorker;
	/** Resolves once the condition holds; rejects if waiting is useless. */
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

	/** True if so many are held that they should be tried before more come. */
	get isFull(): boolean {
		return this.#messages >= MAX_HELD.messages || this.#bytes >= MAX_HELD.bytes;
	}

	/** Adds a failed message. A rejected message or an impossible row is reported at once: another attempt would not change it. */
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

	/** Tries all held messages, and reports those that fail. Rejects if `until` does. */
	async run(): Promise<void> {
		const held = [...this.#held.values()];
		this.#held.clear();
		this.#messages = 0;
		this.#bytes = 0;
		for (const letters of held) await this.#tryAll(letters.sort((one, other) => one.offset - other.offset));
	}

	/** Tries them in rounds, with one new thread each, until each has succeeded or is reported. */
	async #tryAll(letters: readonly DeadLetter[]): Promise<void> {
		const open = letters.map((letter) => ({ letter, isAgain: false }));
		let size = MAX_HELD.messages;
		while (open.length > 0) {
			// Only messages that failed after others are tried alone.
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

	/** Tries each once in a new thread; returns those that fail. */
	async #tried(letters: readonly DeadLetter[]): Promise<DeadLetter[]> {
		const failed: DeadLetter[] = [];
		// Each message may end its thread.
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
		// The handler waits for other messages, and its state lacks those before: nothing is known.
		return worker.leftOpen > 0 ? [...letters] : failed;
	}
}

/** Copies the letter's buffers: they are views of the whole batch's buffer, and would keep it in memory. */
export function withOwnBytes(letter: DeadLetter): DeadLetter {
	const own = (bytes: Buffer | null) => (bytes === null ? null : Buffer.from(bytes));
	return { ...letter, key: own(letter.key), value: own(letter.value), headers: letter.headers.map(([name, value]) => [name, own(value)]) };
}
