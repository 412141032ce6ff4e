/** One partition's log under the daemon's own worker: when it counts as handled, which failures are final, when it is given up. */
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { VerifyingWorker, type VerifyingWorkerParts } from "../../../src/audit/log/verifying-worker.ts";
import type { BatchOutcome } from "../../../src/worker/thread/handler-thread.ts";
import { auditedConfig, layoutsOf } from "../../support/fakes/audited-log.ts";
import { FakeThread, fakeLease, rowsFor } from "../../support/fakes/fake-thread.ts";
import { ManualClock, settle } from "../../support/fakes/manual-clock.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const folder = await temporaryFolder();
afterAll(() => folder[Symbol.asyncDispose]());
const config = await auditedConfig(folder.path);
const partition = { topic: "orders", partition: 2 };

let threads: FakeThread[];
let failed: (readonly [offset: number, isFinal: boolean])[];
let rows: number[];
let moved: number;
let clock: ManualClock;

beforeEach(() => {
	[threads, failed, rows, moved, clock] = [[], [], [], 0, new ManualClock()];
});

/** A worker of some messages whose first thread is ready; the run is outstanding. */
async function running(count: number, over: Partial<VerifyingWorkerParts> = {}): Promise<VerifyingWorker> {
	const worker = new VerifyingWorker({
		...{ config, layouts: layoutsOf(config), partition, clock, random: () => 0.5, moved: () => moved++ },
		threads: fakeLease(() => {
			const thread = new FakeThread();
			threads.push(thread);
			return thread;
		}),
		rows: (submission) => rows.push(...submission.blocks.flatMap(({ messages }) => [...messages])),
		failed: (letter, isFinal) => failed.push([letter.offset, isFinal]),
		...over,
	});
	const messages = Array.from({ length: count }, (_, offset) => ({
		...partition,
		offset,
		timestamp: 1,
		key: null,
		value: Buffer.from("v"),
		headers: [],
	}));
	worker.deliver(messages);
	await settle();
	return worker;
}

const thread = () => threads.at(-1) as FakeThread;

async function act(action: (thread: FakeThread) => void): Promise<void> {
	action(thread());
	await settle();
	await clock.advance(1);
}

async function ready(count: number, over: Partial<VerifyingWorkerParts> = {}): Promise<VerifyingWorker> {
	const worker = await running(count, over);
	await act((first) => first.ready());
	return worker;
}

const handled = (outcome: Partial<BatchOutcome> & { finishedTo?: number | null } = {}) => act((current) => current.handled(outcome));

describe("a message", () => {
	it("is handled once its rows are given, and each end of a run is told", async () => {
		const worker = await ready(2);
		expect([worker.pending, worker.leftOpen, worker.firstOpen]).toEqual([2, 0, null]);
		const before = moved;
		await handled({ blocks: [rowsFor([0, 1])], rows: 2 });
		expect([worker.pending, rows, failed, moved > before]).toEqual([0, [0, 1], [], true]);
		expect([worker.isStateful, worker.recordsLeftOut, worker.bytes]).toEqual([false, false, 0]);
		await worker.stop();
	});

	it("that fails has one attempt here, and may have another elsewhere", async () => {
		const worker = await ready(2);
		await act((current) => current.threw());
		await handled();
		expect([failed, worker.pending, threads.length]).toEqual([[[0, false]], 0, 1]);
		await worker.stop(true);
	});

	it("has a second attempt here once the handler kept messages open, and its failure is final", async () => {
		const worker = await ready(3);
		await handled({ finishedTo: 0 });
		expect([worker.pending, worker.leftOpen, worker.firstOpen, worker.isStateful]).toEqual([0, 2, 1, true]);
		worker.deliver([{ ...partition, offset: 3, timestamp: 1, key: null, value: Buffer.from("v"), headers: [] }]);
		await settle();
		const runs: (readonly number[])[] = [];
		while (failed.length === 0 && runs.length < 9) {
			const { pending } = thread();
			if (pending?.type === "start") await act((current) => current.ready());
			else if (pending?.offsets.includes(3)) {
				runs.push(pending.offsets);
				await act((current) => current.threw("boom", pending.from + pending.offsets.indexOf(3)));
			} else await handled({ finishedTo: null });
		}
		expect([failed, runs.length]).toEqual([[[3, true]], 2]);
		await worker.stop(true);
	});
});

it("a handler whose records are left out is told", async () => {
	const worker = await ready(1);
	await handled({ recordsLeftOut: true } as Partial<BatchOutcome>);
	expect(worker.recordsLeftOut).toBe(true);
	await worker.stop();
});

describe("a handler", () => {
	it.each(["load", "init"] as const)("that fails to %s is no handler: nothing can be verified", async (kind) => {
		const worker = await running(1);
		await act((first) => first.failToStart(kind, "no\n such file"));
		expect(() => worker.pending).toThrow("nothing can be verified: ");
		expect(() => worker.pending).toThrow("no such file");
		await worker.stop();
	});

	/** The thread dies with its first message, so many times in a row. */
	async function dies(times: number): Promise<void> {
		for (let time = 0; time < times; time++) {
			if (thread().pending?.type === "start") await act((current) => current.ready());
			await act((current) => current.died(1, current.pending?.from));
		}
	}

	it("whose thread ends with each message is given up behind as many as it may", async () => {
		const worker = await running(9, { maxDeaths: 3, inVain: "nothing was changed" });
		await dies(3);
		expect(worker.pending).toBeGreaterThan(0);
		await dies(1);
		expect(() => worker.pending).toThrow("nothing was changed: the handler's thread ended 4 times in a row");
		await worker.stop();
	});

	it("whose thread ends now and then goes on", async () => {
		const worker = await running(9, { maxDeaths: 3 });
		await dies(3);
		await act((current) => current.ready());
		await act((current) => current.handledTo((current.pending?.from ?? 0) + 1));
		await dies(3);
		expect(worker.pending).toBeGreaterThan(0);
		expect(failed.length).toBe(6);
		await worker.stop(true);
	});
});
