/** Partitions that share a real thread, under real partition workers: what they have in common there, and what stays each one's own. */
import { describe, expect, it } from "vitest";
import { received, runAll, threadFor } from "../support/fakes/real-thread.ts";
import { type RealWorker, type RealWorkers, realWorkers } from "../support/fakes/real-worker.ts";
import { waitFor } from "../support/wait-for.ts";

const COUNT = 6;
const FAILS_AT = 3;

/** Notes every init, message and terminate; partition 0 does `body` once, at the message FAILS_AT. */
function failingOnce(body = ""): string {
	return `
		if (once("loaded")) note("all", "loaded"); else note("all", "loaded again");
		let inThread = 0;
		export function init({ partition }) { note(partition, "init"); return { handled: 0 }; }
		export function handleMessage({ partition, offset }, state) {
			if (partition === 0 && offset === ${FAILS_AT} && once("failed")) { ${body} }
			note(partition, offset + " " + state.handled++);
			note("thread", partition + "@" + offset + " " + inThread++);
			return { id: String(offset), fields: {} };
		}
		export function terminate(reason, state) { note("all", "terminate " + reason + " " + state.handled); }`;
}

function openShared(source: string, options: { concurrency?: number } = {}): Promise<RealWorkers> {
	return realWorkers({ source, maxThreads: 1, ...options });
}

/** What was handled by the last state, in order: `offset count`. */
async function lastLife({ notes }: RealWorker): Promise<string[]> {
	const all = await notes();
	return all.slice(all.lastIndexOf("init") + 1);
}

const inOrder = (count: number, from = 0) => Array.from({ length: count - from }, (_, index) => `${from + index} ${index}`);
const offsets = (count: number) => Array.from({ length: count }, (_, offset) => offset);

