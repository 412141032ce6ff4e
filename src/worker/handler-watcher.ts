/**
 * Tells when the handler's code changed on disk: its file and the modules beside it, so that a corrected handler, or one that was
 * missing, is tried at once. Editors that save by rename, and a file that appears for the first time, count as well; several saves
 * in a row are told once, when they have settled.
 */
import { basename, dirname, extname } from "node:path";
import { type FSWatcher, watch } from "chokidar";
import type { Clock, Timer } from "../core/clock.ts";

const MODULE_EXTENSIONS = new Set([".js", ".mjs", ".cjs", ".json", ".ts", ".mts"]);
/** A save is often several events: truncate, write, rename. */
const SETTLE_MS = 100;

/** Watches a handler module's folder until disposed. */
export class HandlerWatcher implements AsyncDisposable {
	readonly #clock: Clock;
	readonly #changed: (file: string) => void;
	readonly #watcher: FSWatcher;
	#timer: Timer | null = null;
	/** Resolves once changes are seen. */
	readonly ready: Promise<void>;

	/** `modulePath` is the handler's absolute path; `changed` gets the name of the last file that changed. */
	constructor(modulePath: string, clock: Clock, changed: (file: string) => void) {
		this.#clock = clock;
		this.#changed = changed;
		this.#watcher = watch(dirname(modulePath), { depth: 0, ignoreInitial: true });
		for (const event of ["add", "change", "unlink"] as const) this.#watcher.on(event, (path) => this.#saved(path));
		this.ready = new Promise((resolve) => this.#watcher.once("ready", resolve));
		// Without a watch a corrected handler is still found by the next restart.
		this.#watcher.on("error", () => {});
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#timer?.cancel();
		await this.#watcher.close();
	}

	#saved(path: string): void {
		if (!MODULE_EXTENSIONS.has(extname(path))) return;
		this.#timer?.cancel();
		this.#timer = this.#clock.after(SETTLE_MS, () => this.#changed(basename(path)));
	}
}
