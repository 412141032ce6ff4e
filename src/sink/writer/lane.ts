/**
 * A queue of rows for some ids of one table. Decides when a batch is cut (rows, bytes, linger, drain), and has one statement in flight at a
 * time. Meanwhile further rows gather; of each id only the newest goes into the next batch (River's completer has this shape).
 *
 *   empty -> lingering (while waiting pays) -> writing -> empty
 *
 * Step 7 of a message's way (docs/architecture.md).
 */
import type { Clock, Timer } from "../../core/clock.ts";
import type { TopicPartition } from "../../core/messages/message.ts";
import type { RowBlock, TableLayout } from "../../core/rows/rows.ts";
import { type BlockOwner, PendingBlocks, type RowBatch } from "./pending-blocks.ts";
import { ArrivalRate } from "./tuning/arrival-rate.ts";
import { type SizeLimits, StatementSize } from "./tuning/statement-size.ts";

/** What completed a batch. */
export type Trigger = "rows" | "bytes" | "linger" | "drain";

/** `batch` of the configuration. */
export interface BatchLimits extends SizeLimits {
	readonly maxBytes: number;
	readonly lingerMs: number;
}

/** What a lane needs. `write` resolves when every row's result was reported, or when `ended` was aborted; it never rejects. */
export interface LaneParts {
	readonly layout: TableLayout;
	readonly limits: BatchLimits;
	readonly clock: Clock;
	readonly ended: AbortSignal;
	readonly write: (lane: Lane, batch: RowBatch, trigger: Trigger) => Promise<void>;
}

/** Rows under way. */
export interface Unsettled {
	/** All rows, including superseded ones. */
	readonly allRows: number;
	readonly allBytes: number;
	/** Monotonic time at which the oldest of them arrived; null if none is left. */
	readonly since: number | null;
	/**
	 * True while it holds rows of this partition that their owner waits for. `cameBy`: only rows that had arrived by then, as far as that is
	 * known.
	 */
	holds(partition: TopicPartition, cameBy?: number): boolean;
}

/** A place that rows are written from, one statement at a time. */
export interface WritingPlace {
	readonly layout: TableLayout;
	/** Current rows per statement; never more than a batch has. */
	readonly statementSize: StatementSize;
	/** The rows being written whose result was not reported yet; the code that writes keeps it up to date. */
	unsettled: Unsettled | null;
}

/** One lane: gathers rows, cuts batches, has one statement in flight. */
export class Lane implements WritingPlace {
	readonly statementSize: StatementSize;
	unsettled: Unsettled | null = null;
	readonly #parts: LaneParts;
	readonly #pending = new PendingBlocks();
	readonly #rate: ArrivalRate;
	/** Monotonic time since when a batch could have been cut. */
	#lingersSince: number | null = null;
	#timer: Timer | null = null;
	#writing = false;
	#flushing = false;

	constructor(parts: LaneParts) {
		this.#parts = parts;
		this.statementSize = new StatementSize(parts.limits);
		this.#rate = new ArrivalRate(parts.limits.lingerMs);
	}

	get layout(): TableLayout {
		return this.#parts.layout;
	}

	/** Rows not settled yet, including superseded ones and those in flight. */
	get rows(): number {
		return this.#pending.rows + (this.unsettled?.allRows ?? 0);
	}

	get bytes(): number {
		return this.#pending.bytes + (this.unsettled?.allBytes ?? 0);
	}

	/** True if more rows wait than the next statement may have. */
	get isBehind(): boolean {
		const { rows, bytes } = this.#pending.toSend;
		return rows > this.statementSize.rows || bytes > this.#parts.limits.maxBytes;
	}

	/** Monotonic time at which the oldest unsettled row arrived; null if there is none. */
	get since(): number | null {
		return this.unsettled?.since ?? this.#pending.since;
	}

	/** True while it has rows of this partition that their owner waits for. `cameBy` (monotonic time): only rows that had arrived by then. */
	holds(partition: TopicPartition, cameBy?: number): boolean {
		return this.#pending.holds(partition, cameBy) || this.unsettled?.holds(partition, cameBy) === true;
	}

	/** Takes rows. The caller calls `cut` when it has no more at hand. */
	add(block: RowBlock, owner: BlockOwner): void {
		const now = this.#parts.clock.monotonic();
		this.#pending.add(block, owner, now);
		this.#rate.came(block.length, now);
	}

	/** How long a row that came now would wait for others, ms. */
	get lingerMs(): number {
		return this.#rate.lingerMs(this.#pending.toSend.rows, this.#parts.clock.monotonic());
	}

	/** Takes the next batch early, for the code that writes the one before; null if nothing waits. */
	takeMore(): RowBatch | null {
		const { limits, layout } = this.#parts;
		return this.#pending.take(this.statementSize.rows, limits.maxBytes, layout);
	}

	/** Sends waiting rows at once, without lingering. */
	flush(): void {
		if (this.#pending.rows === 0) return;
		this.#flushing = true;
		this.cut();
	}

	/** Sends rows if it is time; otherwise sets a timer. */
	cut(): void {
		const { clock, ended } = this.#parts;
		if (this.#pending.rows === 0) return;
		this.#lingersSince ??= clock.monotonic();
		if (this.#writing || ended.aborted) return;
		const trigger = this.#trigger();
		if (trigger) {
			void this.#send(trigger);
			return;
		}
		this.#timer ??= clock.after(Math.max(0, this.lingerMs - (clock.monotonic() - this.#lingersSince)), () => {
			this.#timer = null;
			if (!this.#writing && this.#pending.rows > 0) void this.#send("linger");
		});
	}

	/** Sends nothing more. Idempotent. */
	dispose(): void {
		this.#timer?.cancel();
		this.#timer = null;
	}

	#trigger(): Trigger | null {
		const { rows, bytes } = this.#pending.toSend;
		if (rows >= this.statementSize.rows) return "rows";
		if (bytes >= this.#parts.limits.maxBytes) return "bytes";
		if (this.#flushing) return "drain";
		return this.#parts.clock.monotonic() - (this.#lingersSince as number) >= this.lingerMs ? "linger" : null;
	}

	async #send(trigger: Trigger): Promise<void> {
		const { limits, clock, write } = this.#parts;
		this.dispose();
		const batch = this.#pending.take(this.statementSize.rows, limits.maxBytes, this.#parts.layout) as RowBatch;
		this.#lingersSince = this.#pending.rows > 0 ? clock.monotonic() : null;
		if (this.#pending.rows === 0) this.#flushing = false;
		this.#writing = true;
		await write(this, batch, trigger);
		this.unsettled = null;
		this.#writing = false;
		this.cut();
	}
}
