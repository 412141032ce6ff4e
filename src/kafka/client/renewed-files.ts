/**
 * Notices that a file of `kafka.tls`, or the password's, has other contents than those that the client was made with: librdkafka reads
 * them once, and a certificate that has expired keeps it out of the cluster at its next connection. Contents are compared, for names and
 * times say too little (a mounted secret changes by a link above it).
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { Clock, Timer } from "../../core/clock.ts";
import { messageOf } from "../../core/errors.ts";

/** What is looked at and told. */
export interface RenewedFilesParts {
	readonly clock: Clock;
	readonly files: readonly string[];
	/** Throws where they can't be used: half of them are written. */
	readonly check: () => void;
	/** They are to be taken: false where that has to wait. */
	readonly renew: () => Promise<boolean>;
	readonly listener: {
		renewed(files: readonly string[]): void;
		/** They are not taken, and are tried again; the client goes on with those that it has. */
		refused(files: readonly string[], why: string): void;
	};
}

const LOOK_EVERY_MS = 10_000;
/** Whoever writes them one after the other is done by then. */
const SETTLED_AFTER_MS = 1_000;

/** Notices changed TLS and password files. Idempotent to dispose. */
export class RenewedFiles {
	readonly #parts: RenewedFilesParts;
	/** By file, as the client has them. */
	#used: ReadonlyMap<string, string> | null = null;
	#timer: Timer | null = null;
	#disposed = false;
	#toldOf = "";

	constructor(parts: RenewedFilesParts) {
		this.#parts = parts;
	}

	/** The contents of now are those that the client has. */
	async start(): Promise<void> {
		if (this.#parts.files.length === 0) return;
		this.#used = await this.#contents();
		this.#lookIn(LOOK_EVERY_MS, null);
	}

	dispose(): void {
		this.#disposed = true;
		this.#timer?.cancel();
	}

	#lookIn(delayMs: number, before: ReadonlyMap<string, string> | null): void {
		if (!this.#disposed) this.#timer = this.#parts.clock.after(delayMs, () => void this.#look(before));
	}

	/** `before`: as they were a moment ago, where they had changed. */
	async #look(before: ReadonlyMap<string, string> | null): Promise<void> {
		const found = await this.#contents();
		const changed = differing(found, this.#used);
		const isSettled = before !== null && differing(found, before).length === 0;
		if (changed.length === 0 || this.#disposed) return this.#lookIn(LOOK_EVERY_MS, null);
		if (!isSettled) return this.#lookIn(SETTLED_AFTER_MS, found);
		try {
			this.#parts.check();
			if (await this.#parts.renew()) {
				this.#used = found;
				this.#parts.listener.renewed(changed);
			}
		} catch (error) {
			const why = messageOf(error);
			if (this.#toldOf !== why) this.#parts.listener.refused(changed, why);
			this.#toldOf = why;
		}
		this.#lookIn(LOOK_EVERY_MS, null);
	}

	/** Digests: keys stay in nobody's memory. A file that can't be read is another content. */
	async #contents(): Promise<ReadonlyMap<string, string>> {
		const read = this.#parts.files.map(async (file): Promise<[string, string]> => {
			const contents = await readFile(file).catch((error: NodeJS.ErrnoException) => String(error.code));
			return [file, createHash("sha256").update(contents).digest("hex")];
		});
		return new Map(await Promise.all(read));
	}
}

function differing(found: ReadonlyMap<string, string>, from: ReadonlyMap<string, string> | null): string[] {
	return [...found].filter(([file, digest]) => from?.get(file) !== digest).map(([file]) => file);
}
