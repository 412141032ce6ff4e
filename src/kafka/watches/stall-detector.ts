/**
 * Finds partitions that stand still although their log grows: for example because a codec is missing. The client's error for that does not
 * name the partition, so position and watermarks are compared over time.
 */
import type { Clock, Timer } from "../../core/clock.ts";
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import type { Problem } from "../../core/problem.ts";

/** A partition and its position. `idle`: nothing of it is queued, and it is neither paused nor parked. */
export interface Position extends TopicPartition {
	readonly position: number;
	readonly idle: boolean;
}

/** What the detector needs. `lastError`: the client's last consume error, for the reason. */
export interface StallDetectorParts {
	readonly clock: Clock;
	readonly positions: () => readonly Position[];
	readonly watermarks: (partition: TopicPartition) => Promise<{ low: number; high: number }>;
	/** True if the partition waits for the end of a transaction: that is reported elsewhere, and is no standstill. */
	readonly isWaiting: (partition: TopicPartition) => boolean;
	/**
	 * The partition has to be fetched again, or decided on if its position is outside the log. This is not yet a standstill: a client that met
	 * the end of a log does not go on by itself, though the log has grown since.
	 */
	readonly fetchAgain: (standing: TopicPartition & { readonly position: number }) => void;
	readonly lastError: () => string | null;
	readonly stalled: (partition: TopicPartition, reason: string) => void;
	readonly moving: (partition: TopicPartition) => void;
}

const LOOK_EVERY_MS = 5_000;
/**
 * Checks at one position, with messages after it, before the partition is fetched again: at the first check the messages may just have
 * arrived.
 */
const FETCH_AGAIN_AT = 2;
/** Checks until it counts as stalled. */
const STALLED_AT = 3;

interface Watched {
	readonly position: number;
	looks: number;
	/** Why it counts as stalled; null while it doesn't. */
	reason: string | null;
	sinceMs: number;
}

/** Finds partitions that stand still although their log grows. Idempotent to dispose. */
export class StallDetector {
	readonly #parts: StallDetectorParts;
	readonly #watched = new Map<string, Watched>();
	#timer: Timer | null = null;
	#disposed = false;

	constructor(parts: StallDetectorParts) {
		this.#parts = parts;
	}

	start(): void {
		if (this.#disposed) return;
		this.#timer = this.#parts.clock.after(LOOK_EVERY_MS, () => {
			void this.look().finally(() => this.start());
		});
	}

	dispose(): void {
		this.#disposed = true;
		this.#timer?.cancel();
	}

	/** Why a partition counts as standing still; null if it doesn't. */
	reasonOf(partition: TopicPartition): string | null {
		return this.#watched.get(partitionName(partition))?.reason ?? null;
	}

	/** The partitions that stand still, without those that moved or were given away since the last check. */
	get stalls(): Problem<"parked">[] {
		return this.#parts.positions().flatMap(({ topic, partition, position }): Problem<"parked">[] => {
			const watched = this.#watched.get(partitionName({ topic, partition }));
			if (!watched || watched.reason === null || watched.position !== position) return [];
			return [{ code: "parked", where: { topic, partition }, message: watched.reason, sinceMs: watched.sinceMs }];
		});
	}

	/** Compares once; called by the interval. */
	async look(): Promise<void> {
		const positions = this.#parts.positions();
		const names = new Set(positions.map(partitionName));
		for (const name of this.#watched.keys()) if (!names.has(name)) this.#watched.delete(name);
		for (const position of positions) if (!this.#disposed) await this.#lookAt(position).catch(() => {});
	}

	async #lookAt({ topic, partition, position, idle }: Position): Promise<void> {
		const name = partitionName({ topic, partition });
		const watched = this.#watched.get(name);
		if (!watched || watched.position !== position || !idle) {
			this.#moves({ topic, partition }, watched);
			this.#watched.set(name, { position, looks: 0, reason: null, sinceMs: 0 });
			return;
		}
		const { low, high } = await this.#parts.watermarks({ topic, partition });
		if (position === high || this.#parts.isWaiting({ topic, partition })) {
			this.#moves({ topic, partition }, watched);
			watched.looks = 0;
			return;
		}
		if (position < low || position > high) return this.#parts.fetchAgain({ topic, partition, position });
		watched.looks++;
		// Only once: a slow partition would begin anew each time.
		if (watched.looks === FETCH_AGAIN_AT) this.#parts.fetchAgain({ topic, partition, position });
		if (watched.looks < STALLED_AT || watched.reason !== null) return;
		watched.reason = this.#reason(position, high);
		watched.sinceMs = this.#parts.clock.now();
		this.#parts.stalled({ topic, partition }, watched.reason);
	}

	#moves(partition: TopicPartition, watched: Watched | undefined): void {
		if (!watched || watched.reason === null) return;
		watched.reason = null;
		this.#parts.moving(partition);
	}

	#reason(position: number, high: number): string {
		const last = this.#parts.lastError();
		return `stands still at offset ${position} while the log goes on to ${high}${last ? ` (last error of the client: ${last})` : ""}`;
	}
}
