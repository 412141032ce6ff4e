/**
 * The entry of a worker thread: runs the user's handler and nothing else. Each request of the main thread is one task of the pool. Failures
 * of the user's code are answered as data; only the thread's death is not. The module is loaded once, however many partitions share the
 * thread; each partition has a handler state of its own.
 *
 * Step 5 of a message's way (docs/architecture.md).
 */
import { workerData } from "node:worker_threads";
import type { TopicPartition } from "../../core/messages/message.ts";
import type { ExitReason } from "../../handler-api.ts";
import { captureOutput } from "../thread/handler-output.ts";
import type { HandlerFailure, RunReply, StartReply } from "../thread/handler-thread.ts";
import { handlerVersion } from "../thread/handler-version.ts";
import { type PartReply, SharedProgress, type ThreadData, type ThreadReply, type ThreadRequest } from "../thread/thread-protocol.ts";
import { failureOf } from "./handler-failure.ts";
import { type LoadedHandler, loadHandler } from "./handler-loader.ts";
import { beginRun } from "./handler-runs.ts";
import { HeapLimit } from "./heap-limit.ts";
import type { JsonState } from "./json/json-handler.ts";
import type { JsonReader } from "./json/json-reader.ts";
import { OutcomeCollector } from "./outcome-collector.ts";
import type { RunParts } from "./run-parts.ts";

/** A partition that uses this thread. */
interface Share {
	readonly partition: TopicPartition;
	state: unknown;
	/** The byte reader of pockaffe:json; null for other handlers. */
	reader: JsonReader | null;
	/** Memory that its first init added. */
	bytes: number;
}

type JsonHandler = typeof import("./json/json-handler.ts");
type RunRequest = ThreadRequest & { readonly type: "run" };

const data = workerData as ThreadData;
const progress = new SharedProgress(data.progress);
const shares = new Map<number, Share>();
const heap = new HeapLimit(data.maxHeapMb);
let loaded: LoadedHandler | null = null;
let version: string | null = null;
let collector: OutcomeCollector | null = null;
/** The partition whose request is being answered. */
let current: Share | null = null;
/** The run that is being answered in parts. */
let goingOn: RunParts | null = null;

// If the module has a source map, stack traces name the file and line that the user wrote.
process.setSourceMapsEnabled(true);
const flushOutput = data.output === null ? () => {} : captureOutput(data.output, speaker);

/** Answers one request. */
export default async function answer(request: ThreadRequest): Promise<ThreadReply> {
	if (request.type === "load") return { loadFailure: await load() };
	const share =
		request.type === "start"
			? { partition: request.partition, state: undefined, reader: null, bytes: 0 }
			: (shares.get(request.share) as Share);
	current = share;
	let isOver = true;
	try {
		const reply = await answerFor(share, request);
		if (reply && "goesOn" in reply) isOver = false;
		return await withHeld(reply);
	} finally {
		flushOutput();
		if (isOver) {
			if (request.type === "run" || request.type === "more") progress.leave();
			goingOn = null;
			current = null;
		}
	}
}

async function answerFor(share: Share, request: Exclude<ThreadRequest, { readonly type: "load" }>): Promise<ThreadReply> {
	switch (request.type) {
		case "start":
			return start(request.share, share);
		case "run":
			return run(share, request);
		case "more":
			return (goingOn as RunParts).ask(request.batch);
		case "terminate": {
			const terminated = await terminate(share, request.reason);
			forget(request.share);
			return { terminated };
		}
		case "drop":
			forget(request.share);
			return null;
	}
}

/** Adds to a run's reply that the thread uses too much memory, if it does. */
async function withHeld(reply: ThreadReply): Promise<ThreadReply> {
	if (!reply || !("outcome" in reply) || "goesOn" in reply || !reply.ok || !heap.looksFull) return reply;
	const heldMb = await heap.tooMuch();
	return heldMb === null ? reply : { ...reply, heldMb };
}

async function start(number: number, share: Share): Promise<StartReply> {
	const failure = loaded ? null : await load();
	if (failure) return { ok: false, failure };
	shares.set(number, share);
	const heldBefore = heap.held;
	const reply = await init(share);
	share.bytes = heap.begun(heldBefore);
	return reply;
}

function forget(number: number): void {
	heap.ended(shares.get(number)?.bytes ?? 0);
	shares.delete(number);
}

async function load(): Promise<HandlerFailure | null> {
	progress.enter("load");
	const result = await loadHandler(data.module);
	progress.leave();
	if (!result.ok) return result.failure;
	const { handles, readsBytes } = result.loaded;
	if (handles === "batch" && data.concurrency > 1) {
		const message = `${data.module}: handler.concurrency is ${data.concurrency}, which is for handleMessage; it exports handleMessages`;
		return { kind: "load", name: "HandlerError", message, stack: null };
	}
	loaded = result.loaded;
	heap.begun();
	version = await handlerVersion(data.module);
	const { tables, maxOutcomeBytes, lanes, purpose } = data;
	const produces = data.produces.length > 0 ? data.produces : null;
	// verify and reprocess produce nothing.
	const keepsRecords = purpose === "run";
	collector = new OutcomeCollector({ tables, maxOutcomeBytes, lenient: readsBytes, lanes, produces, keepsRecords });
	return null;
}

async function init(share: Share): Promise<StartReply> {
	const { handler, handles, readsBytes } = loaded as LoadedHandler;
	const { tables, lanes, purpose, maxOutcomeBytes: maxBytes } = data;
	progress.enter("init");
	try {
		const info = { ...share.partition, purpose, tables: tables.map(({ name }) => name) };
		share.state = await (readsBytes
			? (handler as JsonHandler).init(info, data.options, { tables, lanes, maxBytes })
			: handler.init?.(info, data.options));
		share.reader = readsBytes ? (share.state as JsonState).reader : null;
		return { ok: true, handles, version };
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

function run(share: Share, { batch, from, state: rule }: RunRequest): Promise<RunReply | PartReply> {
	const { handler } = loaded as LoadedHandler;
	const results = collector as OutcomeCollector;
	results.begin({ from, offsets: batch.offsets, timestamps: batch.timestamps });
	const { concurrency } = data;
	const { partition, reader } = share;
	const run = { handler, partition, state: () => share.state, batch, from, rule, concurrency, results, reader };
	const { parts, first } = beginRun({ ...run, progress, looksFull: () => heap.looksFull, renew: () => renew(share) });
	goingOn = parts;
	return first;
}

/**
 * Makes a new state after a failure. `failure`: its init's failure, or null; `terminated`: what the old state's terminate threw, or null.
 */
async function renew(share: Share): Promise<{ failure: HandlerFailure | null; terminated: HandlerFailure | null }> {
	const terminated = await terminate(share, "failed");
	const reply = await init(share);
	return { failure: reply.ok ? null : reply.failure, terminated };
}

/** The partition that a printed line comes from: the one being answered, or the only one in the thread; null if it can't be known. */
function speaker(): TopicPartition | null {
	const [only] = shares.values();
	return current?.partition ?? (shares.size === 1 ? (only as Share).partition : null);
}
