/**
 * What a partition worker depends on in a HandlerThread: two suites. How a thread lives and dies holds for the real one, the simulated
 * one and the one that unit tests play; what runs come to, for those that have a handler: the real one and the simulated one.
 */
import { describe, expect, it } from "vitest";
import type { ReceivedMessage } from "../../src/core/messages/message.ts";
import { packMessages } from "../../src/core/messages/message-codec.ts";
import type { PackedBatch } from "../../src/core/messages/packed-batch.ts";
import {
	type BatchOutcome,
	type HandlerThread,
	type RunReply,
	type ThreadDeath,
	ThreadDiedError,
} from "../../src/worker/thread/handler-thread.ts";
import { columnsOf, idsOf } from "../support/fakes/row-blocks.ts";
import { wholeOutcome } from "../support/fakes/whole-outcome.ts";

/** What the handler does with a message: a row with `n`, a delete, nothing, a rejection, a throw, never answering, dying. */
export type Way = "row" | "delete" | "none" | "reject" | "poison" | "hang" | "die";

/** A thread of table `events(id text, n text)` that was not started, and the way its time passes. */
export interface ThreadScene extends AsyncDisposable {
	readonly thread: HandlerThread;
	/** Messages of the next runs, by their way. */
	announce(messages: readonly ReceivedMessage[], ways: readonly Way[]): void;
	/** Lets it die between two runs; it was started. */
	dieIdle(): Promise<void>;
	until(what: string, holds: () => boolean): Promise<void>;
	/** Lets time pass until the promise is settled. */
	settled<T>(promise: Promise<T>): Promise<T>;
	/** From now on a new state can't be made, or can again; it was started. */
	breakInit(isBroken: boolean): Promise<void>;
}

/** Makes a thread whose start goes like this. */
export type OpenThread = (start: "ok" | "load fails" | "init fails") => Promise<ThreadScene>;

/** Where a run tells nothing on its way. */
const nobody = () => {};

const timeout: ThreadDeath = { reason: "timeout", message: "it took too long", stack: null };

/** Messages with these ways, keys `k0`, `k1`, …, offsets from 100 on. */
function messagesOf(ways: readonly Way[]): ReceivedMessage[] {
	return ways.map((way, index) => {
		const value = way === "delete" ? null : Buffer.from(JSON.stringify(way === "row" ? { n: `value ${index}` } : { way }));
		return {
			topic: "orders",
			partition: 2,
			offset: 100 + index,
			timestamp: 1_000 + index,
			key: Buffer.from(`k${index}`),
			value,
			headers: [],
		};
	});
}

function batchOf(scene: ThreadScene, ways: readonly Way[]) {
	const messages = messagesOf(ways);
	scene.announce(messages, ways);
	return packMessages(messages);
}

/** How the promise was rejected; a promise that resolves is a failure. */
async function deathOf(promise: Promise<unknown>): Promise<ThreadDeath> {
	const error = await promise.then(
		(value) => new Error(`resolved: ${JSON.stringify(value)}`),
		(reason: unknown) => reason,
	);
	if (!(error instanceof ThreadDiedError)) throw error;
	return error.death;
}

