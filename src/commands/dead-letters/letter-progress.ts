/** The progress of a replay: a bar on a terminal unless the letters' lines go there, otherwise a line now and then. */
import type { Writable } from "node:stream";
import type { Clock } from "../../core/clock.ts";
import { print } from "../command-context.ts";
import { ProgressLine } from "../terminal/progress-line.ts";
import { grouped } from "./letter-selection.ts";

/** A short replay needs no such line. */
const EVERY_MS = 10_000;

/** Shows the progress of a replay. */
export class LetterProgress implements Disposable {
	replayed = 0;
	failed = 0;
	/** Of the replayed ones: a newer row stayed in their row's place. */
	#overtaken = 0;
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
		const overtaken = this.#overtaken > 0 ? ` (${grouped(this.#overtaken)} of them left a newer row as it is)` : "";
		return `${grouped(this.replayed)} replayed${overtaken}, ${grouped(this.failed)} still ${this.failed === 1 ? "fails" : "fail"}.`;
	}

	/** Takes the result of one more letter. `isOvertaken`: a newer row stays in place of one of its rows. */
	told(isReplayed: boolean, isOvertaken: boolean): void {
		if (isOvertaken) this.#overtaken++;
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
