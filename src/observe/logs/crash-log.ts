/**
 * The log record of a failure: which partition and message, what happened, what happens next. Only the first of a kind has the stack. Pure,
 * except that it remembers the kinds that it has seen. Never shows a message's value.
 */
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import { failureName } from "../../core/text/failure-name.ts";

/** A failure as a worker reports it. */
export interface CrashFact extends TopicPartition {
	readonly threadId: number | null;
	readonly kind: string;
	readonly coordinates: { readonly offset: number; readonly key: string | null } | null;
	/** Failed attempts of the message; 0 if it was not charged. */
	readonly attempt: number;
	readonly maxAttempts: number;
	readonly restarts: number;
	readonly error: { readonly name: string; readonly message: string; readonly stack: string | null };
	readonly next: { readonly action: string; readonly delayMs: number; readonly inNewThread?: boolean };
}

/** Fields and sentence of a log record. */
export interface LogRecord {
	readonly fields: object;
	readonly message: string;
}

/** Maximum kinds remembered. With more, error messages probably differ each time, and the memory is cleared. */
const MOST_KINDS = 200;
const LONGEST_MESSAGE = 2000;

/** Turns reports into records. `module` is `handler.module` as configured. */
export class CrashLog {
	readonly #module: string;
	readonly #seen = new Map<string, number>();

	constructor(module: string) {
		this.#module = module;
	}

	record(fact: CrashFact): LogRecord {
		const { topic, partition, kind, coordinates, attempt, restarts, next } = fact;
		const error = { ...fact.error, message: shortened(fact.error.message) };
		const times = this.#timesSeen(fact);
		const stack = times === 1 && error.stack ? { stack: shortened(error.stack) } : {};
		const fields = {
			module: this.#module,
			function: functionOf(kind),
			topic,
			partition,
			thread: fact.threadId,
			offset: coordinates?.offset ?? null,
			key: coordinates?.key ?? null,
			kind,
			error: { name: error.name, message: error.message, ...stack },
			attempt,
			restarts,
			next: next.action,
			delayMs: Math.round(next.delayMs),
			seen: times,
		};
		const message = `${this.#module}: ${functionOf(kind)} ${whatOf(kind)} at ${placeOf(fact)}: ${sentenceOf(error)}; ${nextOf(fact)}`;
		return { fields, message };
	}

	/** The summary of failures of one kind that were held back; `fact` is the last of them. */
	summary(fact: CrashFact, count: number, periodMs: number): LogRecord {
		const { topic, partition, kind, coordinates, restarts } = fact;
		const { name, message } = { ...fact.error, message: shortened(fact.error.message) };
		const fields = {
			module: this.#module,
			function: functionOf(kind),
			topic,
			partition,
			offset: coordinates?.offset ?? null,
			kind,
			error: { name, message },
			restarts,
			repeated: count,
		};
		const times = count === 1 ? "once more" : `${count} times more`;
		const within = `within ${Math.round(periodMs / 1000)} s`;
		return { fields, message: `${this.#module}: ${times} ${within}, last at ${placeOf(fact)}: ${sentenceOf({ name, message })}` };
	}

	#timesSeen(fact: CrashFact): number {
		const key = failureName(fact);
		const times = (this.#seen.get(key) ?? 0) + 1;
		if (this.#seen.size >= MOST_KINDS) this.#seen.clear();
		this.#seen.set(key, times);
		return times;
	}
}

function shortened(text: string): string {
	return text.length > LONGEST_MESSAGE ? `${text.slice(0, LONGEST_MESSAGE)}…` : text;
}

function functionOf(kind: string): string {
	switch (kind) {
		case "load":
			return "handleMessage or handleMessages";
		case "init":
			return "init";
		default:
			return "the handler";
	}
}

function whatOf(kind: string): string {
	switch (kind) {
		case "load":
			return "could not be loaded";
		case "init":
			return "failed";
		case "bad_outcome":
			return "returned something that is no outcome";
		case "timeout":
			return "did not answer in time";
		case "exit":
			return "ended its thread";
		case "out_of_memory":
			return "ran out of memory";
		case "process":
			return "took the process with it";
		default:
			return "threw";
	}
}

function placeOf({ coordinates, attempt, maxAttempts, ...partition }: CrashFact): string {
	if (!coordinates) return partitionName(partition);
	const key = coordinates.key === null ? "no key" : `key ${JSON.stringify(coordinates.key)}`;
	// A parked message is tried again beyond the maximum.
	const of = attempt > maxAttempts ? "" : ` of ${maxAttempts}`;
	const count = attempt > 0 ? `, attempt ${attempt}${of}` : "";
	return `${partitionName(partition)} offset ${coordinates.offset} (${key}${count})`;
}

function sentenceOf({ name, message }: { name: string; message: string }): string {
	const plain = name === "Error" || name === "ThreadDied" || message.startsWith(name);
	return plain ? message : `${name}: ${message}`;
}

function nextOf({ kind, next: { action, delayMs, inNewThread }, coordinates }: CrashFact): string {
	const wait = delayMs > 0 ? `in ${Math.round(delayMs)} ms` : "at once";
	const what = coordinates ? `offset ${coordinates.offset}` : "the partition";
	switch (action) {
		case "retry":
			return `${what} is tried again ${wait}${inNewThread ? ", for the last time; in a new thread if other messages have been in this one" : ""}`;
		case "restart":
			return `a new thread goes on from ${what} ${wait}`;
		case "park":
			if (kind === "process") return `the partition is parked at ${what} until the handler's file changes or it is resumed by hand`;
			return `the partition is parked at ${what}; it is tried again ${wait} and as soon as the handler's file changes`;
		case "stop":
			return "the daemon stops, as configured";
		case "dead-letter":
			return `${what} becomes a dead letter`;
		case "skip":
			return `${what} is skipped, as configured`;
		default:
			return action;
	}
}
