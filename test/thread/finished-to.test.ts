/**
 * A handler that buffers messages in its state and finishes them later (`finishedTo`), in real threads: none is finished before its rows.
 */
import { describe, expect, it } from "vitest";
import type { BatchOutcome } from "../../src/worker/thread/handler-thread.ts";
import { received, runAll, threadFor } from "../support/fakes/real-thread.ts";
import { type RealWorker, type RealWorkersOptions, realWorkers } from "../support/fakes/real-worker.ts";
import { idsOf } from "../support/fakes/row-blocks.ts";
import { waitFor } from "../support/wait-for.ts";

/** Flushes what it has with every message whose offset ends in 5 or 9. `fails` runs before a batch is buffered. */
const buffering = (fails: string) => `
	export const init = () => ({ buffer: [] });
	export function handleMessages(batch, state) {
		const offsets = batch.map(({ offset }) => offset);
		note(batch[0].partition, "run " + offsets.join(" "));
		if (batch[0].partition === 0) { ${fails} }
		state.buffer.push(...offsets);
		if (!offsets.some((offset) => offset % 10 === 5 || offset % 10 === 9)) return { finishedTo: null };
		note(batch[0].partition, "written " + state.buffer.join(" "));
		state.buffer = [];
		return { finishedTo: offsets.at(-1) };
	}`;

const notesOf = async (worker: RealWorker, kind: string) =>
	(await worker.notes()).filter((note) => note.startsWith(kind)).map((note) => note.slice(kind.length + 1));
const written = async (worker: RealWorker) => (await notesOf(worker, "written")).flatMap((note) => note.split(" ").map(Number));

/** Messages 0 to 3 are in the state of the victim's handler; then `next` more come. */
async function buffered(options: RealWorkersOptions, next: number) {
	const workers = await realWorkers({ retryBackoffMs: 0, ...options });
	const { victim } = workers;
	victim.deliver(0, 4);
	await waitFor("a full buffer", async () => victim.worker.queue.unconfirmed === 4);
	victim.deliver(4, 4 + next);
	return workers;
}

describe("a state that holds messages", () => {
	it("and is renewed after a failed attempt: they are handled again, and finished when they were written", async () => {
		await using workers = await buffered(
			{ source: buffering('if (offsets.includes(4) && once("failed")) throw new Error("a hiccup");') },
			2,
		);
		const { victim } = workers;
		await victim.done(6);
		expect([await written(victim), victim.events]).toEqual([[0, 1, 2, 3, 4, 5], ["started"]]);
	});

	it("and loses it to a message that becomes poison: the others are all written, in order, and only it is a dead letter", async () => {
		await using workers = await buffered({ source: buffering('if (offsets.includes(7)) throw new Error("poison");'), maxAttempts: 2 }, 6);
		const { victim } = workers;
		await victim.done(10);
		expect(victim.events).toEqual(["started", "restarted last_attempt", "started", "dead letter 7"]);
		expect((await written(victim)).filter((offset, index, all) => all.indexOf(offset) === index)).toEqual([0, 1, 2, 3, 4, 5, 6, 8, 9]);
		expect(victim.crashes.filter(({ attempt }) => attempt > 0).map(({ attempt, coordinates }) => [attempt, coordinates?.offset])).toEqual([
			[1, 7],
			[2, 7],
		]);
		expect(victim.crashes.length).toBeLessThanOrEqual(5);
	});

	it("and dies with its thread at one of several: they come again before each of those that are run one by one", async () => {
		await using workers = await buffered({ source: buffering("if (offsets.includes(7)) process.exit(1);"), maxAttempts: 2 }, 6);
		const { victim } = workers;
		await victim.done(10);
		expect(victim.events.filter((event) => event.startsWith("dead"))).toEqual(["dead letter 7"]);
		expect(new Set(await written(victim))).toEqual(new Set([0, 1, 2, 3, 4, 5, 6, 8, 9]));
		const [held, together] = ["0 1 2 3", "4 5 6 7 8 9"];
		// 5 finishes all before it, so that 6 alone is held from then on.
		expect(await notesOf(victim, "run")).toEqual([held, together, held, "4", "5", "6", "7", "6", "7", "6", "8", "9"]);
	});

	it("fails only together with what it holds: every message is an attempt's or written, and it ends", async () => {
		// 2 and 6 can't be in one state.
		const source = buffering('if (offsets.includes(6) && state.buffer.includes(2)) throw new Error("2 and 6");');
		await using workers = await buffered({ source: source.replaceAll("=== 5", "=== 7"), maxAttempts: 2 }, 6);
		const { victim } = workers;
		await victim.done(10);
		expect(victim.events).toEqual(["started", "restarted last_attempt", "started", "dead letter 6"]);
		expect(new Set(await written(victim))).toEqual(new Set([0, 1, 2, 3, 4, 5, 7, 8, 9]));
	});

	it("makes several rows of one id: each is told, and its message is finished", async () => {
		const source = `export function handleMessages(batch) {
			note(batch[0].partition, "written " + batch.map(({ offset }) => offset).join(" "));
			return { outcomes: batch.map(() => ({ id: "same", fields: {} })), finishedTo: batch.at(-1).offset };
		}`;
		await using workers = await realWorkers({ source });
		workers.victim.deliver(0, 10);
		await workers.victim.done(10);
		expect(workers.victim.events).toEqual(["started"]);
	});

	it("is stopped: the drain ends without a finishedTo, and terminate is called", async () => {
		const source = `${buffering("")} export const terminate = (reason, { buffer }) => note(0, reason + " " + buffer.join(" "));`;
		await using workers = await buffered({ source }, 0);
		const { victim } = workers;
		await victim.worker.drain("shutdown", () => false);
		await victim.worker.stop("shutdown");
		expect([await notesOf(victim, "shutdown"), victim.finished]).toEqual([["0 1 2 3"], []]);
	});
});

describe("a run whose state must be kept", () => {
	const source = `
		let states = 0;
		export const init = () => ++states;
		export function handleMessages(batch, state) {
			if (batch.length > 2) throw new Error("too many");
			return batch.map(() => ({ id: state, fields: {} }));
		}`;

	it("is not halved: what failed together is told, and nothing was handled", async () => {
		await using real = await threadFor(source);
		await real.thread.start();
		const messages = [0, 1, 2, 3].map((offset) => received(offset));
		expect(await runAll(real.thread, messages, "keep")).toMatchObject({
			ok: false,
			failed: 0,
			together: 4,
			batched: true,
			failure: { message: "too many" },
			outcome: { from: 0, to: 0, blocks: [] },
		});
		const two = await runAll(real.thread, messages.slice(0, 2), "keep");
		expect([two.ok, idsOf(two.outcome.blocks[0])]).toEqual([true, ["1", "1"]]);
		const parts: BatchOutcome[] = [];
		const halved = await runAll(real.thread, messages, "free", (part) => parts.push(part));
		expect([halved.ok, ...[...parts, halved.outcome].map(({ blocks }) => idsOf(blocks[0]))]).toEqual([true, ["2", "2"], ["2"], ["2"]]);
	});
});
