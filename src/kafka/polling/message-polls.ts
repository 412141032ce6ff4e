/**
 * One of the two ways to the messages of a connected consumer: packed by the addon (packed-polls.ts), or by node-rdkafka's own `consume`
 * where there is no addon (plain-polls.ts). Only one of them may be used on a client.
 *
 * Step 1 of a message's way (docs/architecture.md).
 */
import type { Polled } from "../client/group-client.ts";

/** Polls a connected consumer for messages. */
export interface MessagePolls {
	/** See GroupClient.poll. Errors come beside what was brought; it rejects where the client can't be polled at all. */
	poll(count: number, timeoutMs: number): Promise<Polled>;
	/** Nothing more is polled: before the client disconnects, and behind a poll that was under way. */
	end(): void;
}

/** Most messages of a poll: more only wait longer for the first of them to be handled. */
export const POLL_COUNT = 1_000;
/** A poll that waits holds one of libuv's pool threads, and a shutdown waits for it. */
export const POLL_TIMEOUT_MS = 100;
/** Large messages are taken in smaller numbers, so that one poll brings at most about this much. */
export const POLL_BYTES = 8 * 1024 * 1024;
