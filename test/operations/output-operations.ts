/** What happens to a daemon's log and to its clock: neither is what delivery depends on. */
import { closeSync, openSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import type { DaemonProcess } from "../support/daemons/daemon-process.ts";
import { freePort } from "../support/free-port.ts";
import { waitFor } from "../support/wait-for.ts";
import type { Operation } from "./operation.ts";
import type { OperationScene } from "./scene.ts";

const HOUR_MS = 3_600_000;

/** A daemon whose handler prints each message, so that its log is never quiet; `stdout` is a file where it is named. */
async function startPrinting(scene: OperationScene, stdout?: string): Promise<DaemonProcess> {
	const module = join(scene.folder, "printing.mjs");
	await writeFile(
		module,
		`export function handleMessage({ key, value }) {
			console.log(key + "-".repeat(4_000) + value);
			const id = key.toString();
			return value === null ? { id, delete: true } : { id, fields: { n: JSON.parse(value).n } };
		}`,
	);
	expect(await scene.end(scene.daemon)).toBe(0);
	const port = await freePort();
	const output = stdout === undefined ? "pipe" : openSync(stdout, "w");
	const sections = { handler: { module }, http: { port } };
	const daemon = await scene.startDaemon(sections, { stdout: output, url: `http://127.0.0.1:${port}` });
	if (output !== "pipe") closeSync(output);
	return daemon;
}

/** Records are lost, and are counted. */
async function losesRecords(daemon: DaemonProcess): Promise<void> {
	await waitFor("lost records", async () => (await daemon.metric("pockaffe_log_records_dropped_total")) > 0);
}

export const outputOperations: readonly Operation[] = [
	{
		name: "the log's reader is gone (EPIPE)",
		run: async (scene) => {
			const daemon = await startPrinting(scene);
			daemon.child.stdout?.destroy();
			await losesRecords(daemon);
		},
	},
	{
		name: "the log's reader stops reading, and goes on",
		run: async (scene) => {
			const daemon = await startPrinting(scene);
			daemon.child.stdout?.pause();
			await losesRecords(daemon);
			await scene.progress();
			daemon.child.stdout?.resume();
		},
	},
	{
		name: "the log's disk is full",
		run: async (scene) => losesRecords(await startPrinting(scene, "/dev/full")),
	},
	{
		name: "the clock of the daemon's machine goes an hour forward, and an hour back",
		run: async (scene) => {
			const clock = await shiftedClock(scene);
			for (const ms of [HOUR_MS, 0, -HOUR_MS, 0]) {
				await clock.shift(ms);
				await scene.progress();
				await scene.ready();
			}
		},
	},
];

/** Starts a daemon whose clock can be shifted: `Date` in all its threads, not what librdkafka and the servers read. */
async function shiftedClock(scene: OperationScene): Promise<{ shift(ms: number): Promise<void> }> {
	const [preload, file] = [join(scene.folder, "clock.mjs"), join(scene.folder, "shift")];
	await writeFile(file, "0");
	await writeFile(
		preload,
		`import { readFileSync } from "node:fs";
		const { now } = Date;
		let shift = 0;
		setInterval(() => { shift = Number(readFileSync(${JSON.stringify(file)}, "utf8")); }, 50).unref();
		globalThis.Date = class extends Date {
			constructor(...args) { super(...(args.length === 0 ? [now() + shift] : args)); }
			static now() { return now() + shift; }
		};`,
	);
	expect(await scene.end(scene.daemon)).toBe(0);
	const daemon = await scene.startDaemon({}, { env: { NODE_OPTIONS: `--import=${preload}` } });
	// It has noted when it was started.
	await daemon.ready();
	return {
		async shift(ms) {
			await writeFile(file, String(ms));
			// Its uptime is by the clock, and never below nothing.
			const isThere = (uptimeMs: number) => (ms < 0 ? uptimeMs === 0 : Math.abs(uptimeMs - ms) < HOUR_MS / 2);
			await waitFor(`a clock that is ${ms} ms ahead`, async () => isThere(Math.round((await daemon.status()).uptime * 1_000)));
		},
	};
}
