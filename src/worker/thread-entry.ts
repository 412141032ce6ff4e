/**
 * The entry of a worker thread: runs the user's handler and nothing else. Each request of the main thread is one task of the pool;
 * what goes wrong in the user's code is answered as data, only a death of the thread is not. The module is loaded once, however many
 * partitions share the thread; each of them has a state of its own.
 *
 * Step 5 of a message's way (README).
 */
import { performance } from "node:perf_hooks";
import { workerData } from "piscina";
import type { TopicPartition } from "../core/message.ts";
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

/** A partition in this thread. */
interface Share {
	readonly partition: TopicPartition;
	state: unknown;
}

type RunRequest = ThreadRequest & { readonly type: "run" };

/** Messages handled one by one give the thread away after so long, ms, if others wait for it: a crossing costs about 0.1 ms. */
const TURN_MS = 20;

const data = workerData as ThreadData;
const progress = new SharedProgress(data.progress);
const shares = new Map<number, Share>();
let loaded: LoadedHandler | null = null;
let collector: OutcomeCollector | null = null;
/** Whose request is being answered. */
let current: Share | null = null;

// Stacks name the file and line that the user wrote, where the module brings a source map.
process.setSourceMapsEnabled(true);
const flushOutput = data.output === null ? () => {} : captureOutput(data.output, speaker);

/** Answers one request. */
export default async function answer(request: ThreadRequest): Promise<ThreadReply> {
	const share = request.type === "start" ? { partition: request.partition, state: undefined } : (shares.get(request.share) as Share);
	current = share;
	try {
		return await answerFor(share, request);
	} finally {
		flushOutput();
		current = null;
	}
}

async function answerFor(share: Share, request: ThreadRequest): Promise<ThreadReply> {
	switch (request.type) {
		case "start":
			return start(request.share, share);
		case "run":
			return run(share, request);
		case "terminate": {
			const terminated = await terminate(share, request.reason);
			shares.delete(request.share);
			return { terminated };
		}
		case "drop":
			shares.delete(request.share);
			return null;
	}
}

async function start(number: number, share: Share): Promise<StartReply> {
	const failure = loaded ? null : await load();
	if (failure) return { ok: false, failure };
	shares.set(number, share);
	return init(share);
}

async function load(): Promise<HandlerFailure | null> {
	progress.enter("load");
	const result = await loadHandler(data.module);
	progress.leave();
	if (!result.ok) return result.failure;
	const { handles, lenient } = result.loaded;
	if (handles === "batch" && data.concurrency > 1) {
		const message = `${data.module}: handler.concurrency is ${data.concurrency}, which is for handleMessage; it exports handleMessages`;
		return { kind: "load", name: "HandlerError", message, stack: null };
	}
	loaded = result.loaded;
	collector = new OutcomeCollector({ tables: data.tables, maxOutcomeBytes: data.maxOutcomeBytes, lenient, lanes: data.lanes });
	return null;
}

async function init(share: Share): Promise<StartReply> {
	const { handler, handles } = loaded as LoadedHandler;
	progress.enter("init");
	try {
		const info = { ...share.partition, purpose: data.purpose, tables: data.tables.map(({ name }) => name) };
		share.state = await handler.init?.(info, data.options);
		return { ok: true, handles };
	} catch (error) {
		return { ok: false, failure: failureOf("init", error) };
	} finally {
		progress.leave();
	}
}

async function terminate(share: Share, reason: ExitReason): Promise<HandlerFailure | null> {
	progress.enter("terminate");
	try {
		await loaded?.handler.terminate?.(reason, share.state);
		return null;
	} catch (error) {
		return failureOf("exception", error);
	} finally {
		progress.leave();
	}
}

