/**
 * The report of a failure: which partition and message, what happened, what happens next. Built here, passed to listeners. Never holds a
 * value of a message.
 */
import type { TopicPartition } from "../../core/messages/message.ts";
import type { HandlerFailure, ThreadDeath } from "../thread/handler-thread.ts";

/**
 * The kinds of failure: those of a live thread, those of a thread's death, and `process`: earlier processes died with the message in hand.
 */
export type FailureKind = HandlerFailure["kind"] | ThreadDeath["reason"] | "process";

/** What the worker does next. `delayMs`: how long until then. */
export interface NextStep {
	readonly action: "retry" | "restart" | "park" | "stop" | "dead-letter" | "skip";
	readonly delayMs: number;
	/** Set for the last retry: it runs in a new thread, so that messages handled before can't be the cause. */
	readonly inNewThread?: boolean;
}

/** True if the step ends the message, or parks the partition or stops the daemon because of it. */
export function isEnd({ action }: NextStep): boolean {
	return action !== "retry" && action !== "restart";
}

/** One failure of one partition. */
export interface CrashReport extends TopicPartition {
	/** Wall clock in ms. */
	readonly time: number;
	/** Node's id of the thread that it happened in; null if no thread had run yet. */
	readonly threadId: number | null;
	readonly kind: FailureKind;
	/** The message that was running or comes next; null if there is none. */
	readonly coordinates: { readonly offset: number; readonly key: string | null } | null;
	/** Failed attempts of that message, including this one; 0 if nothing was charged. */
	readonly attempt: number;
	readonly maxAttempts: number;
	/** Restarts of this worker since its partition was assigned. */
	readonly restarts: number;
	readonly error: { readonly name: string; readonly message: string; readonly stack: string | null };
	readonly next: NextStep;
}

const KEY_LENGTH = 120;

/** A message key as people read it: UTF-8 text, shortened; `base64:…` if it is not text. */
export function keyText(key: Buffer | null): string | null {
	if (key === null) return null;
	const text = key.toString("utf8");
	const shown = Buffer.from(text, "utf8").equals(key) && !/\p{Cc}/u.test(text) ? text : `base64:${key.toString("base64")}`;
	return shown.length > KEY_LENGTH ? `${shown.slice(0, KEY_LENGTH)}…` : shown;
}
