/** Signals to the daemon as a process: which drain, which do nothing, and that none of them opens a door. */
import { type ChildProcess, spawn } from "node:child_process";
import { readFile, symlink, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { DaemonProcess } from "../../support/daemons/daemon-process.ts";
import { loadTopic } from "../../support/kafka/load-topic.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres/test-database.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

const brokers = inject("kafkaBrokers");
const project = new URL("../../..", import.meta.url).pathname;
const INSPECTOR_PORT = 9229;

describeOnKafka("signals", () => {
	let folder: Awaited<ReturnType<typeof temporaryFolder>>;
	let db: TestDatabase;
	let file: string;

	beforeAll(async () => {
		folder = await temporaryFolder();
		db = await createTestDatabase();
		const topic = uniqueName("signals");
		await loadTopic(brokers, { name: topic, partitions: 1 }, [{ topic, key: "a", value: '{"name":"x"}' }]);
		const config = {
			kafka: { brokers: [brokers], topics: [topic], group: uniqueName("g") },
			handler: { module: "pockaffe:json" },
			database: { url: db.url },
			tables: { events: { columns: { name: "text" }, create: true } },
			http: { port: 0 },
		};
		file = join(folder.path, "pockaffe.yaml");
		await writeFile(file, JSON.stringify(config));
	});

	afterAll(async () => {
		await db?.[Symbol.asyncDispose]();
		await folder?.[Symbol.asyncDispose]();
	});

	const start = () => new DaemonProcess(["run", "-c", file], { cwd: folder.path });

	it.each(["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"] as const)("%s drains, commits, leaves the group and exits 0", async (signal) => {
		await using daemon = start();
		await daemon.ready();
		expect(await daemon.stop(signal)).toBe(0);
		expect(daemon.records.at(-1)).toMatchObject({ drained: true, left: true });
		await daemon.record("the signal as the reason", ({ reason }) => reason === signal);
	});

	it.each(["SIGUSR1", "SIGUSR2", "SIGALRM", "SIGPIPE"] as const)("%s does nothing, and is told but for SIGPIPE", async (signal) => {
		await using daemon = start();
		await daemon.ready();
		daemon.child.kill(signal);
		if (signal !== "SIGPIPE") await daemon.record("that it does nothing", (record) => record.signal === signal);
		expect(await answers(INSPECTOR_PORT)).toBe(false);
		expect(daemon.output).not.toContain("Debugger");
		await daemon.ready();
		expect(await daemon.stop()).toBe(0);
	});

	it.each(["SIGUSR1", "SIGHUP"] as const)("%s does the same while the daemon starts", async (signal) => {
		await using daemon = start();
		// The first line: nothing has been connected yet.
		await daemon.url();
		daemon.child.kill(signal);
		if (signal === "SIGUSR1") {
			await daemon.ready();
			expect(daemon.output).not.toContain("Debugger");
		}
		expect(signal === "SIGHUP" ? await daemon.exited() : await daemon.stop()).toBe(0);
	});

	it.each(["SIGTERM", "SIGINT"] as const)("to npm start: %s reaches the daemon, and npm ends with it", async (signal) => {
		// The demo makes its database in the folder that npm starts in.
		await using demo = await temporaryFolder();
		await writeFile(join(demo.path, "package.json"), await readFile(join(project, "package.json")));
		await symlink(join(project, "dist"), join(demo.path, "dist"));
		const npm = spawn("npm", ["start", "--silent", "--", "-c", file], {
			cwd: demo.path,
			stdio: ["ignore", "pipe", "pipe"],
		});
		try {
			const output = outputOf(npm);
			const pid = Number((await waitFor("the daemon's pid", () => /"pid":(\d+)/.exec(output())))[1]);
			expect(pid).not.toBe(npm.pid);
			await waitFor("the group", () => output().includes("member of the group"));
			npm.kill(signal);
			await waitFor("the end of npm", () => npm.exitCode !== null || npm.signalCode !== null);
			await waitFor("the end of the daemon", () => !isAlive(pid));
			expect(output()).toContain('"drained":true,"left":true');
		} finally {
			npm.kill("SIGKILL");
		}
	});
});

function outputOf(child: ChildProcess): () => string {
	let output = "";
	for (const stream of [child.stdout, child.stderr]) {
		stream?.setEncoding("utf8").on("data", (chunk: string) => {
			output += chunk;
		});
	}
	return () => output;
}

function isAlive(pid: number): boolean {
	try {
		return process.kill(pid, 0);
	} catch {
		return false;
	}
}

function answers(port: number): Promise<boolean> {
	return new Promise((resolve) => {
		const socket = connect({ host: "127.0.0.1", port });
		socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
		socket.once("close", () => socket.destroy());
		socket.unref();
	});
}
