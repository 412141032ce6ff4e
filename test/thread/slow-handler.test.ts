/**
 * Handlers that take their time: what they made of messages leaves the thread while the run goes on, and a stop waits for the calls under way
 * and for nothing else. Real threads; the calls are counted by what the handler notes.
 */
import { describe, expect, it } from "vitest";
import { type RealWorker, type RealWorkersOptions, realWorkers } from "../support/real-worker.ts";
import { waitFor } from "../support/wait-for.ts";

const COUNT = 300;

/** Notes a message where its call begins, and where it ends, after so long. */
const sleepy = (ms: number) => `
	export async function handleMessage({ partition, offset }) {
		note(partition, "begun " + offset);
		await new Promise((resolve) => setTimeout(resolve, ${ms}));
		note(partition, "ended " + offset);
		return { id: offset, fields: {} };
	}`;
const busy = (ms: number) => `
	export function handleMessage({ partition, offset }) {
		note(partition, "begun " + offset);
		for (const until = performance.now() + ${ms}; performance.now() < until; );
		note(partition, "ended " + offset);
		return { id: offset, fields: {} };
	}`;

async function calls({ notes }: RealWorker, what: "begun" | "ended"): Promise<number[]> {
	return (await notes()).filter((note) => note.startsWith(what)).map((note) => Number(note.split(" ")[1]));
}

const ways: readonly [what: string, options: RealWorkersOptions, partitions: 1 | 2][] = [
	["that awaits 100 ms", { source: sleepy(100) }, 1],
	["that awaits 100 ms, on a thread that two share", { source: sleepy(100), maxThreads: 1 }, 2],
	["that awaits 100 ms, on two threads", { source: sleepy(100) }, 2],
	["that awaits 100 ms, four at a time", { source: sleepy(100), concurrency: 4 }, 1],
	["that awaits 100 ms, four at a time on a thread that two share", { source: sleepy(100), concurrency: 4, maxThreads: 1 }, 2],
	["that keeps its thread for 100 ms", { source: busy(100) }, 1],
	["that keeps its thread for 100 ms, four at a time", { source: busy(100), concurrency: 4 }, 1],
	["that keeps its thread for 100 ms, on a thread that two share", { source: busy(100), maxThreads: 1 }, 2],
];

describe("a slow handler", () => {
	it.each(ways)("%s: messages are finished while the run goes on", async (_, options, partitions) => {
		await using workers = await realWorkers(options);
		const all = [workers.victim, workers.sibling].slice(0, partitions);
		for (const worker of all) worker.deliver(0, COUNT);
		for (const worker of all) await worker.done(6);
		for (const worker of all) {
			// What waits in the thread is what was handled within a part's time.
			const ended = await calls(worker, "ended");
			expect(ended.length).toBeLessThan(40);
			expect(new Set(worker.finished).size).toBe(worker.finished.length);
		}
	});

	it.each(ways)(
		"%s: a stop waits for the calls under way; the successor handles nothing again, and nothing is lost",
		async (_, options, n) => {
			await using workers = await realWorkers(options);
			const all = [workers.victim, workers.sibling].slice(0, n);
			for (const worker of all) worker.deliver(0, COUNT);
			await waitFor("some calls", async () =>
				(await Promise.all(all.map((each) => calls(each, "begun")))).every(({ length }) => length >= 3),
			);
			const startedAt = performance.now();
			await Promise.all(
				all.map(async ({ worker }) => {
					await worker.drain("revoked", () => false);
					await worker.stop("revoked");
				}),
			);
			expect(performance.now() - startedAt).toBeLessThan(1_500);
			for (const worker of all) {
				const begun = await calls(worker, "begun");
				expect([...begun].sort((a, b) => a - b)).toEqual([...worker.finished].sort((a, b) => a - b));
				expect(new Set(begun).size).toBe(begun.length);
			}
		},
	);

	it.each([
		["that awaits", sleepy(1_000), 1],
		["that awaits, four at a time", sleepy(1_000), 4],
		["that keeps its thread", busy(1_000), 1],
	])(
		"%s a second: a pause begins nothing more, and what runs is finished; resumed it goes on behind that",
		async (_, source, concurrency) => {
			await using workers = await realWorkers({ source, concurrency });
			const { victim } = workers;
			victim.deliver(0, 20);
			await waitFor("the first calls", async () => (await calls(victim, "begun")).length === concurrency);
			victim.worker.hold();
			await victim.done(concurrency);
			expect(await calls(victim, "begun")).toHaveLength(concurrency);
			victim.worker.resume();
			await waitFor("the next calls", async () => (await calls(victim, "begun")).length === 2 * concurrency);
			expect(new Set(await calls(victim, "begun")).size).toBe(2 * concurrency);
		},
	);

	it("of several messages: a stop ends a run that is being halved behind the call under way", async () => {
		const source = `
			export async function handleMessages(batch) {
				const { partition } = batch[0];
				note(partition, "begun " + batch[0].offset);
				await new Promise((resolve) => setTimeout(resolve, 200));
				if (batch.some(({ offset }) => offset === 250)) throw new Error("one of them");
				return batch.map(({ offset }) => { note(partition, "ended " + offset); return { id: offset, fields: {} }; });
			}`;
		await using workers = await realWorkers({ source });
		const { victim } = workers;
		victim.deliver(0, COUNT);
		await waitFor("the first half", async () => (await calls(victim, "ended")).length > 0);
		await victim.worker.drain("revoked", () => false);
		await victim.worker.stop("revoked");
		expect((await calls(victim, "begun")).length).toBeLessThanOrEqual(3);
		expect(victim.finished).toEqual(await calls(victim, "ended"));
	});

	it("that waits for one message for long: what others came to beside it is finished meanwhile", async () => {
		const source = `
			export async function handleMessage({ partition, offset }) {
				if (offset === 0) await new Promise((resolve) => setTimeout(resolve, 5_000));
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
				await new Promise((resolve) => setTimeout(resolve, 50));
				if (offset === 20 && once("death")) process.exit(1);
				return { id: offset, fields: {} };
			}`;
		await using workers = await realWorkers({ source });
		const { victim } = workers;
		victim.deliver(0, 30);
		await victim.done(30);
		const begun = await calls(victim, "begun");
		expect(new Set(begun).size).toBe(30);
		// A part's time of 50 ms each, and the one that it died of.
		expect(begun.length).toBeLessThan(30 + 10);
		expect(victim.finished).toEqual(Array.from({ length: 30 }, (_, offset) => offset));
		expect(victim.crashes).toMatchObject([{ kind: "exit", coordinates: { offset: 20 }, attempt: 1 }]);
	});

	it("four at a time: handler.timeoutMs ends each call that takes too long, whatever runs beside it", async () => {
		const source = `
			export async function handleMessage({ partition, offset }) {
				note(partition, "begun " + offset + " " + performance.timeOrigin);
				await new Promise((resolve) => setTimeout(resolve, offset % 4 === 3 ? 60_000 : 100));
				return { id: offset, fields: {} };
			}`;
		await using workers = await realWorkers({ source, concurrency: 4, timeoutMs: 1_000, maxAttempts: 1 });
		const { victim } = workers;
		victim.deliver(0, 8);
		await victim.done(8);
		expect(victim.events.filter((each) => each.startsWith("dead letter"))).toEqual(["dead letter 3", "dead letter 7"]);
	});
});
