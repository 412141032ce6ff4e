/**
 * Handlers that take their time: what they made of messages leaves the thread while the run goes on, and a stop waits for the calls under
 * way and for nothing else. Real threads; the calls are counted by what the handler notes.
 */
import { describe, expect, it } from "vitest";
import { type RealWorker, realWorkers } from "../support/fakes/real-worker.ts";
import { waitFor } from "../support/wait-for.ts";

const COUNT = 300;
/** A call's time, ms. */
const CALL_MS = 100;

/** Calls that overlap on a thread, and partitions on it. */
interface Thread {
	readonly concurrency?: number;
	readonly partitions?: 1 | 2;
}

/**
 * Notes a message where its call begins, and where it ends. A call takes its time, and from the one on of which every partition of its
 * thread has had `free`, until the test opens "gate": what is finished by then was finished while the run goes on.
 */
const handler = (wait: "awaits" | "keeps its thread", { partitions = 1 }: Thread, free: number) => `
	const begun = new Map();
	const isFree = () => begun.size < ${partitions} || [...begun.values()].some((calls) => calls <= ${free});
	export ${wait === "awaits" ? "async" : ""} function handleMessage({ partition, offset }) {
		begun.set(partition, (begun.get(partition) ?? 0) + 1);
		note(partition, "begun " + offset);
		${
			wait === "awaits"
				? `await new Promise((resolve) => setTimeout(resolve, ${CALL_MS})); if (!isFree()) await until("gate");`
				: `for (const end = performance.now() + ${CALL_MS}; performance.now() < end; ); if (!isFree()) standUntil("gate");`
		}
		note(partition, "ended " + offset);
		return { id: offset, fields: {} };
	}`;

async function calls({ notes }: RealWorker, what: "begun" | "ended"): Promise<number[]> {
	return (await notes()).filter((note) => note.startsWith(what)).map((note) => Number(note.split(" ")[1]));
}

const ways: readonly [what: string, wait: "awaits" | "keeps its thread", thread: Thread, partitions: 1 | 2][] = [
	["that awaits 100 ms", "awaits", {}, 1],
	["that awaits 100 ms, on a thread that two share", "awaits", { partitions: 2 }, 2],
	["that awaits 100 ms, on two threads", "awaits", {}, 2],
	["that awaits 100 ms, four at a time", "awaits", { concurrency: 4 }, 1],
	["that awaits 100 ms, four at a time on a thread that two share", "awaits", { concurrency: 4, partitions: 2 }, 2],
	["that keeps its thread for 100 ms", "keeps its thread", {}, 1],
	["that keeps its thread for 100 ms, four at a time", "keeps its thread", { concurrency: 4 }, 1],
	["that keeps its thread for 100 ms, on a thread that two share", "keeps its thread", { partitions: 2 }, 2],
];

const open = (wait: "awaits" | "keeps its thread", thread: Thread, free: number) =>
	realWorkers({ source: handler(wait, thread, free), concurrency: thread.concurrency ?? 1, maxThreads: thread.partitions === 2 ? 1 : 0 });

/** The offsets of each worker's calls, ascending. */
const allCalls = async (workers: readonly RealWorker[], what: "begun" | "ended") =>
	Promise.all(workers.map(async (each) => (await calls(each, what)).sort((left, right) => left - right)));