/** Life and death. */
export function threadLifeContract(name: string, open: OpenThread): void {
	describe(`the life of a handler's thread: ${name}`, () => {
		it("begins with a start that says what it handles", async () => {
			await using scene = await open("ok");
			expect(scene.thread.progress()).toEqual({ calls: 0, phase: "idle", message: -1, running: 0 });
			const reply = (await scene.settled(scene.thread.start())) as object;
			// A real thread also says the hash of the files that it loaded; those that are played load none.
			const version = "version" in reply ? { version: expect.stringMatching(/^[0-9a-f]{12}$/) } : {};
			expect(reply).toEqual({ ok: true, handles: "message", ...version });
			expect(typeof scene.thread.id).toBe("number");
		});

		it.each(["load", "init"] as const)("answers a start whose %s fails with that, and isn't dead", async (kind) => {
			await using scene = await open(`${kind} fails`);
			const reply = await scene.settled(scene.thread.start());
			expect(reply).toMatchObject({ ok: false, failure: { kind, name: expect.any(String), message: expect.any(String) } });
			await scene.thread.kill();
		});

		it("answers terminate with null where that threw nothing", async () => {
			await using scene = await open("ok");
			await scene.settled(scene.thread.start());
			expect(await scene.settled(scene.thread.terminate("shutdown"))).toBe(null);
		});

		it("ends by a kill that rejects the call that waits, with the death that was given", async () => {
			await using scene = await open("ok");
			await scene.settled(scene.thread.start());
			const run = deathOf(scene.thread.run(batchOf(scene, ["hang"]), 0, 1, "free", nobody));
			await scene.settled(scene.thread.kill(timeout));
			expect(await scene.settled(run)).toEqual(timeout);
		});

		it("ends by a kill while it starts", async () => {
			await using scene = await open("ok");
			const start = deathOf(scene.thread.start());
			await scene.settled(scene.thread.kill(timeout));
			expect(await scene.settled(start)).toEqual(timeout);
		});

		it("rejects every call behind its death, and dies once", async () => {
			await using scene = await open("ok");
			await scene.settled(scene.thread.start());
			await scene.settled(scene.thread.kill(timeout));
			await scene.settled(scene.thread.kill({ reason: "exit", message: "again", stack: null }));
			const batch = batchOf(scene, ["row"]);
			expect(await scene.settled(deathOf(scene.thread.run(batch, 0, 1, "free", nobody)))).toEqual(timeout);
			expect(await scene.settled(deathOf(scene.thread.run(batch, 0, 1, "renew", nobody)))).toEqual(timeout);
			expect(await scene.settled(deathOf(scene.thread.terminate("failed")))).toEqual(timeout);
			expect(await scene.settled(deathOf(scene.thread.start()))).toEqual(timeout);
		});

		it("killed without a reason, was ended: `exit`", async () => {
			await using scene = await open("ok");
			const start = deathOf(scene.thread.start());
			await scene.settled(scene.thread.kill());
			expect(await scene.settled(start)).toMatchObject({ reason: "exit", stack: null });
		});

		it("is told to the listener where it dies while nothing is asked of it, and to nobody where it is killed", async () => {
			const told: ThreadDeath[] = [];
			await using killed = await open("ok");
			killed.thread.onIdleDeath((death) => told.push(death));
			await killed.settled(killed.thread.start());
			await killed.settled(killed.thread.kill(timeout));
			await using scene = await open("ok");
			scene.thread.onIdleDeath((death) => told.push(death));
			await scene.settled(scene.thread.start());
			await scene.dieIdle();
			await scene.until("the death", () => told.length > 0);
			expect(told).toMatchObject([{ reason: "exception" }]);
			expect(await scene.settled(deathOf(scene.thread.run(batchOf(scene, ["row"]), 0, 1, "free", nobody)))).toEqual(told[0]);
			expect(told.length).toBe(1);
		});
	});
}

