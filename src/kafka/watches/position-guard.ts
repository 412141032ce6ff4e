/**
 * Finds fetched partitions whose position is outside their log: retention or delete-records removed messages that were not read yet, or the
 * log lost its end. The client stops fetching such a partition and reports it without a name, or not at all (an error after messages of the
 * same poll). So positions are compared with the log's bounds: when the client reports it, when partitions begin, and when one stands
 * still.
 *
 * What happens to a position is decided as at a start (start-decision.ts). A jump is noted before anything after it is fetched: the note
 * tells `verify` which offsets were passed over.
 */

import type { Clock } from "../../core/clock.ts";
import { exponentialBackOff, KAFKA_RETRY } from "../../core/exponential-back-off.ts";
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import { type PositionNote, restoredAt, stretchesBefore, withStretch } from "../../core/offsets/position-note.ts";
import type { PositionNotes } from "../offsets/position-notes.ts";
import { decidePosition, type LogBounds, type OutOfRange, type OutOfRangePolicy, outOfRangeWords } from "../starts/start-decision.ts";

/** An assigned partition and the next offset that it expects. */
export interface GuardedPosition extends TopicPartition {
	readonly epoch: number;
	readonly position: number;
	/** True if it already waits until somebody decides. */
	readonly parked: boolean;
}

/** A partition goes on at another offset: `skipped` offsets were passed over unread. */
export interface JumpFact extends TopicPartition, LogBounds {
	readonly position: number;
	readonly offset: number;
	readonly reason: OutOfRange["reason"];
	readonly skipped: number;
}

/** What the guard needs. */
export interface PositionGuardParts {
	readonly clock: Clock;
	readonly stopped: AbortSignal;
	readonly policy: OutOfRangePolicy;
	readonly positions: () => readonly GuardedPosition[];
	/** Resolves when partitions of another log have been dropped. */
	readonly dropOtherLogs: () => Promise<void>;
	readonly watermarks: (partition: TopicPartition) => Promise<LogBounds>;
	readonly notes: Pick<PositionNotes, "read" | "begin" | "owner">;
	/** Returns the offset to fetch from; null if the epoch is over. */
	readonly goOn: (position: GuardedPosition, offset: number) => number | null;
	/** Calls `from` when no more messages of the old fetch can come; null: leave the partition as it is. */
	readonly refetch: (partition: TopicPartition, from: () => number | null) => Promise<void>;
	readonly park: (position: GuardedPosition, reason: { readonly code: "out_of_range"; readonly message: string }) => void;
	readonly jumped: (fact: JumpFact) => void;
}

/** Finds positions outside their log, and moves or parks them. */
export class PositionGuard {
	readonly #parts: PositionGuardParts;
	/** Partitions that are being moved or parked. */
	readonly #underway = new Set<string>();
	/** Checks run one after the other: a client asks for bounds on few threads. */
	#looks: Promise<void> = Promise.resolve();
	/** A check of all partitions that has not begun yet. */
	#waiting: Promise<void> | null = null;

	constructor(parts: PositionGuardParts) {
		this.#parts = parts;
	}

