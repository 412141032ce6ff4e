/** Handlers that stand where nothing can end their thread: told, bounded, and no way to keep the process. */
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, inject, it } from "vitest";
import { DaemonProcess, runDaemon } from "../../support/daemons/daemon-process.ts";
import { committedOffsets, untilCommitted } from "../../support/kafka/group-offsets.ts";
import { loadTopic } from "../../support/kafka/load-topic.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { withAddon } from "../../support/project/with-addon.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

/** Longer than any innocent call takes, also on a busy machine. */
const TIMEOUT_MS = 5_000;
/** A process that nothing but such a thread holds goes at once (measured, half a second) and not when a call's time or the pipe is over. */
const CALL_MS = 600_000;
const AT_ONCE_MS = 60_000;

/** Waits for a pipe that nobody writes to, and leaves the file `stands` where it does. */
const prelude = `
	import { execFileSync } from "node:child_process";
	import { existsSync, readFileSync, writeFileSync } from "node:fs";
	const pipe = new URL("./pipe", import.meta.url).pathname;
	const stand = () => {
		try { execFileSync("mkfifo", [pipe], { stdio: "ignore" }); } catch {}
		writeFileSync(new URL("./stands", import.meta.url).pathname, "");
		readFileSync(pipe);
	};
	const row = ({ partition, offset }) => ({ id: partition + "-" + offset, fields: { n: offset } });`;

interface SceneOptions {
	readonly handler: string;
	readonly partitions?: number;
	readonly messages?: number;
	readonly config?: Readonly<Record<string, Record<string, unknown>>>;
}

async function scene({ handler, partitions = 1, messages = 4, config = {} }: SceneOptions) {
	const [folder, db] = [await temporaryFolder(), await createTestDatabase()];
	const [topic, group, brokers] = [uniqueName("stuck"), uniqueName("g"), inject("kafkaBrokers")];
	await writeFile(join(folder.path, "handler.mjs"), prelude + handler);
	const records = Array.from({ length: partitions * messages }, (_, n) => ({ topic, partition: n % partitions, key: `${n}`, value: "v" }));
	await loadTopic(brokers, { name: topic, partitions }, records);
	const daemon = await runDaemon(folder.path, {
		kafka: { brokers: [brokers], topics: [topic], group },
		handler: { module: "./handler.mjs", timeoutMs: TIMEOUT_MS, maxAttempts: 1, ...config.handler },
		supervisor: { minBackoffMs: 1, maxBackoffMs: 50 },
		tables: { rows: { columns: { n: "bigint" }, create: true } },
		database: { url: db.url },
		offsets: { commitIntervalMs: 50 },
		drain: { timeoutMs: 30_000, ...config.drain },
	});
	return {
		daemon,
		topic,
		folder: folder.path,
		stands: () => waitFor("the handler to stand", async () => existsSync(join(folder.path, "stands"))),
		committed: () => committedOffsets(brokers, group, topic),
		untilCommitted: () => untilCommitted(brokers, group, topic),
		ids: async () => (await db.database.query("select id from rows order by id")).map(({ id }) => id),
		letters: async () =>
			(await db.database.query("select reason, error from pockaffe_dead_letters")) as { reason: string; error: string }[],
		async [Symbol.asyncDispose]() {
			await daemon[Symbol.asyncDispose]();
			await db[Symbol.asyncDispose]();
			await folder[Symbol.asyncDispose]();
		},
	};
}

async function timed(ends: Promise<number>): Promise<{ code: number; ms: number }> {
	const startedAt = performance.now();
	return { code: await ends, ms: performance.now() - startedAt };
}

