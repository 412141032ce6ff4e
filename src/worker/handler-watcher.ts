/**
 * Reports when the handler's code changes on disk: its own file or a module beside it. A corrected handler, or one that was missing, is
 * then tried at once. A save by rename and a file that appears for the first time count as changes. Several saves in a row are reported
 * once, after they have settled.
 *
 * The file behind a path may change without a change in its folder: Kubernetes swaps a symlink (`..data`) for a new ConfigMap, a deployment
 * swaps `current`, and some mounts send no events at all. So the module itself is also checked every two seconds.
 */
import { realpath, stat } from "node:fs/promises";
import { basename, dirname, extname } from "node:path";
import { type FSWatcher, watch } from "chokidar";
import type { Clock, Timer } from "../core/clock.ts";

const MODULE_EXTENSIONS = new Set([".js", ".mjs", ".cjs", ".json", ".ts", ".mts"]);
/** A save is often several events: truncate, write, rename. */
const SETTLE_MS = 100;
const LOOK_EVERY_MS = 2_000;

/** Watches a handler module's folder until disposed. */
export class HandlerWatcher implements AsyncDisposable {
	readonly #modulePath: string;
	readonly #clock: Clock;
	readonly #changed: (file: string) => void;
	readonly #watcher: FSWatcher;
	#timer: Timer | null = null;
	#look: Timer | null = null;
	#isDisposed = false;
	/** Identifies the module's file and its version. */
	#identity = "";
	/** Resolves once changes are seen. */
	readonly ready: Promise<void>;

	/** `modulePath` is the handler's absolute path; `changed` gets the name of the last file that changed. */
	constructor(modulePath: string, clock: Clock, changed: (file: string) => void) {
		this.#modulePath = modulePath;
		this.#clock = clock;
		this.#changed = changed;
		this.#watcher = watch(dirname(modulePath), { depth: 0, ignoreInitial: true });
		for (const event of ["add", "change", "unlink"] as const) this.#watcher.on(event, (path) => this.#saved(path));
		const isWatching = new Promise<void>((resolve) => this.#watcher.once("ready", resolve));
		this.ready = Promise.all([isWatching, this.#begin()]).then(() => {});
		// If the watch fails, a corrected handler is still found at the next restart.
		this.#watcher.on("error", () => {});
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#isDisposed = true;
		this.#timer?.cancel();
		this.#look?.cancel();
		await this.#watcher.close();
	}

	async #begin(): Promise<void> {
		this.#identity = await identityOf(this.#modulePath);
		this.#lookLater();
	}

	#lookLater(): void {
		if (this.#isDisposed) return;
		this.#look = this.#clock.after(LOOK_EVERY_MS, () => {
			void identityOf(this.#modulePath).then((identity) => {
				if (identity !== this.#identity && this.#timer === null) this.#saved(this.#modulePath);
				this.#lookLater();
			});
		});
	}

	#saved(path: string): void {
		if (this.#isDisposed || !MODULE_EXTENSIONS.has(extname(path))) return;
		this.#timer?.cancel();
		this.#timer = this.#clock.after(SETTLE_MS, () => {
			// The next check must not report this change again.
			void identityOf(this.#modulePath).then((identity) => {
				this.#identity = identity;
				this.#timer = null;
			});
			this.#changed(basename(path));
		});
	}
}

/** The file that a path leads to, and what tells its versions apart. Empty if there is no such file. Never rejects. */
async function identityOf(path: string): Promise<string> {
	try {
		const target = await realpath(path);
		const { ino, size, mtimeMs } = await stat(target);
		return [target, ino, size, mtimeMs].join();
	} catch {
		return "";
	}
}
