/**
 * Calls handleMessages with a run of messages: first with all of them. If that fails, it calls it with halves, each with a new state and
 * the messages as they are in the log, until the offender is found (about log2 of the run's size extra calls). The messages before it are
 * then handled, those after it are not.
 *
 * A state that holds unfinished messages of earlier runs may not be renewed here, because those messages would have to come again first. In
 * that case the failure is reported as it is, and the worker halves the run. Pure, except for the calls it is given.
 *
 * Step 5 of a message's way (docs/architecture.md).
 */
import { counted } from "../../core/text/counted.ts";
import { withoutValues } from "../../core/text/without-values.ts";
import type { HandlerFailure } from "../thread/handler-thread.ts";
import { ceil, hasOwn, isArray, max } from "./built-ins.ts";
import type { OutcomeCollector } from "./outcome-collector.ts";
import { BadOutcomeError, kindOf } from "./rows/bad-outcome.ts";

/** The calls that are made. Indexes are those of the whole batch. */
export interface BatchCalls {
	/** Calls the handler with messages `from` (included) to `to` (excluded); resolves to what it returned, rejects with what it threw. */
	call(from: number, to: number): Promise<unknown>;
	/** The run is handled up to `to` (excluded), and goes on. */
	handled?(to: number): Promise<void>;
	/**
	 * Makes a new state and restores the messages from `from` on, which a call may have written to; all before `from` are handled. Resolves
	 * to init's failure, or null.
	 */
	again(from: number): Promise<HandlerFailure | null>;
	/** False if the state has to live until the run's end. */
	readonly mayRenew: boolean;
	/** True if no more calls should begin. */
	mustEnd(): boolean;
	failureIn(error: unknown): HandlerFailure;
}

/** How a run ended: all messages before `to` are handled. */
export interface BatchEnd {
	readonly to: number;
	/**
	 * Message `to` failed alone, or `together` messages from it on failed in one call, or no new state could be made (kind `init`). Null: no
	 * failure.
	 */
	readonly failure: HandlerFailure | null;
	readonly together?: number;
	/** All messages before `calledTo` were in a call, perhaps in one that failed. */
	readonly calledTo: number;
	/** The `finishedTo` that covers the messages from `from` on. */
	readonly finished?: { readonly from: number; readonly to: number | null };
}

/** Runs messages `first` to `end`, adding their outcomes to `results`. Never rejects for what the handler does. */
export async function callBatches(first: number, end: number, results: OutcomeCollector, calls: BatchCalls): Promise<BatchEnd> {
	let [from, to] = [first, end];
	/** One of the messages before it made a call fail; null: nobody is suspected. */
	let suspectsEnd: number | null = null;
	let failure: HandlerFailure | null = null;
	let calledTo = first;
	while (from < end) {
		if (calls.mustEnd()) return { to: from, failure: null, calledTo };
		calledTo = max(calledTo, to);
		const mark = results.mark();
		try {
			const startedAt = performance.now();
			const { outcomes, finishedTo } = batchResult(await calls.call(from, to), to - from);
			for (let index = from; index < to; index++) results.add(index, outcomes?.[index - from]);
			results.timed(performance.now() - startedAt);
			// An answer holds a single finishedTo, and renewing the state would end the messages that this finishedTo leaves open. So the
			// messages after it wait for the next run.
			if (finishedTo !== undefined) return { to, failure: null, calledTo, finished: { from, to: finishedTo } };
		} catch (error) {
			results.rollBack(mark);
			failure = calls.failureIn(error);
			if (to - from === 1 || !calls.mayRenew || calls.mustEnd()) return { to: from, failure, calledTo, together: to - from };
			const stateFailure = await calls.again(from);
			if (stateFailure) return { to: from, failure: stateFailure, calledTo };
			suspectsEnd = to;
			to = from + ceil((to - from) / 2);
			continue;
		}
		from = to;
		if (from < end) await calls.handled?.(from);
		if (from === suspectsEnd) suspectsEnd = null;
		to = suspectsEnd === null ? end : from + ceil((suspectsEnd - from) / 2);
	}
	if (failure)
		results.warn(`handleMessages failed with several messages and not with fewer: ${failure.name}: ${withoutValues(failure.message)}`);
	return { to: end, failure: null, calledTo };
}

interface BatchResult {
	readonly outcomes: readonly unknown[] | undefined;
	readonly finishedTo: number | null | undefined;
}

function batchResult(returned: unknown, length: number): BatchResult {
	// Written out, because an absent property might be inherited.
	if (isArray(returned)) return { outcomes: checkedLength(returned, length), finishedTo: undefined };
	if (typeof returned !== "object" || returned === null || !hasOwn(returned, "finishedTo")) {
		throw new BadOutcomeError(`handleMessages returns a list of ${length} outcomes, or {outcomes?, finishedTo}, not ${kindOf(returned)}`);
	}
	const { finishedTo } = returned as { finishedTo: unknown };
	const outcomes = hasOwn(returned, "outcomes") ? (returned as { outcomes: unknown }).outcomes : undefined;
	if (finishedTo !== null && !Number.isSafeInteger(finishedTo)) {
		throw new BadOutcomeError(`finishedTo must be an offset or null, not ${kindOf(finishedTo)}`);
	}
	if (outcomes !== undefined && !isArray(outcomes)) throw new BadOutcomeError(`outcomes must be a list, not ${kindOf(outcomes)}`);
	return { outcomes: outcomes === undefined ? undefined : checkedLength(outcomes, length), finishedTo: finishedTo as number | null };
}

function checkedLength(outcomes: readonly unknown[], length: number): readonly unknown[] {
	if (outcomes.length === length) return outcomes;
	throw new BadOutcomeError(`handleMessages got ${counted(length, "message")} and returned ${counted(outcomes.length, "outcome")}`);
}
