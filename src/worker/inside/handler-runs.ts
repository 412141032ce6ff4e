/**
 * The three ways in which a run of messages goes through the user's handler: one by one, with overlapping calls, or all in one call.
 * Failures of the user's code are returned as data.
 *
 * Step 5 of a message's way (docs/architecture.md).
 */
import { performance } from "node:perf_hooks";
import type { TopicPartition } from "../../core/messages/message.ts";
import { keyAt, messageAt } from "../../core/messages/message-codec.ts";
import type { PackedBatch } from "../../core/messages/packed-batch.ts";
import type { Handler, Message } from "../../handler-api.ts";
import type { BatchOutcome, HandlerFailure, RunReply, StateRule } from "../thread/handler-thread.ts";
import type { PartReply, SharedProgress } from "../thread/thread-protocol.ts";
import { callBatches } from "./batch-calls.ts";
import { failureOf } from "./handler-failure.ts";
import type { JsonReader } from "./json/json-reader.ts";
import { readRun } from "./json/json-run.ts";
import type { OutcomeCollector } from "./outcome-collector.ts";
import { isThenable, overlap } from "./overlapping-calls.ts";
import { BadOutcomeError } from "./rows/bad-outcome.ts";
import { RunParts } from "./run-parts.ts";

/** A run and what it needs. `batch` holds only the run; its first message has index `from` in the whole batch. */
export interface HandlerRun {
	readonly handler: Handler;
	readonly partition: TopicPartition;
	/** Returns the handler's current state. */
	readonly state: () => unknown;
	/** The messages passed to the calls. The handler may write to their bytes, or transfer them away. */
	batch: PackedBatch;
	readonly from: number;
	readonly rule: StateRule;
	readonly concurrency: number;
	/** Collects this run's outcomes; already begun. */
	readonly results: OutcomeCollector;
	readonly progress: SharedProgress;
	/** Reads messages without the handler where possible (pockaffe:json); null: all messages go to the handler. */
	readonly reader: JsonReader | null;
	/** True if the thread may use too much memory: the run then ends early, so that this is checked. */
	readonly looksFull: () => boolean;
	/**
	 * Makes a new state after a failure. `failure`: its init's failure, or null; `terminated`: what the old state's terminate threw, or null.
	 */
	readonly renew: () => Promise<{ failure: HandlerFailure | null; terminated: HandlerFailure | null }>;
}

/** Gathered bytes of rows after which a part leaves the thread, however short the time: what is gathered counts as the handler's memory. */
const PART_BYTES = 4 * 2 ** 20;

/** Taken before the user's module is loaded, which may replace it. */
const now = performance.now.bind(performance);

type HandleMessage = NonNullable<Handler["handleMessage"]>;

/** A way to make a run: its answer in parts, and the function that makes the calls. */
type Way = readonly [parts: RunParts, go: () => Promise<RunReply>];

/** Begins a run and resolves to its first part. Ask `parts` for the others. */
export function beginRun(run: HandlerRun): { readonly parts: RunParts; readonly first: Promise<RunReply | PartReply> } {
	const [parts, go] = wayOf(run)(run);
	const first = parts.begin(async () => {
		if (run.rule !== "renew") return go();
		const { failure, terminated } = await run.renew();
		if (failure) return { ok: false, outcome: run.results.take(run.from), failed: run.from, failure, terminated, batched: false };
		const reply = await go();
		return terminated ? { ...reply, terminated } : reply;
	});
	return { parts, first };
}

function wayOf({ handler, concurrency, reader }: HandlerRun): (run: HandlerRun) => Way {
	if (handler.handleMessage === undefined) return inOneCall;
	if (concurrency > 1) return overlapping;
	return reader === null ? oneByOne : (run) => fromBytes(run, reader);
}

function fromBytes(run: HandlerRun, reader: JsonReader): Way {
	const { batch, from, results } = run;
	reader.begin(batch);
	const positions = { from, offsets: batch.offsets, timestamps: batch.timestamps };
	const take = (to: number) => results.take(to, {}, reader.take(positions));
	let [told, handledTo] = [from, from];
	const parts = new RunParts(run, () => {
		if (handledTo === told) return null;
		told = handledTo;
		return take(told);
	});
	const go = async (): Promise<RunReply> => {
		const failed = await readRun(
			{
				...{ batch, from, reader, results, progress: run.progress, partBytes: PART_BYTES },
				handle: (index) => (run.handler.handleMessage as HandleMessage)(messageOf(run, index), run.state()),
				handledTo: (index) => {
					handledTo = from + index;
				},
			},
			parts,
		);
		const outcome = take(handledTo);
		reader.end();
		if (failed === null) return { ok: true, outcome };
		return { ok: false, outcome, failed: handledTo, failure: failureIn(failed.error), batched: false };
	};
	return [parts, go];
}

function oneByOne(run: HandlerRun): Way {
	const { results } = run;
	let told = run.from;
	const loop = new OneByOne(run);
	const parts = new RunParts(run, () => {
		if (loop.handledTo === told) return null;
		told = loop.handledTo;
		return results.take(told);
	});
	return [parts, () => loop.go(parts)];
}

class OneByOne {
	/** Index of the first message that is not handled yet. */
	handledTo: number;
	readonly #run: HandlerRun;

	constructor(run: HandlerRun) {
		this.#run = run;
		this.handledTo = run.from;
	}

