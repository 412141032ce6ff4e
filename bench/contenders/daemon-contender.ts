/** The daemon as a contender: a process with a configuration, as its users run it. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type DaemonProcess, runDaemon } from "../../test/support/daemons/daemon-process.ts";
import { endWithProcess, signalTo } from "../measuring/end-with-process.ts";
import { daemonTable } from "../measuring/event-tables.ts";
import type { Contender, Running, Task } from "./contender.ts";

const handlerFolder = new URL("../handlers/", import.meta.url).pathname;
/** So often that progress can be told from commits within a run of seconds. */
export const COMMIT_INTERVAL_MS = 100;

/** Paths of handlers in bench/handlers. */
export function handlerFile(name: string): string {
	return join(handlerFolder, name);
}

/** `sections` go over the configuration that every run has. */
export function daemonContender(name: string, sections: Readonly<Record<string, unknown>>): Contender {
	return { name, newestBy: "version", start: async (task) => runningDaemon(await startDaemon(task, sections)) };
}

/** Starts a daemon on the task, in a folder of its own. */
export async function startDaemon(
	{ servers, topic, group, table, connections }: Task,
	sections: Readonly<Record<string, unknown>>,
): Promise<DaemonProcess> {
	const folder = join(servers.folder, group);
	await mkdir(folder, { recursive: true });
	const daemon = await runDaemon(folder, {
		kafka: { brokers: servers.brokers.split(","), topics: [topic], group },
		database: { url: servers.databaseUrl, connections },
		tables: { [table]: daemonTable },
		offsets: { commitIntervalMs: COMMIT_INTERVAL_MS },
		...sections,
	});
	daemon.child.once(
		"exit",
		endWithProcess(() => signalTo(daemon.child.pid as number, "SIGKILL")),
	);
	return daemon;
}

/** A started daemon, seen as a contender. */
export function runningDaemon(daemon: DaemonProcess): Running {
	const { child } = daemon;
	return {
		pid: child.pid as number,
		ended: () => (child.exitCode === null && child.signalCode === null ? null : `the daemon ended: ${daemon.output.slice(-2000)}`),
		cpuSeconds: () => daemon.metric("process_cpu_seconds_total"),
		stop: async () => {
			const code = await daemon.stop();
			if (code !== 0) throw new Error(`the daemon ended with ${code}: ${daemon.output.slice(-2000)}`);
		},
		[Symbol.asyncDispose]: () => daemon[Symbol.asyncDispose](),
	};
}
