/**
 * The entry of a worker thread: runs the user's handler and nothing else. Each request of the main thread is one task of the pool;
 * what goes wrong in the user's code is answered as data, only a death of the thread is not.
 *
 * Step 5 of a message's way (README).
 */
import { performance } from "node:perf_hooks";
import { workerData } from "piscina";
import type { ExitReason, Message } from "../handler-api.ts";
import { BadOutcomeError } from "./bad-outcome.ts";
import { callBatches } from "./batch-calls.ts";
import { failureOf } from "./handler-failure.ts";
import { type LoadedHandler, loadHandler } from "./handler-loader.ts";
import { captureOutput } from "./handler-output.ts";
import type { HandlerFailure, RunReply, StartReply } from "./handler-thread.ts";
import { OutcomeCollector } from "./outcome-collector.ts";
import { isThenable, overlap } from "./overlapping-calls.ts";
import { keyAt, messageAt } from "./thread-codec.ts";
import { SharedProgress, type ThreadData, type ThreadReply, type ThreadRequest } from "./thread-protocol.ts";

const data = workerData as ThreadData;
const progress = new SharedProgress(data.progress);
let loaded: LoadedHandler | null = null;
let collector: OutcomeCollector | null = null;
let state: unknown;

// Stacks name the file and line that the user wrote, where the module brings a source map.
process.setSourceMapsEnabled(true);
if (data.output !== null) captureOutput(data.output);

/** Answers one request. */
export default function answer(request: ThreadRequest): Promise<ThreadReply> {
	switch (request.type) {
		case "start":
			return start();
		case "run":
			return run(request);
		case "terminate":
			return terminate(request.reason).then((terminated) => ({ terminated }));
	}
}

async function start(): Promise<StartReply> {
	progress.enter("load");
	const result = await loadHandler(data.module);
	progress.leave();
	if (!result.ok) return result;
	loaded = result.loaded;
	if (loaded.handles === "batch" && data.concurrency > 1) {
		const message = `${data.module}: handler.concurrency is ${data.concurrency}, which is for handleMessage; it exports handleMessages`;
		return { ok: false, failure: { kind: "load", name: "HandlerError", message, stack: null } };
	}
	collector = new OutcomeCollector({
		tables: data.tables,
		maxOutcomeBytes: data.maxOutcomeBytes,
		lenient: loaded.lenient,
		lanes: data.lanes,
	});
	return init(loaded);
}

async function init({ handler, handles }: LoadedHandler): Promise<StartReply> {
	progress.enter("init");
	try {
		const info = { ...data.partition, purpose: data.purpose, tables: data.tables.map(({ name }) => name) };
		state = await handler.init?.(info, data.options);
		return { ok: true, handles };
	} catch (error) {
		return { ok: false, failure: failureOf("init", error) };
	} finally {
		progress.leave();
	}
}

async function terminate(reason: ExitReason): Promise<HandlerFailure | null> {
	progress.enter("terminate");
	try {
		await loaded?.handler.terminate?.(reason, state);
		return null;
	} catch (error) {
		return failureOf("exception", error);
	} finally {
		progress.leave();
	}
}

async function run(request: ThreadRequest & { type: "run" }): Promise<RunReply> {
	const { handles } = loaded as LoadedHandler;
	const results = collector as OutcomeCollector;
	results.begin({ from: request.from, offsets: request.batch.offsets, timestamps: request.batch.timestamps });
	const renewed = request.state === "renew" ? await renew() : { failure: null, terminated: null };
	const { failure, terminated } = renewed;
	if (failure) return { ok: false, outcome: results.finish(request.from), failed: request.from, failure, terminated, batched: false };
	const reply = await (handles === "batch" ? runBatch : data.concurrency > 1 ? runOverlapping : runOneByOne)(request, results);
	progress.leave();
	return terminated ? { ...reply, terminated } : reply;
}

/** A new state after a failure; `failure` where its init failed. */
async function renew(): Promise<{ failure: HandlerFailure | null; terminated: HandlerFailure | null }> {
	const terminated = await terminate("failed");
	const reply = await init(loaded as LoadedHandler);
	return { failure: reply.ok ? null : reply.failure, terminated };
}