describeOnKafka("a handler whose thread can't be ended", withAddon, () => {
	it("is told in /readyz and by a metric, with module and message; the others are handled, and a stop ends with 0", async () => {
		await using run = await scene({
			handler: "export const handleMessage = (message) => (message.offset === 1 ? stand() : row(message));",
		});
		const { daemon, topic } = run;
		await run.untilCommitted();
		const reasons = await waitFor("the reason", async () => {
			const all = await daemon.notReady();
			return all.some(({ code }) => code === "thread_stuck") ? all : null;
		});
		expect(reasons).toEqual([{ code: "thread_stuck", topic, partition: 0, since: expect.any(String), message: expect.any(String) }]);
		expect(reasons[0]?.message).toMatch(/^thread \d+ of \S+handler\.mjs stands in the handler's call of offset 1, and can't be ended/);
		expect(await daemon.metric("pockaffe_threads_stuck")).toBe(1);
		await daemon.record("the thread", ({ reason, level }) => reason === "thread_stuck" && level === "error");
		expect([await run.ids(), (await run.letters()).map(({ reason }) => reason)]).toEqual([["0-0", "0-2", "0-3"], ["timeout"]]);
		const { code, ms } = await timed(daemon.stop());
		expect([code, ms < AT_ONCE_MS]).toEqual([0, true]);
	});

	it("and is still in its call is cut off at the drain's deadline: exit 4, nothing of it committed", async () => {
		const config = { handler: { timeoutMs: CALL_MS }, drain: { timeoutMs: 500 } };
		await using run = await scene({ handler: "export const handleMessage = () => stand();", config });
		await run.stands();
		const { code, ms } = await timed(run.daemon.stop());
		expect([code, ms < AT_ONCE_MS]).toEqual([4, true]);
		expect([await run.committed(), await run.ids()]).toEqual([[0], []]);
	});

	it("at more messages than may be so at a time ends the daemon by itself with exit code 6, and nothing is lost by it", async () => {
		const handler = "export const handleMessage = (message) => (message.offset === 1 ? stand() : row(message));";
		await using run = await scene({ handler, partitions: 5 });
		expect(await run.daemon.exited()).toBe(6);
		expect(run.daemon.output).toMatch(/5 handler threads can't be ended, more than 4; the last one: thread \d+ of \S+handler\.mjs stands/);
		const [ids, letters] = [await run.ids(), await run.letters()];
		for (const [partition, committed] of (await run.committed()).entries()) {
			const settled = ids.filter((id) => String(id).startsWith(`${partition}-`)).length + 1;
			expect(committed ?? 0).toBeLessThanOrEqual(settled);
		}
		expect(letters.length).toBe(5);
	});

	it("holds no verify up: Ctrl-C ends it at once", async () => {
		const handler = `
			export const init = ({ purpose }) => ({ purpose });
			export const handleMessage = (message, { purpose }) => (purpose === "verify" ? stand() : row(message));`;
		await using run = await scene({ handler, config: { handler: { timeoutMs: CALL_MS } } });
		await run.untilCommitted();
		expect(await run.daemon.stop()).toBe(0);
		await using verify = new DaemonProcess(["verify", "-c", join(run.folder, "pockaffe.yaml")], { cwd: run.folder });
		await run.stands();
		const { code, ms } = await timed(verify.stop("SIGINT"));
		expect([code, ms < AT_ONCE_MS, verify.output]).toEqual([1, true, expect.stringContaining("the verification was interrupted")]);
	});
});

describe("a module whose load can't be ended", withAddon, () => {
	it("holds no check up: Ctrl-C ends it at once", async () => {
		await using folder = await temporaryFolder();
		await writeFile(join(folder.path, "handler.mjs"), `${prelude} stand(); export const handleMessage = () => null;`);
		await using check = new DaemonProcess(["check"], { cwd: folder.path, env: { POCKAFFE_HANDLER_MODULE: "./handler.mjs" } });
		await waitFor("the module to stand", async () => existsSync(join(folder.path, "stands")));
		const { code, ms } = await timed(check.stop("SIGINT"));
		expect([code, ms < AT_ONCE_MS, check.output]).toEqual([1, true, expect.stringContaining("the check was interrupted")]);
	});
});
