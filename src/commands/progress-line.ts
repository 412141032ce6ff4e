/** A progress bar for somebody who watches a terminal; nothing where `stream` is none. Written to the side, never into the output. */
import type { Writable } from "node:stream";
import { SingleBar } from "cli-progress";

/** Dispose it before anything else is printed. */
export class ProgressLine implements Disposable {
	readonly #bar: SingleBar;
	#isShown = false;

	constructor(stream: Writable) {
		this.#bar = new SingleBar({
			stream: stream as NodeJS.WritableStream,
			format: "{phase} [{bar}] {percentage}% {value}/{total}",
			fps: 5,
			clearOnComplete: true,
			hideCursor: true,
			gracefulExit: false,
		});
	}

	/** What goes on, and how much of it is done. */
	show(phase: string, done: number, total: number): void {
		if (!this.#isShown) this.#bar.start(total, done, { phase });
		this.#isShown = true;
		this.#bar.update(done, { phase });
	}

	[Symbol.dispose](): void {
		if (this.#isShown) this.#bar.stop();
	}
}
