/**
 * Detects that the contents of a `kafka.tls` file or of the password file changed since the client was created. librdkafka reads them once,
 * and an expired certificate keeps it out of the cluster at its next connection. Contents are compared, because names and times are not
 * enough (a mounted secret changes through a link above it).
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { Clock, Timer } from "../../core/clock.ts";
import { messageOf } from "../../core/errors.ts";

/** What is checked and called. */
export interface RenewedFilesParts {
	readonly clock: Clock;
	readonly files: readonly string[];
	/** Throws if the files can't be used: they may be half written. */
	readonly check: () => void;
	/** Uses the new files; false if that has to wait. */
	readonly renew: () => Promise<boolean>;
	readonly listener: {
		renewed(files: readonly string[]): void;
		/** The new files are not used yet and are tried again; the client goes on with the old ones. */
		refused(files: readonly string[], why: string): void;
	};
}

const LOOK_EVERY_MS = 10_000;
/** Several files written one after the other are complete after this time. */
const SETTLED_AFTER_MS = 1_000;

/** Notices changed TLS and password files. Idempotent to dispose. */
export class RenewedFiles {
	readonly #parts: RenewedFilesParts;
	/** Digests by file, as the client read them. */
	#used: ReadonlyMap<string, string> | null = null;
	#timer: Timer | null = null;
	#disposed = false;
	#toldOf = "";

	constructor(parts: RenewedFilesParts) {
		this.#parts = parts;
	}

	/** Takes the present contents as those that the client has. */
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

	/** `before`: the contents a moment ago, if they had changed. */
	async #look(before: ReadonlyMap<string, string> | null): Promise<void> {
		const found = await this.#contents();
		const changed = differing(found, this.#used);
		const isSettled = before !== null && differing(found, before).length === 0;
		if (changed.length === 0) this.#toldOf = "";
		if (changed.length === 0 || this.#disposed) return this.#lookIn(LOOK_EVERY_MS, null);
		if (!isSettled) return this.#lookIn(SETTLED_AFTER_MS, found);
		try {
			this.#parts.check();
			if (await this.#parts.renew()) {
				this.#used = found;
				this.#toldOf = "";
				this.#parts.listener.renewed(changed);
			}
		} catch (error) {
			const why = messageOf(error);
			if (this.#toldOf !== why) this.#parts.listener.refused(changed, why);
			this.#toldOf = why;
		}
		this.#lookIn(LOOK_EVERY_MS, null);
	}

	/** Digests of the contents, so that no key stays in memory. An unreadable file counts as other contents. */
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
