/** The progress of a long command on standard error: a bar on a terminal; elsewhere (a log, a job's output) a line now and then. */
import type { Writable } from "node:stream";
import { SingleBar } from "cli-progress";
import type { Clock } from "../../core/clock.ts";
import { grouped } from "../../core/text/counted.ts";

/** Time between two lines without a terminal. */
const LINE_EVERY_MS = 10_000;

/** Shows the progress. Dispose it before anything else is printed. */
export class ProgressLine implements Disposable {
	readonly #bar: SingleBar | null;
	readonly #stream: Writable;
	readonly #clock: Clock;
	#isShown = false;
	#toldAt: number;

	constructor(stream: Writable & { readonly isTTY?: boolean }, clock: Clock) {
		this.#stream = stream;
		this.#clock = clock;
		// Short work gets no line.
		this.#toldAt = clock.monotonic();
		this.#bar = stream.isTTY === true ? barOn(stream) : null;
	}

	/** Shows the phase, and how much of it is done. */
	show(phase: string, done: number, total: number): void {
		if (this.#bar) {
			if (!this.#isShown) this.#bar.start(total, done, { phase });
			this.#isShown = true;
			this.#bar.setTotal(total);
			this.#bar.update(done, { phase });
			return;
		}
		const now = this.#clock.monotonic();
		if (now - this.#toldAt < LINE_EVERY_MS) return;
		this.#toldAt = now;
		const share = total > 0 ? ` (${Math.floor((100 * done) / total)}%)` : "";
		this.#stream.write(`${phase}: ${grouped(done)} of ${grouped(total)}${share}\n`);
	}

	[Symbol.dispose](): void {
		if (this.#isShown) this.#bar?.stop();
	}
}

function barOn(stream: Writable): SingleBar {
	return new SingleBar({
		stream: stream as NodeJS.WritableStream,
		format: "{phase} [{bar}] {percentage}% {value}/{total}",
		fps: 5,
		clearOnComplete: true,
		hideCursor: true,
		gracefulExit: false,
	});
}