	async go(parts: RunParts): Promise<RunReply> {
		const { handler, from, results, progress } = this.#run;
		const handleMessage = handler.handleMessage as HandleMessage;
		const state = this.#run.state();
		const { length } = this.#run.batch;
		const hasBytes = holdsBytes(this.#run.batch);
		// One reading of the clock ends a message's time and begins the next one's.
		let startedAt = now();
		for (let i = 0; i < length && !parts.mustEnd(i, startedAt); i++) {
			if (hasBytes && !holdsBytes(this.#run.batch)) await takeAgain(this.#run, parts, () => results.take(this.handledTo));
			const message = messageOf(this.#run, i);
			progress.enter("handle", from + i, 1);
			try {
				const outcome = handleMessage(message, state);
				// Await only promises: each await costs a turn of the event loop.
				results.add(from + i, isThenable(outcome) ? await outcome : outcome);
			} catch (error) {
				return { ok: false, outcome: results.take(from + i), failed: from + i, failure: failureIn(error), batched: false };
			}
			progress.leave("handle");
			const endedAt = now();
			results.timed(endedAt - startedAt);
			startedAt = endedAt;
			this.handledTo = from + i + 1;
			if (!parts.isDue(endedAt) && results.bytes < PART_BYTES) continue;
			await parts.passOn();
			startedAt = now();
		}
		return { ok: true, outcome: results.take(this.handledTo) };
	}
}

function overlapping(run: HandlerRun): Way {
	const { handler, from, results, progress } = run;
	const { length } = run.batch;
	const hasBytes = holdsBytes(run.batch);
	const handleMessage = handler.handleMessage as HandleMessage;
	let handled: number[] = [];
	const take = (): BatchOutcome => {
		const those = handled.sort((left, right) => left - right);
		handled = [];
		const to = those.length === 0 ? from : (those[those.length - 1] as number) + 1;
		return results.take(to, { handled: those });
	};
	const parts = new RunParts(run, () => (handled.length === 0 ? null : take()));
	const startedAt = new Float64Array(length);
	const go = async (): Promise<RunReply> => {
		const state = run.state();
		progress.overlap();
		const failure = await overlap({
			count: length,
			limit: run.concurrency,
			mayBegin: (begun) => {
				const nowMs = now();
				if (parts.mustEnd(begun, nowMs)) return false;
				if (hasBytes && !holdsBytes(run.batch)) return takeAgain(run, parts, take);
				return (!parts.isDue(nowMs) && results.bytes < PART_BYTES) || parts.passOn();
			},
			keyOf: (index) => keyAt(run.batch, index)?.toString("latin1") ?? null,
			call: (index) => {
				startedAt[index] = now();
				return handleMessage(messageOf(run, index), state);
			},
			done: (index, outcome) => {
				results.add(from + index, outcome);
				handled.push(from + index);
				results.timed(now() - (startedAt[index] as number));
			},
			begins: (slot, index) => progress.begin(slot, from + index),
			ended: (slot) => progress.end(slot),
		});
		if (failure === null) return { ok: true, outcome: take() };
		return { ok: false, outcome: take(), failed: from + failure.index, failure: failureIn(failure.error), batched: false };
	};
	return [parts, go];
}

function inOneCall(run: HandlerRun): Way {
	const { handler, from, results, progress } = run;
	const hasBytes = holdsBytes(run.batch);
	/** Index of the first unhandled message; null while a call is running. */
	let handledTo: number | null = null;
	const parts = new RunParts(run, () => (handledTo === null ? null : results.take(handledTo)));
	const go = async (): Promise<RunReply> => {
		let terminated: HandlerFailure | null = null;
		const end = await callBatches(from, from + run.batch.length, results, {
			async call(first, last) {
				if (hasBytes && !holdsBytes(run.batch)) await takeAgain(run, parts, () => results.take(first));
				const messages = Array.from({ length: last - first }, (_, i) => messageOf(run, first - from + i));
				progress.enter("handle", first, messages.length);
				const returned: unknown = await handler.handleMessages?.(messages, run.state());
				progress.leave("handle");
				return returned;
			},
			async handled(to) {
				handledTo = to;
				await parts.passOn();
				handledTo = null;
			},
			async again(first) {
				await takeAgain(run, parts, () => results.take(first));
				const renewed = await run.renew();
				terminated ??= renewed.terminated;
				return renewed.failure;
			},
			mayRenew: run.rule !== "keep",
			mustEnd: () => progress.isCutShort,
			failureIn,
		});
		const { to, failure, calledTo, together = 1 } = end;
		if (failure) return { ok: false, outcome: results.take(to), failed: to, together, failure, terminated, batched: true };
		const outcome = results.take(to, end.finished ? { finished: end.finished } : {});
		return { ok: true, outcome, terminated, calledTo };
	};
	return [parts, go];
}

/** False if the handler transferred away the memory that the run's messages lie in (a transfer of `value.buffer`). */
function holdsBytes({ bytes }: PackedBatch): boolean {
	return bytes.byteLength > 0;
}

/** Goes on with the messages as they are in the log. `nothing`: an outcome without messages. */
async function takeAgain(run: HandlerRun, parts: RunParts, nothing: () => BatchOutcome): Promise<void> {
	run.batch = await parts.messagesAgain(nothing);
}

function failureIn(error: unknown): HandlerFailure {
	return failureOf(isBadOutcome(error) ? "bad_outcome" : "exception", error);
}

/** The thrown value may be a proxy that throws when it is read. */
function isBadOutcome(thrown: unknown): boolean {
	try {
		return thrown instanceof BadOutcomeError;
	} catch {
		return false;
	}
}

function messageOf({ partition: { topic, partition }, batch }: HandlerRun, index: number): Message {
	const { offset, timestamp, timestampType, key, value, headers } = messageAt(batch, index);
	return { topic, partition, offset, key, value, ts: timestamp, tsType: timestampType, headers };
}
