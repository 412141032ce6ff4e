/**
 * The client that sends records now. It is made when it is first needed. It is replaced when it gives up (a fatal error of librdkafka), or
 * when its settings are old.
 *
 *   none -> connecting -> ready -> closing -> none
 */

import type { Clock } from "../../core/clock.ts";
import { messageOf } from "../../core/errors.ts";
import { fullJitter, KAFKA_RETRY } from "../../core/exponential-back-off.ts";
import type { Random } from "../../core/random.ts";
import type { KafkaError } from "../client/kafka-error.ts";
import type { RecordClient } from "./record-client.ts";

/** What the current client is made of. */
export interface CurrentClientParts {
	readonly clock: Clock;
	readonly random: Random;
	readonly signal: AbortSignal;
	readonly connect: () => Promise<RecordClient>;
	/** Whether the client has records that it has not reported. */
	readonly isBusy: () => boolean;
	/** `ready` has a new client; or the signal was aborted, and it has none. */
	readonly connected: () => void;
	/** It could not connect: see `trouble`. */
	readonly troubled: () => void;
	/** The client is closed because it gave up (`error`), or because it was old (null). It reports nothing more. */
	readonly gone: (error: KafkaError | null) => void;
}

/** A client that is to be closed has this long for its last reports. */
const LAST_REPORTS_MS = 1_000;
/** How often to look whether they are complete. */
const LOOK_MS = 20;

/** Makes, replaces and closes the client; one at a time. */
export class CurrentClient {
	readonly #parts: CurrentClientParts;
	#client: RecordClient | null = null;
	#connecting: Promise<void> | null = null;
	#closing: Promise<void> | null = null;
	/** `replace` was called while a client connects: it may have read its settings before they changed. */
	#isOld = false;
	/** Why there is no client, and since when (wall clock, ms); null once it is connected. */
	trouble: { message: string; sinceMs: number } | null = null;

	constructor(parts: CurrentClientParts) {
		this.#parts = parts;
	}

	/** The client that takes records; null if there is none: then call `need`. */
	get ready(): RecordClient | null {
		return this.#closing ? null : this.#client;
	}

	/** Makes a client, unless there is one or one is connecting or closing. Tries until it has connected, or the signal is aborted. */
	need(): void {
		if (!this.#client && !this.#closing && !this.#parts.signal.aborted) this.#connecting ??= this.#connect();
	}

	/** Closes the client; `need` makes the next. One that is connecting is replaced when it has connected. Resolves when it is closed. */
	replace(error: KafkaError | null): Promise<void> {
		if (this.#client) this.#closing ??= this.#close(this.#client, error);
		else this.#isOld = true;
		return this.#closing ?? Promise.resolve();
	}

	/** Closes the client for good. Abort the signal before. */
	async close(): Promise<void> {
		await this.#connecting;
		await this.#closing;
		await this.#client?.close();
		this.#client = null;
	}

	async #connect(): Promise<void> {
		const { clock, random, signal, connect } = this.#parts;
		for (let failures = 0; !signal.aborted && !this.#client; ) {
			try {
				this.#isOld = false;
				const client = await connect();
				if (this.#isOld) await client.close();
				else this.#client = client;
				this.trouble = null;
			} catch (error) {
				failures++;
				const message = `records can't be produced: ${messageOf(error)}`;
				this.trouble = { message, sinceMs: this.trouble?.sinceMs ?? clock.now() };
				this.#parts.troubled();
				await clock.sleep(fullJitter(failures, KAFKA_RETRY, random), signal).catch(() => {});
			}
		}
		this.#connecting = null;
		this.#parts.connected();
	}

	async #close(client: RecordClient, error: KafkaError | null): Promise<void> {
		const { clock, isBusy, gone } = this.#parts;
		// Each report that still comes saves sending that record twice.
		const until = clock.monotonic() + LAST_REPORTS_MS;
		while (isBusy() && clock.monotonic() < until) await clock.sleep(LOOK_MS);
		this.#client = null;
		await client.close();
		this.#closing = null;
		gone(error && (client.gaveUp ?? error));
	}
}
