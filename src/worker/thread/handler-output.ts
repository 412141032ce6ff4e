/**
 * What a handler prints: taken in its thread, line by line, and told on the main thread with where it came from, so that it reaches
 * the log labelled instead of standing between the log's records. Goes over a broadcast channel because the pool owns the thread's port.
 * How much of it goes is output-quota.ts's.
 */
import { performance } from "node:perf_hooks";
import { BroadcastChannel } from "node:worker_threads";
import type { TopicPartition } from "../../core/messages/message.ts";
import { CHARACTERS_PER_SECOND, OutputQuota, type Printed } from "./output-quota.ts";

/** A handler that prints a document must not fill the memory of a line that never ends. */
const LONGEST_LINE = 8_000;
/** Lines that were left out are told when the thread is quiet again, after so long at the latest. */
const TELL_AFTER_MS = 1_000;

/** From before the user's module is loaded, which may put its own in their place. */
const { setImmediate, setTimeout, queueMicrotask } = globalThis;
const now = performance.now.bind(performance);

/**
 * In the thread: everything printed from here on goes to `channel`, as `speaker`'s; the process's own streams are not written any more.
 * Returns what sends the lines that wait.
 */
export function captureOutput(channel: string, speaker: () => TopicPartition | null): () => void {
	const port = new BroadcastChannel(channel);
	// It must not keep a thread alive whose work is done.
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

/** On the main thread: tells what is printed in the thread of `channel`, until the returned function is called. */
export function listenToOutput(channel: string, printed: (printed: Printed) => void): () => void {
	const port = new BroadcastChannel(channel);
	port.unref();
	port.onmessage = (event: unknown) => {
		const { data } = event as { data: unknown };
		// Whatever else finds the channel's name may write to it.
		if (isPrinted(data)) printed(data);
	};
	return () => port.close();
}

/** Sends what waits when the handler's turn of the event loop is over, and once more a second later what was left out meanwhile. */
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

/** Takes apart what is written to a stream. What is over the quota is only counted: 400 MB in one call are no 400 MB of strings. */
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

/** Bytes as text, as many as may pass in a second; of the others the lines are counted. */
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