async function runOneByOne({ batch, from }: ThreadRequest & { type: "run" }, results: OutcomeCollector): Promise<RunReply> {
	const { handler } = loaded as LoadedHandler;
	const handleMessage = handler.handleMessage as NonNullable<typeof handler.handleMessage>;
	for (let i = 0; i < batch.length; i++) {
		const index = from + i;
		const message = messageOf(batch, i);
		const startedAt = performance.now();
		progress.enter("handle", index, 1);
		try {
			const outcome = handleMessage(message, state);
			// An await costs a turn of the event loop: only for what is a promise.
			results.add(index, isThenable(outcome) ? await outcome : outcome);
		} catch (error) {
			return { ok: false, outcome: results.finish(index), failed: index, failure: failureIn(error), batched: false };
		}
		progress.leave("handle");
		results.timed(performance.now() - startedAt);
	}
	return { ok: true, outcome: results.finish(from + batch.length) };
}

async function runOverlapping({ batch, from }: ThreadRequest & { type: "run" }, results: OutcomeCollector): Promise<RunReply> {
	const { handler } = loaded as LoadedHandler;
	const handleMessage = handler.handleMessage as NonNullable<typeof handler.handleMessage>;
	const to = from + batch.length;
	const startedAt = new Float64Array(batch.length);
	const { callBase } = progress;
	const { failure: first, unhandled } = await overlap({
		count: batch.length,
		limit: data.concurrency,
		keyOf: (index) => keyAt(batch, index)?.toString("latin1") ?? null,
		call: (index) => {
			startedAt[index] = performance.now();
			return handleMessage(messageOf(batch, index), state);
		},
		done: (index, outcome) => {
			results.add(from + index, outcome);
			results.timed(performance.now() - (startedAt[index] as number));
		},
		running: (oldest, count) => progress.overlapping(callBase + (oldest?.call ?? batch.length + 1), from + (oldest?.index ?? 0), count),
	});
	if (first === null) return { ok: true, outcome: results.finish(to) };
	const left = unhandled.map((index) => from + index);
	const outcome = { ...results.finish(to), unhandled: left };
	return { ok: false, outcome, failed: from + first.index, failure: failureIn(first.error), batched: false };
}

async function runBatch({ batch, from, state: rule }: ThreadRequest & { type: "run" }, results: OutcomeCollector): Promise<RunReply> {
	const { handler } = loaded as LoadedHandler;
	let terminated: HandlerFailure | null = null;
	const end = await callBatches(from, from + batch.length, results, {
		async call(first, last) {
			const messages = Array.from({ length: last - first }, (_, i) => messageOf(batch, first - from + i));
			progress.enter("handle", first, messages.length);
			const returned: unknown = await handler.handleMessages?.(messages, state);
			progress.leave("handle");
			return returned;
		},
		async renew() {
			const renewed = await renew();
			terminated ??= renewed.terminated;
			return renewed.failure;
		},
		mayRenew: rule !== "keep",
		failureIn,
	});
	const { to, failure, together = 1 } = end;
	if (failure) return { ok: false, outcome: results.finish(to), failed: to, together, failure, terminated, batched: true };
	return { ok: true, outcome: results.finish(to, end.finished), terminated };
}

function failureIn(error: unknown): HandlerFailure {
	return failureOf(isBadOutcome(error) ? "bad_outcome" : "exception", error);
}

/** What was thrown may be a proxy that throws when it is looked at. */
function isBadOutcome(thrown: unknown): boolean {
	try {
		return thrown instanceof BadOutcomeError;
	} catch {
		return false;
	}
}

function messageOf(batch: (ThreadRequest & { type: "run" })["batch"], index: number): Message {
	const { offset, timestamp, key, value, headers } = messageAt(batch, index);
	const { topic, partition } = data.partition;
	return { topic, partition, offset, key, value, ts: timestamp, tsType: data.timestampType, headers };
}