describe("partitions that share a thread", () => {
	it("have one module and one state each, and each its own terminate", async () => {
		await using workers = await openShared(failingOnce());
		const { victim, sibling } = workers;
		victim.deliver(0, COUNT);
		sibling.deliver(0, COUNT);
		await Promise.all([victim.done(COUNT), sibling.done(COUNT)]);
		expect(victim.worker.threadId).toBe(sibling.worker.threadId);
		expect([await lastLife(victim), await lastLife(sibling)]).toEqual([inOrder(COUNT), inOrder(COUNT)]);
		expect((await workers.notes("thread")).map((note) => note.split(" ")[1])).toEqual(offsets(2 * COUNT).map(String));
		await victim.worker.stop("revoked");
		expect(await workers.notes("all")).toEqual(["loaded", `terminate revoked ${COUNT}`]);
		// Who is left has the thread for itself, with the state it had.
		sibling.deliver(COUNT, COUNT + 1);
		await sibling.done(COUNT + 1);
		expect((await sibling.notes()).at(-1)).toBe(`${COUNT} ${COUNT}`);
		await sibling.worker.stop("shutdown");
		expect((await workers.notes("all")).at(-1)).toBe(`terminate shutdown ${COUNT + 1}`);
	});

	it("overlap calls within a partition, never between two", async () => {
		const source = `
			let running = new Set();
			export async function handleMessage({ partition, offset }) {
				running.add(partition + "@" + offset);
				note("all", [...new Set([...running].map((name) => name.split("@")[0]))].join() + " " + (running.size > 1));
				await new Promise((resolve) => setImmediate(resolve));
				running.delete(partition + "@" + offset);
			}`;
		await using workers = await openShared(source, { concurrency: 4 });
		const { victim, sibling } = workers;
		victim.deliver(0, 40);
		sibling.deliver(0, 40);
		await Promise.all([victim.done(40), sibling.done(40)]);
		const notes = await workers.notes("all");
		expect(new Set(notes.map((note) => note.split(" ")[0]))).toEqual(new Set(["0", "1"]));
		expect(notes.some((note) => note.endsWith("true"))).toBe(true);
	});

	it("may be handed messages in batches, and leave them open", async () => {
		const source = `
			export const init = () => [];
			export function handleMessages(batch, state) {
				for (const { partition, offset } of batch) state.push(partition + "@" + offset);
				if (batch.at(-1).offset < ${COUNT - 1}) return { finishedTo: null };
				note("all", state.splice(0).join(" "));
				return { finishedTo: batch.at(-1).offset };
			}`;
		await using workers = await openShared(source);
		const { victim, sibling } = workers;
		for (const worker of [victim, sibling]) worker.deliver(0, 2);
		await waitFor("both to hold messages", async () => victim.worker.queue.unconfirmed + sibling.worker.queue.unconfirmed === 4);
		for (const worker of [victim, sibling]) worker.deliver(2, COUNT);
		await Promise.all([victim.done(COUNT), sibling.done(COUNT)]);
		const ofPartition = (partition: number) => offsets(COUNT).map((offset) => `${partition}@${offset}`);
		expect((await workers.notes("all")).sort()).toEqual([ofPartition(0).join(" "), ofPartition(1).join(" ")]);
	});

	it("don't keep each other waiting for a long run: it is cut where others wait", async () => {
		// From the third on, which lasts until the other is about to ask, each call is longer than a turn: the whole run would take ten
		// seconds.
		const source = `
			export function handleMessage({ partition, offset }) {
				note("all", partition + "@" + offset);
				if (partition !== 0 || offset < 2) return;
				standUntil("other");
				for (const end = performance.now() + 25; performance.now() < end; );
			}`;
		await using workers = await openShared(source);
		const { victim, sibling } = workers;
		victim.deliver(0, 400);
		await waitFor("the long run to have begun", async () => (await workers.notes("all")).length === 3);
		sibling.deliver(0, 1);
		await waitFor("the other to begin", () => sibling.worker.state.name === "starting");
		await workers.open("other");
		await sibling.done(1);
		expect((await workers.notes("all")).indexOf("1@0")).toBeLessThan(400);
		await victim.worker.drain("revoked", () => false);
		await victim.worker.stop("revoked");
		expect(victim.finished).toEqual(offsets(victim.finished.length));
	});
});

describe("what is printed in a shared thread", () => {
	it("is told with the partition that is being answered, and without one between two calls", async () => {
		const lines: string[] = [];
		const source = `
			console.log("loads");
			export function init() { console.log("init"); }
			export function handleMessage({ offset }) {
				console.log("message " + offset);
				setTimeout(() => console.log("later"));
			}`;
		await using real = await threadFor(source, {
			isShared: true,
			printed: ({ partition, line }) => lines.push(`${partition?.partition ?? "nobody"}: ${line}`),
		});
		await real.thread.start();
		await runAll(real.thread, [received(0)]);
		const expected = ["1: loads", "1: init", "2: init", "2: message 0", "nobody: later"];
		await expect.poll(() => lines).toEqual(expected);
	});
});

