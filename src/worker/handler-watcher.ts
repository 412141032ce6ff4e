/**
 * Tells when the handler's code changed on disk: its file and the modules beside it, so that a corrected handler, or one that was
 * missing, is tried at once. Editors that save by rename, and a file that appears for the first time, count as well; several saves
 * in a row are told once, when they have settled.
 *
 * A path may lead to another file without a change in its folder: Kubernetes swaps a symlink (`..data`) for a new ConfigMap, a deployment
 * swaps `current`, and some mounts give no events at all. So the module itself is also looked at every two seconds.
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
	/** Which file the module is, and of when. */
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
		// Without a watch a corrected handler is still found by the next restart.
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
			// What is told now must not be told again by the next look.
			void identityOf(this.#modulePath).then((identity) => {
				this.#identity = identity;
				this.#timer = null;
			});
			this.#changed(basename(path));
		});
	}
}

/** Where a path leads, and what tells one version of that file from another; empty where there is none. Never rejects. */
async function identityOf(path: string): Promise<string> {
	try {
		const target = await realpath(path);
		const { ino, size, mtimeMs } = await stat(target);
		return [target, ino, size, mtimeMs].join();
	} catch {
		return "";
	}
}
