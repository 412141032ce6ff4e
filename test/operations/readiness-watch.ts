/** What `/readyz` of the daemons said, and when: asked ten times a second, for as long as somebody watches. */
import { systemClock } from "../../src/core/clock.ts";
import type { DaemonProcess } from "../support/daemons/daemon-process.ts";

const EVERY_MS = 100;

/** A code that was said. */
export interface SaidCode {
	readonly code: string;
	readonly message: string;
	/** First and last time, ms since the watch began. */
	readonly at: number;
	until: number;
}

/** See the file's header; `await using` ends it. */
export class ReadinessWatch implements AsyncDisposable {
	readonly said: SaidCode[] = [];
	readonly #daemons: () => readonly DaemonProcess[];
	readonly #ended = new AbortController();
	readonly #running: Promise<void>;
	readonly #begunAt = performance.now();

	constructor(daemons: () => readonly DaemonProcess[]) {
		this.#daemons = daemons;
		this.#running = this.#run();
	}

	/** The codes, each once, in the order in which they were first said. */
	get codes(): readonly string[] {
		return [...new Set(this.said.map(({ code }) => code))];
	}

	/** A line for people: what was said, and from when to when. */
	get summary(): string {
		const seconds = (ms: number) => (ms / 1_000).toFixed(1);
		const spans = this.codes.map((code) => {
			const all = this.said.filter((said) => said.code === code);
			return `${code} ${seconds(Math.min(...all.map(({ at }) => at)))}–${seconds(Math.max(...all.map(({ until }) => until)))} s`;
		});
		return spans.join(", ") || "ready all the time";
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#ended.abort(new Error("enough"));
		await this.#running;
	}

	async #run(): Promise<void> {
		while (!this.#ended.signal.aborted) {
			for (const daemon of this.#daemons()) {
				// One that has ended, or does not listen yet, says nothing.
				const reasons = await daemon.notReady().catch(() => []);
				for (const { code, message } of reasons) this.#note(code, message);
			}
			await systemClock.sleep(EVERY_MS, this.#ended.signal).catch(() => {});
		}
	}

	#note(code: string, message: string): void {
		const at = Math.round(performance.now() - this.#begunAt);
		const present = this.said.find((said) => said.code === code && said.message === message);
		if (present) present.until = at;
		else this.said.push({ code, message, at, until: at });
	}
}
