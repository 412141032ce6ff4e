/** A thread that `terminate()` doesn't end: judged at its deadline, and the next one begins beside it. Real threads. */
import { execFileSync } from "node:child_process";
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { StuckThreads } from "../../src/worker/thread/stuck-threads.ts";
import { ManualClock } from "../support/fakes/manual-clock.ts";
import { realWorkers } from "../support/fakes/real-worker.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait-for.ts";

const COUNT = 6;
/** A thread that was told to end has so long for it. */
const GRACE_MS = 1_000;

/** A pipe that nobody writes to: who opens it for reading waits until `release`. */
async function pipe() {
	const folder = await temporaryFolder();
	const path = join(folder.path, "pipe");
	execFileSync("mkfifo", [path]);
	/** Opened for both it waits for nobody: who reads has all of it by the close. */
	const release = async () => {
		const both = await open(path, constants.O_RDWR);
		await both.write("x");
		await both.close();
	};
	return { path, release, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

/**
 * `stand(path)` waits in one native call until the pipe is released. Its child process says that it stands: said before the call, the
 * thread could still be ended on the way into it.
 */
const standing = `
	import { spawnSync } from "node:child_process";
	const stand = (path) => {
		const script = 'echo "$1" >> "$2"; cat "$3"';
		spawnSync("sh", ["-c", script, "sh", threadId, __folder + "/notes-stands", path], { stdio: "ignore" });
	};
`;

const handler = (act: string) => `
	${standing}
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
			const clock = new ManualClock();
			const stuck = new StuckThreads({ clock });
			await using workers = await realWorkers({ source: handler(act(blocked.path)), maxThreads, stuck });
			await using _end = { [Symbol.asyncDispose]: blocked.release };
			const { victim, sibling } = workers;
			sibling.deliver(0, COUNT);
			await sibling.done(COUNT);
			victim.deliver(0, COUNT);
			const isBetweenCalls = words === "stands";
			if (isBetweenCalls) await victim.done(COUNT);
			await workers.stand();
			// Between two calls nobody misses it before there is something to do.
			if (isBetweenCalls) victim.deliver(COUNT, COUNT + 1);
			await workers.timeOut();
			// Judged when it had to end, not when its grace is over; the next one waits for that.
			expect([victim.crashes.map(({ kind }) => kind), stuck.count, victim.events]).toEqual([
				["timeout"],
				0,
				["started", "restarted timeout"],
			]);
			if (!isBetweenCalls) victim.deliver(COUNT, COUNT + 1);
			sibling.deliver(COUNT, COUNT + 1);
			await clock.advance(GRACE_MS);
			await Promise.all([victim.done(COUNT + 1), sibling.done(COUNT + 1)]);
			expect(stuck.count).toBe(1);
			const [problem] = stuck.problems;
			expect(problem).toMatchObject({ code: "thread_stuck", where: { topic: "orders", partition: 0 } });
			expect(problem?.message).toContain(words);
			await blocked.release();
			await waitFor("its end", async () => stuck.count === 0);
			expect([[...victim.finished].sort(), [...sibling.finished].sort()]).toEqual([
				[0, 1, 2, 3, 4, 5, 6],
				[0, 1, 2, 3, 4, 5, 6],
			]);
			expect(victim.events).toEqual(["started", "restarted timeout", "started"]);
		},
	);

	it("is left behind by a restart by hand, and nobody is charged", async () => {
		await using blocked = await pipe();
		const stuck = new StuckThreads();
		const source = handler(`stand(${JSON.stringify(blocked.path)});`);
		await using workers = await realWorkers({ source, stuck });
		const { victim } = workers;
		victim.deliver(0, COUNT);
		await workers.stand();
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
			${standing}
			export const init = () => ({});
			export const handleMessage = ({ offset }) => ({ id: offset, fields: {} });
			export const terminate = () => stand(${JSON.stringify(blocked.path)});`;
		await using workers = await realWorkers({ source, stuck });
		const { victim } = workers;
		victim.deliver(0, 1);
		await victim.done(1);
		const stopped = victim.worker.stop("shutdown");
		await workers.timeOut(() => victim.events.length > 1);
		await stopped;
		expect([stuck.count, victim.events.at(-1)]).toEqual([1, expect.stringMatching(/^terminate failed .*terminate took longer/)]);
		expect(stuck.problems[0]?.message).toContain("stands in terminate");
		await blocked.release();
		await waitFor("its end", async () => stuck.count === 0);
	});
});
