/**
 * What a handler prints: taken in its thread, line by line, and told on the main thread with where it came from, so that it reaches
 * the log labelled instead of standing between the log's records. Goes over a broadcast channel because the pool owns the thread's port.
 */
import { BroadcastChannel } from "node:worker_threads";
import type { TopicPartition } from "../core/message.ts";

/** A printed line. `partition` null: several share the thread, and none of them was being asked anything. */
export interface PrintedLine {
	readonly partition: TopicPartition | null;
	readonly stream: "stdout" | "stderr";
	readonly line: string;
}

/** A handler that prints a document must not fill the memory of a line that never ends. */
const LONGEST_LINE = 8_000;

/** In the thread: everything printed from here on goes to `channel`, as `speaker`'s; the process's own streams are not written any more. */
export function captureOutput(channel: string, speaker: () => TopicPartition | null): void {
	const port = new BroadcastChannel(channel);
	// It must not keep a thread alive whose work is done.
	port.unref();
	for (const stream of ["stdout", "stderr"] as const) {
		let rest = "";
		const tell = (line: string) =>
			port.postMessage({ partition: speaker(), stream, line: line.slice(0, LONGEST_LINE) } satisfies PrintedLine);
		const write = (chunk: string | Uint8Array, encoding?: unknown, callback?: unknown) => {
			const text = typeof chunk === "string" ? chunk : Buffer.from(chunk).toString("utf8");
			const lines = (rest + text).split("\n");
			rest = lines.pop() ?? "";
			for (const line of lines) tell(line);
			if (rest.length > LONGEST_LINE) {
				tell(rest);
				rest = "";
			}
			const done = typeof encoding === "function" ? encoding : callback;
			if (typeof done === "function") queueMicrotask(() => done());
			return true;
		};
		process[stream].write = write as typeof process.stdout.write;
	}
}

/** On the main thread: tells what is printed in the thread of `channel`, until the returned function is called. */
export function listenToOutput(channel: string, printed: (line: PrintedLine) => void): () => void {
	const port = new BroadcastChannel(channel);
	port.unref();
	port.onmessage = (event: unknown) => printed((event as { data: PrintedLine }).data);
	return () => port.close();
}
