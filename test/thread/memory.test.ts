/** A handler that keeps what it has handled: its thread is replaced in good time, nothing is lost, and nobody is charged. */
import { describe, expect, it } from "vitest";
import { realWorkers } from "../support/fakes/real-worker.ts";

/** Of 64 MiB, the threads' limit here, this is what a message of partition 0 leaves behind. */
const LEAKS = [
	["on the heap", "kept.push(Array.from({ length: 50_000 }, (_, index) => index + 0.5))"],
	["in Buffers, which are outside the heap", "kept.push(Buffer.alloc(1_000_000, 1))"],
] as const;

const leaking = (leak: string) => `
	const kept = [];
	export function init({ partition }) { note(partition, "init"); return {}; }
	export const terminate = (reason) => note("terminated", reason);
	export async function handleMessage({ partition, offset }) {
		if (partition === 0) ${leak};
		// A run of its own each: what is looked at is the end of a run.
		await new Promise((resolve) => setTimeout(resolve, 1));
		return { id: String(offset), fields: {} };
	}`;

describe("a thread that comes to hold too much", () => {
	it.each(LEAKS)("%s is replaced between two runs, with its terminate called", async (_, leak) => {
		await using workers = await realWorkers({ source: leaking(leak) });
		const { victim, sibling } = workers;
		sibling.deliver(0, 5);
		await sibling.done(5);
		for (let offset = 0; offset < 180; offset += 5) {
			victim.deliver(offset, offset + 5);
			await victim.done(offset + 5);
		}
		expect(victim.finished).toEqual(Array.from({ length: 180 }, (_, offset) => offset));
		expect(victim.crashes).toEqual([]);
		const replaced = victim.events.filter((event) => event === "restarted out_of_memory").length;
		expect(replaced).toBeGreaterThanOrEqual(1);
		expect(victim.events.slice(0, 4)).toEqual(["started", "held too much", "restarted out_of_memory", "started"]);
		// One more may be on its way.
		const terminated = await workers.notes("terminated");
		expect([new Set(terminated), terminated.length - replaced]).toEqual([
			new Set(["restart"]),
			expect.toSatisfy((more: number) => more === 0 || more === 1),
		]);
		expect(sibling.events).toEqual(["started"]);
	});

	it.each([1, 4])("within one long run ends that run early, and often enough (%i calls at a time)", async (concurrency) => {
		const source = `
			const kept = [];
			export function handleMessage({ offset }) {
				kept.push(Buffer.alloc(1_000_000, 1));
				return { id: String(offset), fields: {} };
			}`;
		await using workers = await realWorkers({ source, concurrency });
		const { victim } = workers;
		victim.deliver(0, 300);
		await victim.done(300);
		expect(victim.finished).toEqual(Array.from({ length: 300 }, (_, offset) => offset));
		expect(victim.crashes).toEqual([]);
		// 300 MB by 48 MiB at a time, or a few more.
		expect(victim.events.filter((event) => event === "held too much").length).toBeGreaterThanOrEqual(4);
	});

	it("in a shared thread is replaced for all of them, behind the call that runs, and all go on", async () => {
		await using workers = await realWorkers({ source: leaking(LEAKS[1][1]), maxThreads: 1 });
		const { victim, sibling } = workers;
		for (let offset = 0; offset < 80; offset += 5) {
			victim.deliver(offset, offset + 5);
			sibling.deliver(offset, offset + 5);
			await Promise.all([victim.done(offset + 5), sibling.done(offset + 5)]);
		}
		expect([victim.crashes, sibling.crashes]).toEqual([[], []]);
		expect(victim.events).toContain("restarted out_of_memory");
		expect(sibling.events.slice(0, 3)).toEqual(["started", "restarted shared", "started"]);
		const all = Array.from({ length: 80 }, (_, offset) => offset);
		expect([victim.finished, sibling.finished]).toEqual([all, all]);
	});

	it("is found whatever new states it makes on the way: what it holds by then is not its init's", async () => {
		const source = leaking(LEAKS[1][1]).replace(
			"return { id",
			'if (partition === 0 && offset % 4 === 3 && once(offset)) throw new Error("a new state"); return { id',
		);
		await using workers = await realWorkers({ source });
		const { victim } = workers;
		for (let offset = 0; offset < 160; offset += 4) {
			victim.deliver(offset, offset + 4);
			await victim.done(offset + 4);
		}
		expect(victim.events).toContain("held too much");
	});

	it.each([false, true])("from its init on is left alone (in a thread from the reserve: %s)", async (isWarm) => {
		const source = `
			const kept = Buffer.alloc(60_000_000, 1);
			export function init({ partition }) { note(partition, "init"); return kept; }
			export const handleMessage = ({ offset }) => ({ id: String(offset), fields: {} });`;
		await using workers = await realWorkers({ source, isWarm });
		for (let offset = 0; offset < 20; offset += 5) {
			workers.victim.deliver(offset, offset + 5);
			await workers.victim.done(offset + 5);
		}
		expect(workers.victim.events).toEqual(["started"]);
	});
});