describe("what one partition does in a shared thread", () => {
	it.each([
		["throws", 'throw new Error("boom")', "exception"],
		["returns what is no outcome", "return 5", "bad_outcome"],
	])("and stays alive (%s) is its own matter: the others keep their state", async (_, body, kind) => {
		await using workers = await openShared(failingOnce(body));
		const { victim, sibling } = workers;
		sibling.deliver(0, COUNT);
		victim.deliver(0, COUNT);
		await waitFor("the failure", async () => victim.crashes.length > 0);
		sibling.deliver(COUNT, 2 * COUNT);
		await Promise.all([victim.done(COUNT), sibling.done(2 * COUNT)]);
		expect(victim.crashes).toMatchObject([{ kind, attempt: 1, restarts: 0, next: { action: "retry" } }]);
		expect(await lastLife(victim)).toEqual(inOrder(COUNT, FAILS_AT));
		expect([sibling.events, sibling.crashes, await lastLife(sibling)]).toEqual([["started"], [], inOrder(2 * COUNT)]);
	});

	it.each<[what: string, body: string, reason: string]>([
		["an uncaught exception in a timer", "return new Promise(() => setTimeout(() => { throw new Error() }))", "exception"],
		["process.exit", "process.exit(0)", "exit"],
		["out of memory", "const all = []; for (;;) all.push(new Array(100000).fill(Math.random()))", "out_of_memory"],
		["a busy loop", "stands(); for (;;);", "timeout"],
		["a promise that never settles", "stands(); return new Promise(() => {})", "timeout"],
	])("and ends it (%s) is charged to it alone; the others begin anew and lose nothing", async (_, body, reason) => {
		await using workers = await openShared(failingOnce(body));
		const { victim, sibling } = workers;
		sibling.deliver(0, COUNT);
		await sibling.done(COUNT);
		victim.deliver(0, COUNT);
		await waitFor("the failing call", async () => (await victim.notes()).length > FAILS_AT);
		sibling.deliver(COUNT, 2 * COUNT);
		if (reason === "timeout") await workers.timeOut();
		await Promise.all([victim.done(COUNT), sibling.done(2 * COUNT)]);
		expect(victim.crashes).toMatchObject([
			{ kind: reason, attempt: 1, restarts: 1, coordinates: { offset: FAILS_AT }, next: { action: "restart" } },
		]);
		// What left the thread before it died is not handled again.
		expect([victim.finished, await lastLife(victim)]).toEqual([offsets(COUNT), inOrder(COUNT, victim.finishedAtCrash[0])]);
		expect([sibling.events, sibling.crashes]).toEqual([["started", "restarted shared", "started"], []]);
		expect([sibling.worker.failuresInARow, sibling.worker.attempts, sibling.worker.restarts]).toEqual([0, 0, 1]);
		expect([sibling.finished, await lastLife(sibling)]).toEqual([offsets(2 * COUNT), inOrder(2 * COUNT, COUNT)]);
		expect(victim.worker.threadId).toBe(sibling.worker.threadId);
		expect(await workers.notes("all")).toEqual(["loaded", "loaded again"]);
	});

	it("in a timer between two calls is charged to all, and no message", async () => {
		const source = failingOnce("").replace(
			"note(partition, offset",
			'if (offset === 2 && partition === 0 && once("timer")) void until("death").then(() => { throw new Error("between") });\n note(partition, offset',
		);
		await using workers = await openShared(source);
		const { victim, sibling } = workers;
		sibling.deliver(0, 3);
		await sibling.done(3);
		victim.deliver(0, 3);
		await victim.done(3);
		await workers.open("death");
		await waitFor("the deaths", async () => victim.crashes.length > 0 && sibling.crashes.length > 0);
		for (const worker of [victim, sibling]) worker.deliver(3, COUNT);
		await Promise.all([victim.done(COUNT), sibling.done(COUNT)]);
		for (const worker of [victim, sibling]) {
			expect(worker.crashes).toMatchObject([{ kind: "exception", attempt: 0, next: { action: "restart" } }]);
			expect(await lastLife(worker)).toEqual(inOrder(COUNT, 3));
		}
	});

	it("and is ended for, by a person, begins anew, and the others with it", async () => {
		await using workers = await openShared(failingOnce("return new Promise(() => {})"));
		const { victim, sibling } = workers;
		sibling.deliver(0, COUNT);
		await sibling.done(COUNT);
		victim.deliver(0, COUNT);
		await waitFor("the call that hangs", async () => (await victim.notes()).length > FAILS_AT);
		sibling.deliver(COUNT, 2 * COUNT);
		victim.worker.restart();
		await Promise.all([victim.done(COUNT), sibling.done(2 * COUNT)]);
		expect([victim.crashes, sibling.crashes]).toEqual([[], []]);
		expect([victim.events, sibling.events]).toEqual([
			["started", "restarted admin", "started"],
			["started", "restarted shared", "started"],
		]);
	});
});

