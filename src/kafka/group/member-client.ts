/**
 * The client that the member uses now: connected however long that takes, replaced when it is stuck or its settings are old, closed with
 * all that came before it.
 *
 *    none -> current -> former (closing) -> closed
 *
 * What a client does between these steps (join, poll, leave) is its owner's business.
 */

import type { Clock } from "../../core/clock.ts";
import { messageOf } from "../../core/errors.ts";
import { exponentialBackOff, KAFKA_RETRY } from "../../core/exponential-back-off.ts";
import type { GroupClient } from "../client/group-client.ts";
import { KafkaError } from "../client/kafka-error.ts";
import { explainUnreachable } from "../connecting/connect.ts";
import type { GroupConsumerParts } from "./group-consumer-parts.ts";

const CONNECT_TIMEOUT_MS = 5_000;

/** A failed attempt, which is tried again. */
export interface FailedAttempt {
	readonly message: string;
	readonly failures: number;
	readonly retryInMs: number;
}

/** What it needs from its owner. */
export interface MemberClientParts extends Pick<GroupConsumerParts, "createClient" | "kafka"> {
	readonly clock: Clock;
	readonly stopped: AbortSignal;
	/** A client was made, and is about to connect. */
	readonly made: (client: GroupClient) => void;
	/** `current` is connected. */
	readonly connected: (client: GroupClient) => void;
	/** There is no current client any more. */
	readonly gone: () => void;
	/** Resolves when nobody polls a client any more: it may be closed. */
	readonly idle: () => Promise<void>;
	readonly connectFailed: (fact: FailedAttempt) => void;
	/** Kafka's answer to an attempt that failed. */
	readonly refused: (error: KafkaError) => void;
}

/** Connects, replaces and closes the clients of one member, one at a time. */
export class MemberClient {
	readonly #parts: MemberClientParts;
	/** Former clients that are not closed yet. */
	readonly #formers = new Set<GroupClient>();
	#current: GroupClient | null = null;
	#startingOver: Promise<void> = Promise.resolve();
	#isStartingOver = false;

	constructor(parts: MemberClientParts) {
		this.#parts = parts;
	}

	/** The connected client; null if there is none. */
	get current(): GroupClient | null {
		return this.#current;
	}

	/** True while another client takes the place of the current one. */
	get isStartingOver(): boolean {
		return this.#isStartingOver;
	}

	/** True while a client's close is under way: the process can't end by itself before that is over. */
	get hangs(): boolean {
		return [this.#current, ...this.#formers].some((each) => each?.hangs === true);
	}

	/** Connects the first client. True when it is connected; false if the stop came first. */
	connect(): Promise<boolean> {
		return this.untilDone(() => this.#connect(), this.#parts.connectFailed);
	}

	/** Puts another client in the place of the current one, whose partitions belong to others by now. Rejects if it can't connect. */
	async reconnect(): Promise<void> {
		const former = this.#current;
		this.#current = null;
		this.#parts.gone();
		if (former) {
			await this.#parts.idle();
			this.#retire(former);
		}
		await this.#connect();
	}

	/** Reconnects after `delayMs`, again and again until it succeeds, and then calls `begun`. Does nothing if that is under way already. */
	startOverIn(delayMs: number, begun: () => void): void {
		const { clock, stopped, connectFailed } = this.#parts;
		if (this.#isStartingOver || stopped.aborted) return;
		this.#isStartingOver = true;
		const waited = delayMs > 0 ? clock.sleep(delayMs, stopped) : Promise.resolve();
		this.#startingOver = waited
			.then(() => this.untilDone(() => this.reconnect(), connectFailed))
			.then((isConnected) => {
				if (isConnected) begun();
			})
			.catch(() => {})
			.finally(() => {
				this.#isStartingOver = false;
			});
	}

	/** Rejects if a client with the present settings is not let in. */
	async tryOut(): Promise<void> {
		const trial = this.#parts.createClient();
		await trial.connect(CONNECT_TIMEOUT_MS).finally(() => this.#retire(trial));
	}

	/** Closes all clients; abort `stopped` before. False if one didn't close within `withinMs`. */
	async close(withinMs: number): Promise<boolean> {
		await this.#startingOver;
		const client = this.#current;
		client?.wake();
		await this.#parts.idle();
		const formers = [...this.#formers].map((each) => each.close({ withinMs }));
		const closed = await Promise.all([client?.close({ withinMs, onlyIfAnswered: true }) ?? true, ...formers]);
		return closed.every(Boolean);
	}

	/** Repeats `attempt` until it succeeds (true), or the stop comes first (false). */
	async untilDone(attempt: () => Promise<void>, failed: (fact: FailedAttempt, error: unknown) => void): Promise<boolean> {
		const { clock, stopped, refused } = this.#parts;
		for (let failures = 1; !stopped.aborted; failures++) {
			try {
				await attempt();
				if (!stopped.aborted) return true;
				// Closed meanwhile: this client never joined, and nobody else will close it.
				await this.#current?.close();
			} catch (error) {
				const retryInMs = exponentialBackOff(failures, KAFKA_RETRY);
				failed({ message: messageOf(error), failures, retryInMs }, error);
				if (error instanceof KafkaError) refused(error);
				await clock.sleep(retryInMs, stopped).catch(() => {});
			}
		}
		return false;
	}

	async #connect(): Promise<void> {
		const { createClient, kafka, made, connected } = this.#parts;
		const client = createClient();
		made(client);
		let lastError: string | null = null;
		client.on("broker:error", ({ message }) => {
			lastError = message;
		});
		try {
			await client.connect(CONNECT_TIMEOUT_MS);
		} catch (error) {
			void client.close();
			if (!(error instanceof KafkaError)) throw error;
			throw new KafkaError(explainUnreachable(kafka, lastError ?? error.message), error.kafkaCode, { cause: error });
		}
		this.#current = client;
		connected(client);
	}

	#retire(client: GroupClient): void {
		this.#formers.add(client);
		void client.close().then((isClosed) => isClosed && this.#formers.delete(client));
	}
}
