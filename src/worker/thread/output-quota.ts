/**
 * Limits how much of a handler's output leaves its thread: a number of lines and characters per second; the rest is only counted. The first
 * lines of a second go at once, so that the last words before a crash are not lost; later ones go in batches. Knows no streams and no
 * channels.
 *
 *    within the quota -> over it (lines are counted) -> the next second: dropped lines are reported, and lines pass again
 */
import type { TopicPartition } from "../../core/messages/message.ts";

/** A printed line. `partition` is null if several partitions share the thread and none of them was being answered. */
export interface PrintedLine {
	readonly partition: TopicPartition | null;
	readonly stream: "stdout" | "stderr";
	readonly line: string;
}

/** Number of lines of one partition that were dropped. */
export interface LeftOut {
	readonly partition: TopicPartition | null;
	readonly lines: number;
}

/** Lines that a thread printed, in order, and how many it dropped since its last report. */
export interface Printed {
	readonly lines: readonly PrintedLine[];
	readonly leftOut: readonly LeftOut[];
}

/** A log record costs the main thread about 25 µs: at this limit a thread takes about 1 % of it. */
export const LINES_PER_SECOND = 500;
/** UTF-16 code units per second. */
export const CHARACTERS_PER_SECOND = 256 * 1024;
/** The first lines of a second, which are sent one by one. */
const AT_ONCE = 20;
/** Maximum lines sent together. */
const BATCH = 100;
const SECOND_MS = 1_000;

/**
 * Lets a limited number of printed lines through per second, and counts the rest. `now` is monotonic, in ms; `send` gets what leaves the
 * thread.
 */
export class OutputQuota {
	readonly #now: () => number;
	readonly #send: (printed: Printed) => void;
	#endsAt = Number.NEGATIVE_INFINITY;
	#lines = 0;
	#characters = 0;
	#waiting: PrintedLine[] = [];
	#leftOut: { partition: TopicPartition | null; lines: number }[] = [];

	constructor(now: () => number, send: (printed: Printed) => void) {
		this.#now = now;
		this.#send = send;
	}

	/** Passes a line on, or counts it as dropped. */
	print(printed: PrintedLine): void {
		if (!this.hasRoom) {
			this.leaveOut(printed.partition, 1);
			return;
		}
		this.#lines++;
		this.#characters += printed.line.length;
		this.#waiting[this.#waiting.length] = printed;
		if (this.#lines <= AT_ONCE || this.#waiting.length >= BATCH) this.flush();
	}

	/** False while the quota of this second is used up. */
	get hasRoom(): boolean {
		if (this.#now() >= this.#endsAt) this.#beginSecond();
		return this.#lines < LINES_PER_SECOND && this.#characters < CHARACTERS_PER_SECOND;
	}

	/** Counts lines as dropped that were never split. */
	leaveOut(partition: TopicPartition | null, lines: number): void {
		if (lines === 0) return;
		const last = this.#leftOut[this.#leftOut.length - 1];
		if (last && last.partition === partition) last.lines += lines;
		else this.#leftOut[this.#leftOut.length] = { partition, lines };
	}

	/** True if lines or counts wait to be sent. */
	get isWaiting(): boolean {
		return this.#waiting.length > 0 || this.#leftOut.length > 0;
	}

	/** Sends the lines that wait. */
	flush(): void {
		if (this.#waiting.length === 0) return;
		const lines = this.#waiting;
		this.#waiting = [];
		this.#send({ lines, leftOut: [] });
	}

	/** Sends everything that waits, and the counts of dropped lines. */
	flushAll(): void {
		if (!this.isWaiting) return;
		const printed = { lines: this.#waiting, leftOut: this.#leftOut };
		this.#waiting = [];
		this.#leftOut = [];
		this.#send(printed);
	}

	#beginSecond(): void {
		this.flushAll();
		this.#endsAt = this.#now() + SECOND_MS;
		this.#lines = 0;
		this.#characters = 0;
	}
}
