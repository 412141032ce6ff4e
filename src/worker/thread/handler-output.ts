/**
 * Carries what a handler prints from its thread to the main thread, line by line, with the partition that printed it, so that the lines
 * reach the log labelled instead of standing between its records. Uses a broadcast channel, because the pool owns the thread's port.
 * output-quota.ts limits how much passes.
 */
import { performance } from "node:perf_hooks";
import { BroadcastChannel } from "node:worker_threads";
import type { TopicPartition } from "../../core/messages/message.ts";
import { CHARACTERS_PER_SECOND, OutputQuota, type Printed } from "./output-quota.ts";

/** Maximum characters of a line: a document without line breaks must not fill the memory. */
const LONGEST_LINE = 8_000;
/** Dropped lines are reported when the thread is quiet again, and at the latest after this time. */
const TELL_AFTER_MS = 1_000;

/** Not the clock, which lives on the main thread; taken before the user's module is loaded, which may replace them. */
const { setImmediate, setTimeout, queueMicrotask } = globalThis;
const now = performance.now.bind(performance);

/**
 * In the thread: sends everything printed from now on to `channel`, attributed to `speaker`. The process's own streams are no longer
 * written. Returns a function that sends the waiting lines.
 */
export function captureOutput(channel: string, speaker: () => TopicPartition | null): () => void {
	const port = new BroadcastChannel(channel);
	// The channel must not keep a finished thread alive.
	port.unref();
	const post = port.postMessage.bind(port);
	const quota = new OutputQuota(now, post);
	const flushLater = whenQuiet(quota);
	// The handler may end its thread.
	process.on("exit", () => quota.flushAll());
	for (const stream of ["stdout", "stderr"] as const) {
		const print = lineByLine(quota, stream);
		const write = (chunk: string | Uint8Array, encoding?: unknown, callback?: unknown) => {
			print(chunk, speaker());
			flushLater();
			const done = typeof encoding === "function" ? encoding : callback;
			if (typeof done === "function") queueMicrotask(() => done());
			return true;
		};
		process[stream].write = write as typeof process.stdout.write;
	}
	return () => quota.flush();
}

/** On the main thread: calls `printed` with what the thread of `channel` prints, until the returned function is called. */
export function listenToOutput(channel: string, printed: (printed: Printed) => void): () => void {
	const port = new BroadcastChannel(channel);
	port.unref();
	port.onmessage = (event: unknown) => {
		const { data } = event as { data: unknown };
		// Other code that finds the channel's name may write to it.
		if (isPrinted(data)) printed(data);
	};
	return () => port.close();
}

/** Sends the waiting lines when the handler's turn of the event loop is over. A second later, reports once what was dropped meanwhile. */
function whenQuiet(quota: OutputQuota): () => void {
	let isTurnAwaited = false;
	let isSecondAwaited = false;
	return () => {
		if (!isTurnAwaited && quota.isWaiting) {
			isTurnAwaited = true;
			setImmediate(() => {
				isTurnAwaited = false;
				quota.flush();
			});
		}
		if (isSecondAwaited || quota.hasRoom) return;
		isSecondAwaited = true;
		const timer = setTimeout(() => {
			isSecondAwaited = false;
			quota.flushAll();
		}, TELL_AFTER_MS);
		timer.unref();
	};
}

/**
 * Splits what is written to a stream into lines. Beyond the quota lines are only counted: 400 MB in one call must not become 400 MB of
 * strings.
 */
function lineByLine(
	quota: OutputQuota,
	stream: "stdout" | "stderr",
): (chunk: string | Uint8Array, partition: TopicPartition | null) => void {
	let rest = "";
	const tell = (line: string, partition: TopicPartition | null) =>
		quota.print({ partition, stream, line: line.length > LONGEST_LINE ? line.slice(0, LONGEST_LINE) : line });
	return (chunk, partition) => {
		const text = typeof chunk === "string" ? chunk : textOf(chunk, quota, partition);
		let start = 0;
		for (;;) {
			const end = text.indexOf("\n", start);
			if (end < 0) break;
			if (!quota.hasRoom) {
				quota.leaveOut(partition, linesFrom(text, start));
				start = text.lastIndexOf("\n") + 1;
				rest = "";
				break;
			}
			tell(rest + text.slice(start, Math.min(end, start + LONGEST_LINE)), partition);
			rest = "";
			start = end + 1;
		}
		if (rest.length <= LONGEST_LINE) rest += text.slice(start, start + LONGEST_LINE + 1);
		if (rest.length <= LONGEST_LINE) return;
		tell(rest, partition);
		rest = "";
	};
}

/** Decodes as many bytes as may pass in a second, and only counts the lines of the rest. */
function textOf(chunk: Uint8Array, quota: OutputQuota, partition: TopicPartition | null): string {
	const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
	if (bytes.length <= CHARACTERS_PER_SECOND) return bytes.toString("utf8");
	const end = bytes.lastIndexOf(10, CHARACTERS_PER_SECOND);
	const kept = end < 0 ? CHARACTERS_PER_SECOND : end + 1;
	let lines = 0;
	for (let at = bytes.indexOf(10, kept); at >= 0; at = bytes.indexOf(10, at + 1)) lines++;
	quota.leaveOut(partition, lines);
	return bytes.toString("utf8", 0, kept);
}

function linesFrom(text: string, start: number): number {
	let lines = 0;
	for (let at = text.indexOf("\n", start); at >= 0; at = text.indexOf("\n", at + 1)) lines++;
	return lines;
}

function isPrinted(data: unknown): data is Printed {
	if (typeof data !== "object" || data === null) return false;
	const { lines, leftOut } = data as Partial<Printed>;
	const isPartition = (each: { partition?: unknown } | null) =>
		typeof each === "object" && each !== null && typeof each.partition === "object";
	return (
		Array.isArray(lines) &&
		Array.isArray(leftOut) &&
		lines.every((each) => isPartition(each) && typeof each.line === "string" && (each.stream === "stdout" || each.stream === "stderr")) &&
		leftOut.every((each) => isPartition(each) && typeof each.lines === "number")
	);
}