describe("a slow handler", () => {
	it.each(ways)("%s: messages are finished while the run goes on", async (_, wait, thread, partitions) => {
		await using workers = await open(wait, thread, 12);
		const all = [workers.victim, workers.sibling].slice(0, partitions);
		for (const worker of all) worker.deliver(0, COUNT);
		for (const worker of all) {
			await worker.done(6);
			expect(new Set(worker.finished).size).toBe(worker.finished.length);
		}
	});

	it.each(ways)(
		"%s: a stop waits for the calls under way; the successor handles nothing again, and nothing is lost",
		async (_, wait, thread, partitions) => {
			await using workers = await open(wait, thread, 2);
			const all = [workers.victim, workers.sibling].slice(0, partitions);
			for (const worker of all) worker.deliver(0, COUNT);
			// Each thread is full of calls that last until the gate opens.
			const threads = partitions / (thread.partitions ?? 1);
			const underWay = threads * (wait === "awaits" ? (thread.concurrency ?? 1) : 1);
			await waitFor("calls that last", async () => {
				const [ended, begun] = [await allCalls(all, "ended"), await allCalls(all, "begun")];
				return begun.every(({ length }) => length > 2) && begun.flat().length - ended.flat().length === underWay;
			});
			const stops = all.map(async ({ worker }) => {
				await worker.drain("revoked", () => false);
				await worker.stop("revoked");
			});
			const begunBefore = await allCalls(all, "begun");
			await workers.open("gate");
			await Promise.all(stops);
			const finished = all.map((each) => [...each.finished].sort((left, right) => left - right));
			expect(await allCalls(all, "begun")).toEqual(begunBefore);
			expect(finished).toEqual(begunBefore);
			for (const begun of begunBefore) expect(new Set(begun).size).toBe(begun.length);
		},
	);

	it.each([
		["that awaits", "await until(gate);", 1],
		["that awaits, four at a time", "await until(gate);", 4],
		["that keeps its thread", "standUntil(gate);", 1],
	])("%s: a pause begins nothing more, and what runs is finished; resumed it goes on behind that", async (_, wait, concurrency) => {
		const source = `
			export async function handleMessage({ partition, offset }) {
				note(partition, "begun " + offset);
				const gate = offset < ${concurrency} ? "first" : "second";
				${wait}
				return { id: offset, fields: {} };
			}`;
		await using workers = await realWorkers({ source, concurrency });
		const { victim } = workers;
		victim.deliver(0, 20);
		await waitFor("the first calls", async () => (await calls(victim, "begun")).length === concurrency);
		victim.worker.pause();
		await workers.open("first");
		await victim.done(concurrency);
		expect(await calls(victim, "begun")).toHaveLength(concurrency);
		victim.worker.resume();
		await waitFor("the next calls", async () => (await calls(victim, "begun")).length === 2 * concurrency);
		expect(new Set(await calls(victim, "begun")).size).toBe(2 * concurrency);
	});

	it("of several messages: a stop ends a run that is being halved behind the call under way", async () => {
		const source = `
			export async function handleMessages(batch) {
				const { partition } = batch[0];
				note(partition, "begun " + batch[0].offset);
				if (batch.some(({ offset }) => offset === 160)) {
					if (batch[0].offset > 0) await until("gate");
					throw new Error("one of them");
				}
				return batch.map(({ offset }) => { note(partition, "ended " + offset); return { id: offset, fields: {} }; });
			}`;
		await using workers = await realWorkers({ source });
		const { victim } = workers;
		victim.deliver(0, COUNT);
		await waitFor("the second half", async () => (await calls(victim, "begun")).length === 3);
		const drained = victim.worker.drain("revoked", () => false);
		await workers.open("gate");
		await drained;
		await victim.worker.stop("revoked");
		expect(await calls(victim, "begun")).toHaveLength(3);
		expect(victim.finished).toEqual(await calls(victim, "ended"));
	});

	it("that waits for one message for long: what others came to beside it is finished meanwhile", async () => {
		const source = `
			export async function handleMessage({ partition, offset }) {
				if (offset === 0) await until("gate");
				return { id: offset, fields: {} };
			}`;
		await using workers = await realWorkers({ source, concurrency: 4 });
		workers.victim.deliver(0, COUNT);
		await workers.victim.done(COUNT - 1);
		expect(workers.victim.finished).not.toContain(0);
	});

	it("that dies loses nothing that had left the thread, and repeats the rest in order", async () => {
		const source = `
			export async function handleMessage({ partition, offset }) {
				note(partition, "begun " + offset);
				if (offset === 20 && once("death")) { await until("death"); process.exit(1); }
				return { id: offset, fields: {} };
			}`;
		await using workers = await realWorkers({ source });
		const { victim } = workers;
		victim.deliver(0, 30);
		await victim.done(20);
		await workers.open("death");
		await victim.done(30);
		const offsets = Array.from({ length: 30 }, (_, offset) => offset);
		expect(await calls(victim, "begun")).toEqual([...offsets.slice(0, 20), 20, ...offsets.slice(20)]);
		expect(victim.finished).toEqual(offsets);
		expect(victim.crashes).toMatchObject([{ kind: "exit", coordinates: { offset: 20 }, attempt: 1 }]);
	});

	it("four at a time: handler.timeoutMs ends each call that takes too long, whatever runs beside it", async () => {
		const source = `
			export async function handleMessage({ partition, offset }) {
				if (offset % 4 === 3) {
					stands();
					await new Promise(() => {});
				}
				return { id: offset, fields: {} };
			}`;
		await using workers = await realWorkers({ source, concurrency: 4, maxAttempts: 1 });
		const { victim } = workers;
		victim.deliver(0, 8);
		while (victim.finished.length < 8) await workers.timeOut();
		expect(victim.events.filter((each) => each.startsWith("dead letter"))).toEqual(["dead letter 3", "dead letter 7"]);
	});
});
