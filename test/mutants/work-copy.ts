/**
 * A copy of the work tree, below the project so that packages are found, in which one mutant at a time is tried. The user's own tree stays
 * as it is.
 */
import { type ChildProcess, fork } from "node:child_process";
import { cp, mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { transform } from "esbuild";
import type { Mutant } from "./mutators.ts";
import { fileLimitMs, isFarWithinLimits, type RunAnswer, type RunOrder } from "./run-order.ts";

/** What became of a mutant; `by` names the test that noticed. Timed out is what the machine may have made late, and not the mutant. */
export type Verdict = { readonly kind: "killed"; readonly by: string } | { readonly kind: "survived" } | { readonly kind: "timed out" };

/** A test file, and whether it runs what is built. */
export interface TestFile {
	readonly test: string;
	readonly runsBuilt: boolean;
}

const { bundle } = (await import("../../config/build.mjs" as string)) as { bundle(root: string, made: string): Promise<void> };

/** The built form, or null for what is no code. */
async function built(source: string): Promise<string | null> {
	const form = { loader: "ts", format: "esm", target: "es2023", tsconfigRaw: "{}", logLevel: "silent" } as const;
	const code = await transform(source, form).then(
		(result) => result.code,
		() => null,
	);
	return code?.replace(/(from\s*|import\s*\(?\s*)"(\.[^"]+)\.ts"/g, '$1"$2.js"') ?? null;
}

const project = new URL("../..", import.meta.url).pathname;
const leftOut = new Set([".git", ".cache", "node_modules", ".pockaffe", "coverage"]);
const readyWithinMs = 120_000;

/** See the file's header. */
export class WorkCopy implements AsyncDisposable {
	readonly root: string;
	#runner: ChildProcess | null = null;

	private constructor(root: string) {
		this.root = root;
	}

	static async make(): Promise<WorkCopy> {
		const root = join(project, ".cache", "mutants", `${process.pid}-run`, "/");
		await mkdir(root, { recursive: true });
		const names = (await readdir(project)).filter((name) => !leftOut.has(name));
		for (const name of names) await cp(join(project, name), join(root, name), { recursive: true, preserveTimestamps: true });
		await symlink(join(project, "node_modules"), join(root, "node_modules"));
		return new WorkCopy(root);
	}

	/** Runs the test files one by one on the mutant, until one fails; null where it is no code, or changes none. */
	async try(mutant: Mutant, tests: readonly TestFile[]): Promise<Verdict | null> {
		const source = await readFile(join(this.root, mutant.file), "utf8");
		let isBundled = false;
		try {
			const changed = source.slice(0, mutant.from) + mutant.text + source.slice(mutant.to);
			// A change of types alone leaves the code as it is.
			if ((await built(changed)) === (await built(source)) || !(await this.#put(mutant.file, changed))) return null;
			for (const { test, runsBuilt } of tests) {
				if (runsBuilt && !isBundled) await bundle(this.root, join(this.root, "dist"));
				isBundled ||= runsBuilt;
				const answer = await this.#run({ changed: mutant.file, test });
				if (answer !== null && !answer.isLate) {
					if (answer.failed === null) continue;
					return { kind: "killed", by: answer.failed };
				}
				// Was it the change, or the machine?
				await this.#put(mutant.file, source);
				if (isBundled) await bundle(this.root, join(this.root, "dist"));
				const unchanged = await this.#run({ changed: mutant.file, test });
				if (!unchanged || !isFarWithinLimits(unchanged)) return { kind: "timed out" };
				return { kind: "killed", by: `${answer?.failed ?? test}, over its time limit` };
			}
			return { kind: "survived" };
		} finally {
			await this.#put(mutant.file, source);
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#end();
		await rm(this.root, { recursive: true, force: true });
	}

	/** The built file as well: a handler's thread runs that, of a bundle that is made before the first test that needs it. */
	async #put(file: string, source: string): Promise<boolean> {
		const code = await built(source);
		if (code === null) return false;
		await writeFile(join(this.root, file), source);
		await writeFile(join(this.root, file.replace(/^src\//, "dist/").replace(/\.ts$/, ".js")), code);
		return true;
	}

	/** Null where the time is over: the runner, and what it started, are ended. */
	async #run(order: RunOrder): Promise<RunAnswer | null> {
		this.#runner ??= await this.#start();
		const runner = this.#runner;
		return new Promise((resolve) => {
			const finish = (answer: RunAnswer | null) => {
				clearTimeout(timer);
				runner.removeAllListeners("message").removeAllListeners("exit");
				if (answer === null) this.#end();
				resolve(answer);
			};
			const timer = setTimeout(() => finish(null), fileLimitMs);
			runner.once("message", (answer) => finish(answer as RunAnswer));
			runner.once("exit", () => finish(null));
			runner.send(order);
		});
	}

	/** Leads a group of processes of its own, for vitest starts some. */
	async #start(): Promise<ChildProcess> {
		const runner = fork(new URL("runner.ts", import.meta.url), [], {
			cwd: this.root,
			detached: true,
			execArgv: ["--import", "tsx"],
			stdio: ["ignore", "ignore", "inherit", "ipc"],
			env: { ...process.env, NO_COLOR: "1" },
		});
		await new Promise<void>((resolve, reject) => {
			const timer = setTimeout(() => reject(new Error("vitest did not start in the copy of the work tree")), readyWithinMs);
			runner.once("message", () => {
				clearTimeout(timer);
				resolve();
			});
			runner.once("exit", (code) => reject(new Error(`vitest ended in the copy of the work tree (${code})`)));
		});
		runner.removeAllListeners("exit");
		return runner;
	}

	#end(): void {
		const pid = this.#runner?.pid;
		this.#runner = null;
		if (pid === undefined) return;
		try {
			process.kill(-pid, "SIGKILL");
		} catch {
			// It is gone.
		}
	}
}
