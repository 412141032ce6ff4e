/**
 * If V8 runs out of memory or native code crashes, a command's process ends without a message. Then a child process, which only waits for
 * this, prints on standard error what the handler had in hand.
 */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { HeldOffsets } from "../../core/messages/hand-note.ts";
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import { packageRoot } from "../../core/package.ts";

/**
 * A child process that names the messages in hand if this process crashes. Dispose it when the handler's work is over, however it ended.
 */
export class CrashWitness implements Disposable {
	readonly #child = spawn(process.execPath, [fileURLToPath(new URL("dist/commands/process/crash-witness-child.js", packageRoot))], {
		stdio: ["pipe", "ignore", "inherit"],
	});
	readonly #hands = new Map<string, HeldOffsets>();
	readonly #then: string;

	/** `then`: a sentence that says what the crash leaves behind. */
	constructor(then: string) {
		this.#then = then;
		// The command works without the child, too.
		this.#child.on("error", () => {});
		this.#child.stdin.on("error", () => {});
		this.#child.unref();
	}

	/** The handler gets these offsets next; null: it has nothing of the partition in hand. */
	inHand(partition: TopicPartition, held: HeldOffsets | null): void {
		if (held) this.#hands.set(partitionName(partition), held);
		else this.#hands.delete(partitionName(partition));
		const hands = [...this.#hands].map(
			([name, { from, to }]) => `${name} ${to - from === 1 ? `offset ${from}` : `offsets ${from} to ${to - 1}`}`,
		);
		this.runs(hands.length === 0 ? null : `In hand, or handed over last: ${hands.join(", ")}.`);
	}

	/** `what` describes which code of the user runs; null: none does. */
	runs(what: string | null): void {
		const words = "the handler ended the process (memory, a crash in native code, a kill).";
		this.#child.stdin.write(what === null ? "\n" : `pockaffe: ${words} ${what} ${this.#then}\n`);
	}

	[Symbol.dispose](): void {
		this.#child.stdin.end("\n");
	}
}
