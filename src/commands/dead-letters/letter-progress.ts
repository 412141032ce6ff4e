/** The progress of a replay: a bar on a terminal unless the letters' lines go there, otherwise a line now and then. */
import type { Writable } from "node:stream";
import type { Clock } from "../../core/clock.ts";
import { grouped } from "../../core/text/counted.ts";
import { print } from "../command-context.ts";
import { ProgressLine } from "../terminal/progress-line.ts";

/** Time between two lines; a short replay prints none. */
const EVERY_MS = 10_000;

/** Shows the progress of a replay. */
export class LetterProgress implements Disposable {
	replayed = 0;
	failed = 0;
	/** Replayed letters with a stale row: the table kept another message's newer row. */
	#stale = 0;
	readonly #total: number;
	readonly #stderr: Writable;
	readonly #clock: Clock;
	readonly #bar: ProgressLine | null;
	readonly #beganAt: number;
	#toldAt: number;

	constructor(
		total: number,
		{ stdout, stderr, clock }: { stdout: { readonly isTTY?: boolean }; stderr: Writable & { readonly isTTY?: boolean }; clock: Clock },
	) {
		this.#total = total;
		this.#stderr = stderr;
		this.#clock = clock;
		this.#bar = stderr.isTTY && !stdout.isTTY ? new ProgressLine(stderr, clock) : null;
		this.#beganAt = clock.monotonic();
		this.#toldAt = this.#beganAt;
	}

	/** How it ended. */
	get words(): string {
		const stale = this.#stale > 0 ? ` (${grouped(this.#stale)} of them left a newer row as it is)` : "";
		return `${grouped(this.replayed)} replayed${stale}, ${grouped(this.failed)} still ${this.failed === 1 ? "fails" : "fail"}.`;
	}

	/** Takes the result of one more letter. `isStale`: one of its rows was stale. */
	told(isReplayed: boolean, isStale: boolean): void {
		if (isStale) this.#stale++;
		if (isReplayed) this.replayed++;
		else this.failed++;
		const done = this.replayed + this.failed;
		// More may have been opened meanwhile.
		if (this.#bar) this.#bar.show("letters", done, Math.max(done, this.#total));
		else this.#line(done);
	}

	[Symbol.dispose](): void {
		this.#bar?.[Symbol.dispose]();
	}

	#line(done: number): void {
		const now = this.#clock.monotonic();
		if (now - this.#toldAt < EVERY_MS) return;
		this.#toldAt = now;
		const rate = Math.round((1000 * done) / (now - this.#beganAt));
		const of = grouped(Math.max(done, this.#total));
		print(
			this.#stderr,
			`${grouped(done)} of ${of} letters: ${grouped(this.replayed)} replayed, ${grouped(this.failed)} still fail; ${rate} a second`,
		);
	}
}
