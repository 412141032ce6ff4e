/** The daemon as its users run it: a process, driven by configuration, signals, HTTP and its log alone. */
import { type ChildProcess, spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ReadinessReason, ReadinessReport } from "../../../src/observe/readiness.ts";
import type { Status } from "../../../src/observe/status.ts";
import { waitFor } from "../wait-for.ts";

const main = new URL("../../../dist/main.js", import.meta.url).pathname;

/** A record of the JSON log. */
export type LogRecord = Readonly<Record<string, unknown>> & { readonly msg: string; readonly level: string };

/** How it is started. */
export interface DaemonOptions {
	readonly env?: Record<string, string>;
	/** A file's descriptor: then nothing of it is read here, and `url` has to say where HTTP listens. */
	readonly stdout?: "pipe" | number;
	readonly url?: string;
}

/** A running daemon; `await using` leaves none behind where a test fails before it stops it. */
export class DaemonProcess implements AsyncDisposable {
	readonly child: ChildProcess;
	readonly records: LogRecord[] = [];
	output = "";
	readonly #url: string | undefined;
	readonly #exit: Promise<number>;

	constructor(args: readonly string[], options: DaemonOptions & { readonly cwd: string }) {
		this.#url = options.url;
		const env = { ...process.env, ...options.env };
		const { cwd, stdout = "pipe" } = options;
		this.child = spawn(process.execPath, [main, ...args], { cwd, env, stdio: ["ignore", stdout, "pipe"] });
		let rest = "";
		this.child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
			this.output += chunk;
			const lines = (rest + chunk).split("\n");
			rest = lines.pop() ?? "";
			for (const line of lines) if (line.startsWith("{")) this.records.push(JSON.parse(line));
		});
		this.child.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
			this.output += chunk;
		});
		this.#exit = new Promise((resolve) => {
			this.child.on("exit", (code, signal) => resolve(code ?? (signal === "SIGKILL" ? 137 : 128)));
		});
	}

	/** The record that `matches`, waiting for it. */
	record(what: string, matches: (record: LogRecord) => boolean, timeoutMs?: number): Promise<LogRecord> {
		return waitFor(
			() => `a log record: ${what}\n${this.output.slice(-3000)}`,
			() => this.records.find(matches),
			timeoutMs,
		);
	}

	/** Where its HTTP listens. */
	async url(): Promise<string> {
		return this.#url ?? ((await this.record("listens", ({ url }) => typeof url === "string")).url as string);
	}

	/** The document of `/status`. */
	async status(): Promise<Status> {
		return (await (await fetch(`${await this.url()}/status`)).json()) as Status;
	}

	/** What `/readyz` says is missing; empty when ready. */
	async notReady(): Promise<readonly ReadinessReason[]> {
		const report = (await (await fetch(`${await this.url()}/readyz`)).json()) as ReadinessReport;
		return report.ready ? [] : report.reasons;
	}

	/** What Prometheus would get. */
	async metrics(): Promise<string> {
		return (await fetch(`${await this.url()}/metrics`)).text();
	}

	/** A metric's sum over the series whose labels contain `labels`. */
	async metric(name: string, labels = ""): Promise<number> {
		const text = await this.metrics();
		const lines = text
			.split("\n")
			.filter((line) => line.startsWith(name) && /^[{ ]/.test(line.slice(name.length)) && line.includes(labels));
		return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
	}

	ready(timeoutMs?: number): Promise<boolean> {
		return waitFor(
			() => `readiness\n${this.output.slice(-2000)}`,
			async () => (await this.notReady()).length === 0,
			timeoutMs,
		);
	}

	/** Sends a signal and gives the exit code. */
	async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number> {
		this.child.kill(signal);
		return this.#exit;
	}

	exited(): Promise<number> {
		return this.#exit;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.child.kill("SIGKILL");
		await this.#exit;
	}
}

/** Writes a configuration (JSON is YAML) into `folder` and runs the daemon on it; HTTP at any free port. */
export async function runDaemon(folder: string, config: Record<string, unknown>, env: Record<string, string> = {}): Promise<DaemonProcess> {
	const file = join(folder, "pockaffe.yaml");
	await writeFile(file, JSON.stringify({ http: { port: 0 }, ...config }, null, 1));
	return new DaemonProcess(["run", "-c", file], { cwd: folder, env });
}
