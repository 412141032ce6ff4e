/**
 * Writes log lines to a stream that may be closed, full or slow. Never throws or waits: it drops lines and counts them. A regular file is
 * written through its descriptor: Node's stream for a file ends at the first full disk, and would stay silent when there is room again.
 */
import { fstatSync, writeSync } from "node:fs";

/** What is used of `process.stdout`. */
export interface OutputStream {
	readonly isTTY?: boolean;
	readonly fd?: number;
	readonly writable?: boolean;
	readonly writableLength?: number;
	write(text: string, done: (error?: Error | null) => void): boolean;
	on(event: "error", listener: (error: Error) => void): unknown;
}

/** A reader that is this far behind gets nothing until it catches up: otherwise the daemon's memory would grow. */
const MOST_BUFFERED_BYTES = 4 * 1024 * 1024;

/** Writes log lines without ever blocking or throwing. */
export class LogOutput {
	readonly #stream: OutputStream;
	readonly #file: number | null;
	#dropped = 0;

	constructor(stream: OutputStream) {
		this.#stream = stream;
		this.#file = fileOf(stream);
		// An 'error' event without a listener ends the process. The write's callback counts the error.
		stream.on("error", () => {});
	}

	get dropped(): number {
		return this.#dropped;
	}

	write(line: string): void {
		try {
			if (this.#file !== null) writeSync(this.#file, line);
			else if (this.#stream.writable === false || (this.#stream.writableLength ?? 0) > MOST_BUFFERED_BYTES) this.#dropped++;
			else this.#stream.write(line, (error) => error && this.#dropped++);
		} catch {
			this.#dropped++;
		}
	}
}

/** The descriptor if the stream is a regular file, else null. */
function fileOf({ fd }: OutputStream): number | null {
	try {
		return fd !== undefined && fstatSync(fd).isFile() ? fd : null;
	} catch {
		return null;
	}
}
