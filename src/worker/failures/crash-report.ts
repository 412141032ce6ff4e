/** What is told about a failure: who, which message, what happened, what happens next. Built here, told by listeners; never a value. */
import type { TopicPartition } from "../../core/messages/message.ts";
import type { HandlerFailure, ThreadDeath } from "../thread/handler-thread.ts";

/**
 * The kinds a failure can have: those of a live thread, those of a death, and `process`: earlier processes died with the message in hand.
 */
export type FailureKind = HandlerFailure["kind"] | ThreadDeath["reason"] | "process";

/** What the worker does about it. `delayMs` is how long until then. */
export interface NextStep {
	readonly action: "retry" | "restart" | "park" | "stop" | "dead-letter" | "skip";
	readonly delayMs: number;
	/** Of a retry: it is the last one, and what was handled before in the thread must have no part in it. */
	readonly inNewThread?: boolean;
}

/** One failure of one partition. */
export interface CrashReport extends TopicPartition {
	/** Wall clock in ms. */
	readonly time: number;
	/** Node's id of the thread it happened in; null where none had run yet. */
	readonly threadId: number | null;
	readonly kind: FailureKind;
	/** The message that was running, or that waits for the worker; null where none does. */
	readonly coordinates: { readonly offset: number; readonly key: string | null } | null;
	/** Failed attempts of that message so far, this one included; 0 where nothing was charged. */
	readonly attempt: number;
	readonly maxAttempts: number;
	/** Restarts of this worker since its partition was assigned. */
	readonly restarts: number;
	readonly error: { readonly name: string; readonly message: string; readonly stack: string | null };
	readonly next: NextStep;
}

const KEY_LENGTH = 120;

/** A key for people: UTF-8 text, shortened; `base64:…` where it is not text. */
export function keyText(key: Buffer | null): string | null {
	if (key === null) return null;
	const text = key.toString("utf8");
	const shown = Buffer.from(text, "utf8").equals(key) && !/\p{Cc}/u.test(text) ? text : `base64:${key.toString("base64")}`;
	return shown.length > KEY_LENGTH ? `${shown.slice(0, KEY_LENGTH)}…` : shown;
}
