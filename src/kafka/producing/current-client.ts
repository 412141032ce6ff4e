/**
 * The client that records go by at the moment: made when it is needed for the first time, and replaced where it gives itself up or its
 * settings are old.
 *
 *   none -> connecting -> ready -> closing -> none
 */
import { fullJitter } from "../../core/back-off.ts";
import type { Clock } from "../../core/clock.ts";
import { messageOf } from "../../core/errors.ts";
import type { Random } from "../../core/random.ts";
import type { KafkaError } from "../client/kafka-error.ts";
import type { RecordClient } from "./record-client.ts";
import { RETRY } from "./record-producer-parts.ts";

/** What it is made of. */
export interface CurrentClientParts {
	readonly clock: Clock;
	readonly random: Random;
	readonly signal: AbortSignal;
	readonly connect: () => Promise<RecordClient>;
	/** It has records that it has not reported. */
	readonly isBusy: () => boolean;
	readonly connected: () => void;
	/** `trouble` changed. */
	readonly troubled: () => void;
	/** It is closed, because it gave itself up (`error`) or is old: what it has not reported it will never report. */
	readonly gone: (error: KafkaError | null) => void;
}

/** A client that gave itself up reports what it threw away within so long. */
const LAST_REPORTS_MS = 1_000;
const LOOK_MS = 20;

/** See the file's header. */
export class CurrentClient {
	readonly #parts: CurrentClientParts;
	#client: RecordClient | null = null;
	#connecting: Promise<void> | null = null;
	#closing: Promise<void> | null = null;
	/** The client that is connecting is to be replaced: its settings are old. */
	#isOld = false;
	/** Why there is none. */
	trouble: { message: string; sinceMs: number } | null = null;

	constructor(parts: CurrentClientParts) {
		this.#parts = parts;
	}

	/** Null where there is none that takes records; then `need` makes one. */
	get ready(): RecordClient | null {
		return this.#closing ? null : this.#client;
	}

	/** Makes one, unless one is connecting. */
	need(): void {
		if (!this.#client && !this.#closing && !this.#parts.signal.aborted) this.#connecting ??= this.#connect();
	}

	/** Replaces the client; one that is connecting is replaced as soon as it has connected. */
	replace(error: KafkaError | null): Promise<void> {
		if (this.#client) this.#closing ??= this.#close(this.#client, error);
		else this.#isOld = true;
		return this.#closing ?? Promise.resolve();
	}

	/** Once the signal is aborted: closes what there is. */
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
				await clock.sleep(fullJitter(failures, RETRY, random), signal).catch(() => {});
			}
		}
		this.#connecting = null;
		this.#parts.connected();
	}

	async #close(client: RecordClient, error: KafkaError | null): Promise<void> {
		const { clock, isBusy, gone } = this.#parts;
		// What it still has to say spares a record a second sending.
		const until = clock.monotonic() + LAST_REPORTS_MS;
		while (isBusy() && clock.monotonic() < until) await clock.sleep(LOOK_MS);
		this.#client = null;
		await client.close();
		this.#closing = null;
		gone(error && (client.gaveUp ?? error));
	}
}
