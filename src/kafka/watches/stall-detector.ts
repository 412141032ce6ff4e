/**
 * Finds partitions that stand still although their log goes on: a codec that is missing, say. It does not come with the partition's name in
 * an error of the client, so position and watermarks are compared by time. Decides nothing but that.
 */
import type { Clock, Timer } from "../../core/clock.ts";
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import type { Problem } from "../../core/problem.ts";

/** A partition and where it stands; `idle` is true when nothing of it is queued and it is neither paused nor parked. */
export interface Position extends TopicPartition {
	readonly position: number;
	readonly idle: boolean;
}

/** What the detector asks and tells. `lastError` is the client's last consume error, for the reason. */
export interface StallDetectorParts {
	readonly clock: Clock;
	readonly positions: () => readonly Position[];
	readonly watermarks: (partition: TopicPartition) => Promise<{ low: number; high: number }>;
	/** One that waits for the end of a transaction is no standstill: who looks after those tells. */
	readonly isWaiting: (partition: TopicPartition) => boolean;
	/**
	 * It is to be fetched anew, or decided on where its position is outside the log: that is no standstill. A client that met the end of a
	 * log does not go on by itself, though the log has grown past the position since.
	 */
	readonly fetchAgain: (standing: TopicPartition & { readonly position: number }) => void;
	readonly lastError: () => string | null;
	readonly stalled: (partition: TopicPartition, reason: string) => void;
	readonly moving: (partition: TopicPartition) => void;
}

const LOOK_EVERY_MS = 5_000;
/** Looks at one position, with messages before it, until it is fetched anew: at the first they may have come this very moment. */
const FETCH_AGAIN_AT = 2;
/** Looks until it counts as stalled. */
const STALLED_AT = 3;

interface Watched {
	readonly position: number;
	looks: number;
	/** Why it counts as stalled, null while it doesn't. */
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

	/** Why a partition counts as standing still; null where it doesn't. */
	reasonOf(partition: TopicPartition): string | null {
		return this.#watched.get(partitionName(partition))?.reason ?? null;
	}

	/** Those that stand still. One that moved, or was given away, since the last look is none. */
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
		// Once: what is slow would begin anew each time.
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
