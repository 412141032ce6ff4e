/**
 * Writes two kinds of notes (core/messages/hand-note.ts): what careful partitions have in hand, and that an assignment ended properly.
 * Without the right to the table's columns it writes none; then a message that kills the process is handled again at each start.
 */

import type { Clock } from "../../core/clock.ts";
import { exponentialBackOff } from "../../core/exponential-back-off.ts";
import type { Evidence, HandNote } from "../../core/messages/hand-note.ts";
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import { NOTES_REFUSED } from "../../core/offsets/position-note.ts";
import { unlessAborted } from "../../core/waiting/unless-aborted.ts";
import type { StartRecorder } from "./start-recorder.ts";

/** A partition that is given away, with its worker's remaining suspects. */
export interface ReleasedPartition extends TopicPartition {
	readonly evidence: Evidence | null;
}

const RETRY = { minMs: 100, maxMs: 2_000 };

/** Notes what handlers have in hand, and that assignments ended properly. */
export class HandKeeper {
	readonly #notes: Pick<StartRecorder, "owner" | "hold">;
	readonly #clock: Clock;
	/** The offset at which each partition began. */
	readonly #began = new Map<string, number>();

	constructor(notes: Pick<StartRecorder, "owner" | "hold">, clock: Clock) {
		this.#notes = notes;
		this.#clock = clock;
	}

	/** A start was stored; its note says that this process has the partition. */
	began({ topic, partition, offset }: TopicPartition & { readonly offset: number }): void {
		this.#began.set(partitionName({ topic, partition }), offset);
	}

	/**
	 * Resolves when the evidence is noted, or can't be noted. Rejects if `signal` was aborted before, but tries once all the same: so a lost
	 * partition can withdraw its note.
	 */
	async hold(partition: TopicPartition, evidence: Evidence, signal: AbortSignal): Promise<void> {
		const note = this.#noteOf(partition, evidence, this.#notes.owner);
		for (let failures = 1; ; failures++) {
			try {
				return await unlessAborted(this.#notes.hold([note]), signal);
			} catch (error) {
				signal.throwIfAborted();
				// Waiting does not help if the database refuses notes: the messages are not held up for it.
				if ((error as { code?: unknown }).code === NOTES_REFUSED) return;
				await this.#clock.sleep(exponentialBackOff(failures, RETRY), signal);
			}
		}
	}

	/** The assignments of these partitions end properly. Never rejects: if that can't be noted, the next owner is careful for a while. */
	async release(partitions: readonly ReleasedPartition[]): Promise<void> {
		const changes = partitions.map(({ topic, partition, evidence }) => this.#noteOf({ topic, partition }, evidence, null));
		await this.#notes.hold(changes).catch(() => {});
	}

	#noteOf({ topic, partition }: TopicPartition, evidence: Evidence | null, by: string | null) {
		const isNothing = evidence === null || (evidence.held === null && evidence.deaths.length === 0);
		const began = this.#began.get(partitionName({ topic, partition })) ?? 0;
		const hand: HandNote | null = by === null && isNothing ? null : { held: null, deaths: [], ...evidence, by, began };
		return { topic, partition, by: this.#notes.owner, hand };
	}
}