	/** The client reported that some position is outside its log. Never rejects. */
	lookAtAll(): Promise<void> {
		this.#waiting ??= this.#next(async () => {
			this.#waiting = null;
			await this.#parts.dropOtherLogs();
			for (const position of this.#parts.positions()) await this.#lookAt(position);
		});
		return this.#waiting;
	}

	/** These partitions have begun. Never rejects. */
	look(partitions: readonly TopicPartition[]): Promise<void> {
		const names = new Set(partitions.map(partitionName));
		return this.#next(async () => {
			for (const position of this.#parts.positions()) if (names.has(partitionName(position))) await this.#lookAt(position);
		});
	}

	/** The partition stands still: fetches it again from this position, even if the log contains it. Never rejects. */
	fetchAgain(standing: TopicPartition & { readonly position: number }): Promise<void> {
		return this.#next(async () => {
			const position = this.#parts.positions().find((each) => partitionName(each) === partitionName(standing));
			if (position?.position === standing.position) await this.#lookAt(position, true);
		});
	}

	/** Somebody resumed a parked partition: it goes on if the log contains its position by now, or as configured. Never rejects. */
	decideAgain(partition: TopicPartition): Promise<void> {
		return this.#next(async () => {
			const position = this.#parts.positions().find((each) => partitionName(each) === partitionName(partition));
			if (position?.parked) await this.#lookAt({ ...position, parked: false }, true);
		});
	}

	#next(look: () => Promise<void>): Promise<void> {
		this.#looks = this.#looks.then(look).catch(() => {});
		return this.#looks;
	}

	/** `isAsked`: it goes on even if its position is fine. */
	async #lookAt(position: GuardedPosition, isAsked = false): Promise<void> {
		const name = partitionName(position);
		if (position.parked || this.#underway.has(name) || this.#parts.stopped.aborted) return;
		const bounds = await this.#parts.watermarks(position).catch(() => null);
		const decision = bounds && decidePosition(position.position, bounds, this.#parts.policy);
		if (!bounds || (!decision && !isAsked)) return;
		// If the log was created again, the position means nothing any more.
		if (decision) await this.#parts.dropOtherLogs();
		if (decision?.kind === "park") {
			this.#parts.park(position, { code: "out_of_range", message: outOfRangeWords(position, bounds) });
			return;
		}
		const now = this.#now(position);
		if (now && now.position !== position.position) return this.#lookAt({ ...now, parked: false }, isAsked);
		this.#underway.add(name);
		void this.#move(position, decision, bounds).then((hasMoved) => {
			this.#underway.delete(name);
			if (hasMoved) void this.look([position]);
		});
	}

	/**
	 * Moves the partition. A note that can't be stored now is retried; other partitions don't wait. True if the partition was left as it is,
	 * because more messages of the old fetch arrived: they would come twice.
	 */
	async #move(position: GuardedPosition, jump: OutOfRange | null, bounds: LogBounds): Promise<boolean> {
		if (jump && !(await this.#note(position, jump))) return false;
		let hasMoved = false;
		await this.#parts.refetch(position, () => {
			hasMoved = this.#now(position)?.position !== position.position;
			return hasMoved ? null : this.#goOn(position, jump, bounds);
		});
		return hasMoved;
	}

	#goOn(position: GuardedPosition, jump: OutOfRange | null, bounds: LogBounds): number | null {
		const { topic, partition } = position;
		const from = this.#parts.goOn(position, jump?.offset ?? position.position);
		if (from === null || !jump) return from;
		const { offset, reason } = jump;
		const skipped = Math.max(0, offset - position.position);
		this.#parts.jumped({ topic, partition, position: position.position, offset, reason, skipped, ...bounds });
		return from;
	}

	/** The present position in the same assignment. */
	#now(position: GuardedPosition): GuardedPosition | undefined {
		return this.#parts.positions().find((each) => partitionName(each) === partitionName(position) && each.epoch === position.epoch);
	}

	/** Notes the jump; false if the partition was given away before that. */
	async #note(position: GuardedPosition, jump: OutOfRange): Promise<boolean> {
		const { clock, stopped } = this.#parts;
		for (let failures = 1; !stopped.aborted && this.#now(position); failures++) {
			try {
				await this.#noteOnce(position, jump);
				return true;
			} catch {
				await clock.sleep(exponentialBackOff(failures, KAFKA_RETRY), stopped).catch(() => {});
			}
		}
		return false;
	}

	async #noteOnce({ topic, partition, position }: GuardedPosition, jump: OutOfRange): Promise<void> {
		const { notes } = this.#parts;
		const replaces = (await notes.read()).get(partitionName({ topic, partition })) ?? null;
		// A member that the group has removed, and that does not know it yet, would overwrite what the next owner noted.
		const by = replaces?.note.hand?.by ?? null;
		const isOfNext = (by !== null && by !== notes.owner) || (replaces?.note.reached ?? 0) > position;
		if (isOfNext) throw new Error("another member noted its start meanwhile");
		await notes.begin([{ topic, partition, note: noteOfJump(replaces?.note ?? null, jump), replaces }]);
	}
}

/**
 * The note after a jump. After a jump forward it keeps the finished offset until the new one is committed; after a jump backward it has the
 * new offset.
 */
function noteOfJump(former: PositionNote | null, { position, offset, reason }: OutOfRange): PositionNote {
	const known = former ?? {
		start: Math.min(position, offset),
		assumed: true,
		log: { id: null, witness: null },
		reached: position,
		skipped: [],
	};
	const skipped = stretchesBefore(known.skipped, Math.min(position, offset));
	const { restored: _, ...unmoved } = known;
	return {
		...unmoved,
		start: Math.min(known.start, offset),
		reached: known.reached === null ? null : Math.min(known.reached, offset),
		skipped: withStretch(skipped, { from: position, to: offset, reason }),
		...restoredAt(former && { ...former, reached: null }, Math.min(position, offset)),
	};
}
