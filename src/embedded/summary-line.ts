/** One line per second on a terminal: throughput, lag, and whether the daemon is ready or why not. */
import type { Clock, Timer } from "../core/clock.ts";

/** Counts since the start, and what holds now. */
export interface SummaryFigures {
	readonly messages: number;
	readonly inserted: number;
	readonly updated: number;
	readonly deleted: number;
	readonly stale: number;
	readonly restarts: number;
	readonly deadLetters: number;
	/** Lag of all partitions; null while not known. */
	readonly lag: number | null;
	/** Empty when ready; else why not, each as `code` or `code topic/3`. */
	readonly notReady: readonly string[];
}

/** What is used of `process.stdout`. */
export interface Terminal {
	readonly isTTY?: boolean;
	write(text: string): unknown;
}

const EVERY_MS = 1000;

/** The line for the time between two readings, `seconds` apart. When all is well it fits into 80 columns. */
export function formatSummary(before: SummaryFigures, after: SummaryFigures, seconds: number): string {
	const perSecond = Math.round((after.messages - before.messages) / Math.max(seconds, 0.001));
	const gained = (name: "inserted" | "updated" | "deleted" | "stale") => after[name] - before[name];
	const shown = (["inserted", "updated", "deleted", "stale"] as const).filter((name) => name !== "deleted" || gained(name) > 0);
	const rows = shown.map((name) => `${gained(name)} ${name}`);
	const parts = [
		`${perSecond} msg/s`,
		rows.join(", "),
		`lag ${after.lag ?? "?"}`,
		`restarts ${after.restarts}`,
		...(after.deadLetters > 0 ? [`dead letters ${after.deadLetters}`] : []),
		after.notReady.length === 0 ? "ready" : `not ready: ${after.notReady.join(", ")}`,
	];
	return parts.join(" · ");
}

/** Writes a line per second until disposed. Does nothing if `terminal` is not a terminal (a pipe, a file). */
export function startSummary({ terminal, clock, read }: { terminal: Terminal; clock: Clock; read: () => SummaryFigures }): Disposable {
	if (terminal.isTTY !== true) return { [Symbol.dispose]() {} };
	let before = read();
	let readAt = clock.monotonic();
	let timer: Timer;
	const tick = () => {
		const after = read();
		const now = clock.monotonic();
		terminal.write(`${formatSummary(before, after, (now - readAt) / 1000)}\n`);
		before = after;
		readAt = now;
		timer = clock.after(EVERY_MS, tick);
	};
	timer = clock.after(EVERY_MS, tick);
	return { [Symbol.dispose]: () => timer.cancel() };
}