describe("no more partitions than threads", () => {
	it("share none: a death is one partition's matter, as by default", async () => {
		await using workers = await realWorkers({ source: failingOnce("process.exit(1)"), maxThreads: 2 });
		const { victim, sibling } = workers;
		sibling.deliver(0, COUNT);
		await sibling.done(COUNT);
		victim.deliver(0, COUNT);
		await victim.done(COUNT);
		sibling.deliver(COUNT, 2 * COUNT);
		await sibling.done(2 * COUNT);
		expect(victim.crashes).toMatchObject([{ kind: "exit", attempt: 1, restarts: 1 }]);
		expect([sibling.events, sibling.crashes, await lastLife(sibling)]).toEqual([["started"], [], inOrder(2 * COUNT)]);
	});
});

describe("a shared module", () => {
	it("that is corrected on disk is loaded anew for who failed, at the very offset, also where others are well with the old one", async () => {
		const source = failingOnce("process.exit(1)").replace(' && once("failed")', "");
		await using workers = await realWorkers({ source, maxThreads: 1, maxAttempts: 1, onPoison: "park", maxBackoffMs: 600_000 });
		const { victim, sibling } = workers;
		sibling.deliver(0, COUNT);
		await sibling.done(COUNT);
		victim.deliver(0, COUNT);
		await waitFor("the park", async () => victim.events.includes("parked"));
		// The others go on with the module as it is.
		sibling.deliver(COUNT, 2 * COUNT);
		await sibling.done(2 * COUNT);
		await workers.correct(failingOnce());
		await victim.done(COUNT);
		sibling.deliver(2 * COUNT, 3 * COUNT);
		await sibling.done(3 * COUNT);
		expect([victim.finished, await lastLife(victim)]).toEqual([offsets(COUNT), inOrder(COUNT)]);
		expect([victim.crashes.length, sibling.crashes]).toEqual([1, []]);
		expect(sibling.events).toEqual(["started", "restarted shared", "started", "restarted shared", "started"]);
		expect(victim.worker.threadId).toBe(sibling.worker.threadId);
	});

	it("that does not load is told to each, and found when it is there", async () => {
		await using workers = await realWorkers({ source: "export const handle = 1;", maxThreads: 1, maxRestarts: 2 });
		const { victim, sibling } = workers;
		for (const worker of [victim, sibling]) worker.deliver(0, COUNT);
		await waitFor("both to be parked", async () => victim.events.includes("parked") && sibling.events.includes("parked"));
		for (const { crashes } of [victim, sibling]) expect(new Set(crashes.map(({ kind }) => kind))).toEqual(new Set(["load"]));
		await workers.correct(failingOnce());
		sibling.worker.handlerChanged();
		await Promise.all([victim.done(COUNT), sibling.done(COUNT)]);
		expect(victim.worker.threadId).toBe(sibling.worker.threadId);
	});

	it("whose init fails for one partition is nobody else's matter", async () => {
		const source = `
			export function init({ partition }) { if (partition === 0 && once("init")) throw new Error("no state"); note(partition, "init"); return { handled: 0 }; }
			export function handleMessage({ partition, offset }, state) { note(partition, offset + " " + state.handled++); }`;
		await using workers = await openShared(source);
		const { victim, sibling } = workers;
		sibling.deliver(0, COUNT);
		await sibling.done(COUNT);
		victim.deliver(0, COUNT);
		await victim.done(COUNT);
		sibling.deliver(COUNT, 2 * COUNT);
		await sibling.done(2 * COUNT);
		expect(victim.crashes).toMatchObject([{ kind: "init", next: { action: "restart" } }]);
		expect([sibling.events, await lastLife(sibling)]).toEqual([["started"], inOrder(2 * COUNT)]);
	});
});
