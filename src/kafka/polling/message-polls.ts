/**
 * One of two ways to poll a connected consumer: packed by the addon (packed-polls.ts), or with node-rdkafka's own `consume` if there is no
 * addon (plain-polls.ts). Use only one of them on a client.
 *
 * Step 1 of a message's way (docs/architecture.md).
 */
import type { Polled } from "../client/group-client.ts";

/** Polls a connected consumer for messages. */
export interface MessagePolls {
	/** See GroupClient.poll. Errors come beside the messages; rejects if the client can't be polled at all. */
	poll(count: number, timeoutMs: number): Promise<Polled>;
	/** Ends the wait of a poll under way, if that can be done. */
	wake(): void;
	/** Ends polling: call it before the client disconnects, after a poll that was under way. */
	end(): void;
}

/** Maximum messages of a poll: with more, the first of them only waits longer. */
export const POLL_COUNT = 1_000;
/** A waiting poll holds one of libuv's pool threads, and a shutdown waits for it. */
export const POLL_TIMEOUT_MS = 100;
/** Maximum bytes of one poll, approximately: large messages are taken in smaller numbers. */
export const POLL_BYTES = 8 * 1024 * 1024;