async function run(share: Share, request: RunRequest): Promise<RunReply> {
	const { handles } = loaded as LoadedHandler;
	const results = collector as OutcomeCollector;
	results.begin({ from: request.from, offsets: request.batch.offsets, timestamps: request.batch.timestamps });
	const renewed = request.state === "renew" ? await renew(share) : { failure: null, terminated: null };
	const { failure, terminated } = renewed;
	if (failure) return { ok: false, outcome: results.finish(request.from), failed: request.from, failure, terminated, batched: false };
	const reply = await (handles === "batch" ? runBatch : data.concurrency > 1 ? runOverlapping : runOneByOne)(share, request, results);
	progress.leave();
	return terminated ? { ...reply, terminated } : reply;
}

/** A new state after a failure; `failure` where its init failed. */
async function renew(share: Share): Promise<{ failure: HandlerFailure | null; terminated: HandlerFailure | null }> {
	const terminated = await terminate(share, "failed");
	const reply = await init(share);
	return { failure: reply.ok ? null : reply.failure, terminated };
}

async function runOneByOne({ partition, state }: Share, { batch, from }: RunRequest, results: OutcomeCollector): Promise<RunReply> {
	const { handler } = loaded as LoadedHandler;
	const handleMessage = handler.handleMessage as NonNullable<typeof handler.handleMessage>;
	const endOfTurn = performance.now() + TURN_MS;
	for (let i = 0; i < batch.length; i++) {
		const index = from + i;
		const message = messageOf(partition, batch, i);
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
		const endedAt = performance.now();
		results.timed(endedAt - startedAt);
		if (endedAt >= endOfTurn && progress.awaited) return { ok: true, outcome: results.finish(index + 1) };
	}
	return { ok: true, outcome: results.finish(from + batch.length) };
}

async function runOverlapping({ partition, state }: Share, { batch, from }: RunRequest, results: OutcomeCollector): Promise<RunReply> {
	const { handler } = loaded as LoadedHandler;
	const handleMessage = handler.handleMessage as NonNullable<typeof handler.handleMessage>;
	const endOfTurn = performance.now() + TURN_MS;
	const startedAt = new Float64Array(batch.length);
	const { callBase } = progress;
	const {
		failure: first,
		taken,
		unhandled,
	} = await overlap({
		count: batch.length,
		limit: data.concurrency,
		isEnough: () => progress.awaited && performance.now() >= endOfTurn,
		keyOf: (index) => keyAt(batch, index)?.toString("latin1") ?? null,
		call: (index) => {
			startedAt[index] = performance.now();
			return handleMessage(messageOf(partition, batch, index), state);
		},
		done: (index, outcome) => {
			results.add(from + index, outcome);
			results.timed(performance.now() - (startedAt[index] as number));
		},
		running: (oldest, count) => progress.overlapping(callBase + (oldest?.call ?? batch.length + 1), from + (oldest?.index ?? 0), count),
	});
	const to = from + taken;
	if (first === null) return { ok: true, outcome: results.finish(to) };
	const left = unhandled.map((index) => from + index);
	const outcome = { ...results.finish(to), unhandled: left };
	return { ok: false, outcome, failed: from + first.index, failure: failureIn(first.error), batched: false };
}

async function runBatch(share: Share, { batch, from, state: rule }: RunRequest, results: OutcomeCollector): Promise<RunReply> {
	const { handler } = loaded as LoadedHandler;
	let terminated: HandlerFailure | null = null;
	const end = await callBatches(from, from + batch.length, results, {
		async call(first, last) {
			const messages = Array.from({ length: last - first }, (_, i) => messageOf(share.partition, batch, first - from + i));
			progress.enter("handle", first, messages.length);
			const returned: unknown = await handler.handleMessages?.(messages, share.state);
			progress.leave("handle");
			return returned;
		},
		async renew() {
			const renewed = await renew(share);
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

/** Whom a printed line comes from: who is being answered, or the only one there is; null where it can't be known. */
function speaker(): TopicPartition | null {
	const [only] = shares.values();
	return current?.partition ?? (shares.size === 1 ? (only as Share).partition : null);
}

function messageOf({ topic, partition }: TopicPartition, batch: RunRequest["batch"], index: number): Message {
	const { offset, timestamp, key, value, headers } = messageAt(batch, index);
	return { topic, partition, offset, key, value, ts: timestamp, tsType: data.timestampType, headers };
}
