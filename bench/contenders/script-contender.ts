/** A baseline in bench/baselines as a contender: a process of plain Node (not of tsx, which wraps functions) with the task as argument. */
import { type ChildProcess, spawn } from "node:child_process";
import { endWithProcess, signalTo } from "../measuring/end-with-process.ts";
import { cpuSecondsOf } from "../measuring/process-cpu.ts";
import type { Contender, Running, Task } from "./contender.ts";

const baselineFolder = new URL("../baselines/", import.meta.url).pathname;
/** Of what it says the end is kept, for the error where it fails. */
const KEPT_CHARACTERS = 4_000;

/** What a script's contender is made of; `given` goes to the script beside the task. */
export interface ScriptOptions extends Omit<Contender, "start"> {
	readonly script: string;
	readonly given?: Readonly<Record<string, unknown>>;
}

export function scriptContender({ script, given = {}, ...contender }: ScriptOptions): Contender {
	const argumentOf = ({ servers, topic, group, table, connections }: Task) =>
		JSON.stringify({ brokers: servers.brokers, databaseUrl: servers.databaseUrl, topic, group, table, connections, ...given });
	const start = async (task: Task) =>
		runningProcess(
			contender.name,
			spawn(process.execPath, [baselineFolder + script, argumentOf(task)], { stdio: ["ignore", "ignore", "pipe"] }),
		);
	return { ...contender, start };
}

/** A child that ends by SIGTERM when it has committed what it has. */
export function runningProcess(name: string, child: ChildProcess): Running {
	let said = "";
	for (const stream of [child.stdout, child.stderr])
		stream?.setEncoding("utf8").on("data", (chunk: string) => {
			said = (said + chunk).slice(-KEPT_CHARACTERS);
		});
	const exit = new Promise<number | null>((resolve) => child.once("exit", (code) => resolve(code)));
	const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
	const pid = child.pid as number;
	child.once(
		"exit",
		endWithProcess(() => signalTo(pid, "SIGKILL")),
	);
	return {
		pid,
		ended: () => (hasEnded() ? `${name} ended: ${said}` : null),
		cpuSeconds: () => cpuSecondsOf(pid),
		stop: async () => {
			child.kill("SIGTERM");
			await exit;
		},
		async [Symbol.asyncDispose]() {
			if (!hasEnded()) child.kill("SIGKILL");
			await exit;
		},
	};
}
