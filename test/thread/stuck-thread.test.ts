/** A thread that `terminate()` doesn't end: judged at its deadline, and the next one begins beside it. Real threads. */
import { execFileSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { StuckThreads } from "../../src/worker/stuck-threads.ts";
import { realWorkers } from "../support/real-worker.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait-for.ts";

const COUNT = 6;

/** A pipe that nobody writes to: who opens it for reading waits in a native call until `release`. */
async function pipe() {
	const folder = await temporaryFolder();
	const path = join(folder.path, "pipe");
	execFileSync("mkfifo", [path]);
	// Opened by both sides it lets go; a reader that is gone before it has read is no error.
	return { path, release: () => writeFile(path, "x").catch(() => {}), [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

const handler = (act: string) => `
	import { readFileSync } from "node:fs";
	const stand = (path) => {
		note(0, "stands");
		readFileSync(path);
	};
	export const init = ({ partition }) => ({ partition });
	export async function handleMessage({ partition, offset }) {
		if (partition === 0 && offset === 2 && once("act")) { ${act} }
		return { id: offset, fields: {} };
	}
	export const terminate = () => {};`;

describe("a thread that can't be ended", () => {
	it.each([
		["in a call", 0, (path: string) => `stand(${JSON.stringify(path)});`, "in the handler's call of offset 2"],
		[
			"in a call, shared with another partition",
			1,
			(path: string) => `stand(${JSON.stringify(path)});`,
			"in the handler's call of offset 2",
		],
		["between two calls", 0, (path: string) => `setImmediate(() => stand(${JSON.stringify(path)}));`, "stands"],
	])(
		"%s: its message is judged at the deadline, the next thread begins beside it, both partitions go on",
		async (_, maxThreads, act, words) => {
			await using blocked = await pipe();
			const stuck = new StuckThreads();
			await using workers = await realWorkers({ source: handler(act(blocked.path)), timeoutMs: 400, maxThreads, stuck });
			const { victim, sibling } = workers;
			victim.deliver(0, COUNT);
			sibling.deliver(0, COUNT);
			await victim.done(COUNT);
			// Between two calls nobody misses it before there is something to do; a message that came before it stands would still be handled.
			await waitFor("the thread to stand", async () => (await victim.notes()).includes("stands"));
			victim.deliver(COUNT, COUNT + 1);
			await victim.done(COUNT + 1);
			await sibling.done(COUNT);
			expect(stuck.count).toBe(1);
			const [problem] = stuck.problems;
			expect(problem).toMatchObject({ code: "thread_stuck", where: { topic: "orders", partition: 0 } });
			expect(problem?.message).toContain(words);
			// Judged when it had to end, not when its grace was over.
			expect(victim.crashes.map(({ kind }) => kind)).toEqual(["timeout"]);
			expect((victim.crashes[0]?.time as number) - (problem?.sinceMs as number)).toBeLessThan(500);
			await blocked.release();
			await waitFor("its end", async () => stuck.count === 0);
			expect([[...victim.finished].sort(), [...sibling.finished].sort()]).toEqual([
				[0, 1, 2, 3, 4, 5, 6],
				[0, 1, 2, 3, 4, 5],
			]);
			expect(victim.events).toEqual(["started", "restarted timeout", "started"]);
		},
	);

	it("is left behind by a restart by hand, and nobody is charged", async () => {
		await using blocked = await pipe();
		const stuck = new StuckThreads();
		const source = handler(`note(0, "stands"); readFileSync(${JSON.stringify(blocked.path)});`);
		await using workers = await realWorkers({ source, timeoutMs: 60_000, stuck });
		const { victim } = workers;
		victim.deliver(0, COUNT);
		await waitFor("the call", async () => (await victim.notes()).includes("stands"));
		victim.worker.restart();
		await victim.done(COUNT);
		expect([stuck.count, victim.crashes, victim.events]).toEqual([1, [], ["started", "restarted admin", "started"]]);
		await blocked.release();
		await waitFor("its end", async () => stuck.count === 0);
	});

	it("in terminate holds a stop up for its deadline and a second, no longer", async () => {
		await using blocked = await pipe();
		const stuck = new StuckThreads();
		const source = `
			import { readFileSync } from "node:fs";
			export const init = () => ({});
			export const handleMessage = ({ offset }) => ({ id: offset, fields: {} });
			export const terminate = () => readFileSync(${JSON.stringify(blocked.path)});`;
		await using workers = await realWorkers({ source, timeoutMs: 300, stuck });
		const { victim } = workers;
		victim.deliver(0, 1);
		await victim.done(1);
		await victim.worker.stop("shutdown");
		expect([stuck.count, victim.events.at(-1)]).toEqual([1, expect.stringMatching(/^terminate failed .*terminate took longer/)]);
		expect(stuck.problems[0]?.message).toContain("stands in terminate");
		await blocked.release();
		await waitFor("its end", async () => stuck.count === 0);
	});
});