/** Runs and their outcomes. */
export function threadWorkContract(name: string, open: OpenThread): void {
	describe(`the work of a handler's thread: ${name}`, () => {
		const openStarted = async () => {
			const scene = await open("ok");
			expect(await scene.settled(scene.thread.start())).toMatchObject({ ok: true });
			const runBatch = async (batch: PackedBatch, from: number, to: number, renew = false): Promise<RunReply> => {
				const parts: BatchOutcome[] = [];
				const running = scene.thread.run(batch, from, to, renew ? "renew" : "free", (part) => parts.push(part));
				const reply = await scene.settled(running);
				return { ...reply, outcome: wholeOutcome([...parts, reply.outcome]) };
			};
			const run = (ways: readonly Way[], from = 0, to = ways.length, renew = false) => runBatch(batchOf(scene, ways), from, to, renew);
			return { ...scene, run, runBatch, [Symbol.asyncDispose]: () => scene[Symbol.asyncDispose]() };
		};

		it("gives rows by table, rejections and counts, with the indexes of the batch", async () => {
			await using scene = await openStarted();
			const reply = await scene.run(["row", "delete", "none", "reject", "row", "none", "none", "reject", "reject", "reject"]);
			expect(reply.ok).toBe(true);
			expect(reply.outcome).toMatchObject({
				from: 0,
				to: 10,
				faults: [],
				rejected: [3, 7, 8, 9].map((message) => ({ message, why: "no good" })),
				counts: { row: 2, delete: 1, none: 3, rejected: 4 },
				warnings: [],
			});
			expect(reply.outcome.handled).toBe(undefined);
			expect(reply.outcome.durationsMs.length).toBe(10);
			const [block, ...others] = reply.outcome.blocks;
			expect(others).toEqual([]);
			expect(block).toMatchObject({ table: "events", length: 3 });
			expect([idsOf(block), columnsOf(block)]).toEqual([["k0", "k1", "k4"], [["value 0", null, "value 4"]]]);
			expect([Array.from(block?.messages ?? []), Array.from(block?.deletes ?? [])]).toEqual([
				[0, 1, 4],
				[0, 1, 0],
			]);
		});

		it("hands over a part of a batch, which stays its caller's", async () => {
			await using scene = await openStarted();
			const batch = batchOf(scene, ["row", "row", "row", "row"]);
			for (const [from, to] of [
				[1, 3],
				[3, 4],
				[1, 3],
			] as const) {
				const { outcome } = await scene.runBatch(batch, from, to);
				expect([outcome.from, outcome.to, outcome.counts.row]).toEqual([from, to, to - from]);
				expect(Array.from(outcome.blocks[0]?.messages ?? [])).toEqual(Array.from({ length: to - from }, (_, index) => from + index));
				expect(idsOf(outcome.blocks[0])[0]).toBe(`k${from}`);
			}
		});

		it("says at which message it failed, with what was handled before it, and goes on", async () => {
			await using scene = await openStarted();
			const reply = await scene.run(["row", "row", "poison", "row"], 1);
			expect(reply).toMatchObject({
				ok: false,
				failed: 2,
				batched: false,
				failure: { kind: "exception", name: "Error", message: "poison" },
				outcome: { from: 1, to: 2, counts: { row: 1, delete: 0, none: 0, rejected: 0 } },
			});
			expect(reply.outcome.blocks.map(idsOf)).toEqual([["k1"]]);
			const again = await scene.run(["poison", "row"]);
			expect(again).toMatchObject({ ok: false, failed: 0, outcome: { from: 0, to: 0, blocks: [] } });
			expect(await scene.run(["poison", "row"], 1, 2, true)).toMatchObject({ ok: true, outcome: { from: 1, to: 2, counts: { row: 1 } } });
		});

		it("says where a new state can't be made, and has handled nothing", async () => {
			await using scene = await openStarted();
			await scene.breakInit(true);
			const reply = await scene.run(["row", "row", "row"], 1, 3, true);
			expect(reply).toMatchObject({
				ok: false,
				failed: 1,
				batched: false,
				failure: { kind: "init" },
				outcome: { from: 1, to: 1, blocks: [] },
			});
			expect(scene.thread.progress()).toMatchObject({ phase: "idle", running: 0 });
			await scene.breakInit(false);
			expect(await scene.run(["row", "row", "row"], 1, 3, true)).toMatchObject({ ok: true, outcome: { to: 3 } });
		});

		it("shows which call runs, and that it is the same one still", async () => {
			await using scene = await openStarted();
			const idle = scene.thread.progress();
			expect(idle).toMatchObject({ phase: "idle", running: 0 });
			await scene.run(["row"]);
			const between = scene.thread.progress();
			expect(between).toMatchObject({ phase: "idle", running: 0 });
			expect(between.calls).toBeGreaterThan(idle.calls);
			const run = deathOf(scene.thread.run(batchOf(scene, ["row", "row", "row", "hang"]), 1, 4, "free", nobody));
			const isHanging = () => scene.thread.progress().message === 3 && scene.thread.progress().running === 1;
			await scene.until("the message that hangs", isHanging);
			const hanging = scene.thread.progress();
			expect(hanging).toMatchObject({ phase: "handle", message: 3, running: 1 });
			expect(hanging.calls).toBeGreaterThan(between.calls);
			expect(scene.thread.progress()).toEqual(hanging);
			await scene.settled(scene.thread.kill(timeout));
			expect(await scene.settled(run)).toEqual(timeout);
			expect(scene.thread.progress()).toEqual(hanging);
		});

		it("that dies under a message rejects the run, and shows which message it was", async () => {
			await using scene = await openStarted();
			let isToldIdle = false;
			scene.thread.onIdleDeath(() => (isToldIdle = true));
			const death = await scene.settled(deathOf(scene.thread.run(batchOf(scene, ["row", "row", "die", "row"]), 1, 4, "free", nobody)));
			expect(death.reason).toBe("exception");
			expect(scene.thread.progress()).toMatchObject({ phase: "handle", message: 2, running: 1 });
			expect(await scene.settled(deathOf(scene.thread.terminate("failed")))).toEqual(death);
			expect(isToldIdle).toBe(false);
		});
	});
}
