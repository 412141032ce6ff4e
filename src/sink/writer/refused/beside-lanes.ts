/**
 * Rows outside the lanes. Some have left a lane: they wait for other rows of their partition (held), for a parent from another partition or
 * topic (awaited parents), or are stuck. Others never enter a lane: rows of tables with `atomic: message`. A row of one kind may wait for
 * one of another kind; which waits for which is decided here. Reports waits that last.
 *
 * Step 8 of a message's way (docs/architecture.md).
 */
import type { Clock } from "../../../core/clock.ts";
import type { TopicPartition } from "../../../core/messages/message.ts";
import type { Random } from "../../../core/random.ts";
import type { RowBlock } from "../../../core/rows/rows.ts";
import type { AwaitedFact, StuckFact } from "../../../core/rows/waiting-rows.ts";
import type { SqlProblem } from "../../database/sql-faults.ts";
import { AtomicRows } from "../atomic/atomic-rows.ts";
import type { BatchLimits, WritingPlace } from "../lane.ts";
import type { HeldFrom } from "../lane-writer.ts";
import type { Submission } from "../pending-blocks.ts";
import type { RowWriter } from "../row-writer.ts";
import type { PendingRow, RowFigures } from "../sql/pending-rows.ts";
import { TogetherWriter } from "../together-writer.ts";
import type { Writing } from "../writing.ts";
import { AwaitedParents } from "./awaited-parents.ts";
import type { HeldRow } from "./held-partition.ts";
import { HeldRows } from "./held-rows.ts";
import { StuckRows } from "./stuck-rows.ts";
import { ToldFacts } from "./told-facts.ts";

/** What it needs from the writer. */
export interface BesideLanesParts {
	/** By table. */
	readonly writings: ReadonlyMap<string, Writing>;
	readonly writers: ReadonlyMap<string, RowWriter>;
	/** See WriterParts. */
	readonly waits: ReadonlyMap<string, number>;
	readonly atomic: ReadonlySet<string>;
	readonly lanes: {
		/**
		 * True while the lanes have rows of this partition that somebody waits for. `cameBy` (monotonic time): only rows that had arrived by
		 * then.
		 */
		readonly hold: (partition: TopicPartition, cameBy?: number) => boolean;
		/** The same for lanes that are not stuck. */
		readonly isMoving: (partition: TopicPartition) => boolean;
		/** Takes submissions that waited behind rows outside the lanes. */
		readonly goOn: (submission: Submission) => void;
	};
	readonly isPlaceStuck: (place: WritingPlace) => boolean;
	readonly tell: {
		readonly stuck: (fact: StuckFact) => void;
		readonly unstuck: (fact: StuckFact) => void;
		readonly awaited: (fact: AwaitedFact) => void;
		readonly settled: (fact: AwaitedFact) => void;
		/** A drain may look again. */
		readonly rested: () => void;
	};
	readonly limits: BatchLimits;
	readonly clock: Clock;
	readonly random: Random;
	readonly ended: AbortSignal;
}

/** Waits are reported after this time: a parent just behind its children is not worth a message. */
const TOLD_AFTER_MS = 1_000;

/** Owns all rows outside the lanes, and decides which of them waits for which. One per writer. */
export class BesideLanes {
	readonly #parts: BesideLanesParts;
	readonly #held: HeldRows;
	readonly #stuck: StuckRows;
	readonly #awaited: AwaitedParents;
	/** Null if no table has `atomic: message`. */
	readonly #atomic: AtomicRows | null;
	readonly #toldStuck = new ToldFacts<StuckFact>((told, fact) => told.message === fact.message && told.id === fact.id);
	readonly #toldAwaited = new ToldFacts<AwaitedFact>(() => true);

	constructor(parts: BesideLanesParts) {
		this.#parts = parts;
		const { writings, writers, atomic, lanes, tell, clock } = parts;
		const together = new TogetherWriter(writings, writers);
		const tried = () => this.#tried();
		this.#stuck = new StuckRows({ ...parts, hold: this.hold, tried });
		this.#awaited = new AwaitedParents({ ...parts, giveBack: (rows) => this.#giveBack(rows), tried });
		const isElsewhere = (partition: TopicPartition, cameBy: number) => this.#isBesideAtomic(partition, cameBy);
		this.#atomic =
			atomic.size === 0 ? null : new AtomicRows({ ...parts, tables: atomic, together, isElsewhere, moved: () => this.#rested(), tried });
		this.#held = new HeldRows({
			...parts,
			together,
			awaited: this.#awaited,
			isInLanes: (partition) => lanes.hold(partition) || this.#atomic?.holds(partition) === true,
			isMovingInLanes: (partition) => this.#isMovingInFront(partition),
			isStuck: (partition) => this.#stuck.holds(partition) || this.#atomic?.isStuck(partition) === true,
			stick: this.stick,
			goOn: lanes.goOn,
			rested: tell.rested,
			monotonic: () => clock.monotonic(),
		});
	}

	/** Rows, bytes and age of each kind, including superseded rows; `since` is monotonic. */
	get figures(): readonly RowFigures[] {
		const kinds = [this.#held, this.#stuck, this.#awaited, ...(this.#atomic ? [this.#atomic] : [])];
		return kinds.map(({ figures }) => figures);
	}

	/** Rows that can't be written although others of their tables can. */
	get stuckRows(): readonly StuckFact[] {
		return [...this.#stuck.facts, ...(this.#atomic?.asides ?? []).flatMap(({ stuckFacts }) => stuckFacts)];
	}

	/** Rows that wait for a parent from another partition or topic. */
	get awaitedParents(): readonly AwaitedFact[] {
		return [...this.#awaited.facts, ...(this.#atomic?.asides ?? []).flatMap(({ awaitedFacts }) => awaitedFacts)];
	}

	/** True while rows of this partition are on their way here, or through lanes that are not stuck. */
	isMoving(partition: TopicPartition): boolean {
		return this.#isMovingInFront(partition) || this.#held.isMoving(partition, this.#parts.isPlaceStuck);
	}

	/** Takes the submission if rows of its partition are held: it goes on after them. True if it was taken. */
	takes(submission: Submission): boolean {
		return this.#held.takes(submission);
	}

	/** True if the table has `atomic: message`. */
	landTogether(table: string): boolean {
		return this.#atomic?.takes(table) === true;
	}

	/** Takes a submission's rows of such tables. */
	write(submission: Submission, blocks: readonly RowBlock[]): void {
		this.#atomic?.write(submission, blocks);
	}

	/** Takes a row that only other rows keep from being written; call `moved` afterwards. */
	readonly hold = (row: PendingRow, problem: SqlProblem, from: HeldFrom): void => this.#held.hold(row, problem, from);

	/** Takes a single row that can't be written, or a later row of its id (`problem` null). */
	readonly stick = (row: PendingRow, problem: SqlProblem | null, from: HeldFrom): void => this.#stuck.add(row, problem, from);

	/** The stuck ids of a table; null if there are none. */
	readonly stuckIds = (table: string): Iterable<string> | null => this.#stuck.idsOf(table);

	/** Something in the lanes was settled or left them. */
	moved(): void {
		this.#held.moved();
	}

	#giveBack(rows: readonly HeldRow[]): void {
		for (const each of rows) this.hold(each.row, each.problem, each);
		if (rows.length > 0) this.#held.moved();
	}

	#isMovingInFront(partition: TopicPartition): boolean {
		const { lanes, isPlaceStuck } = this.#parts;
		return lanes.isMoving(partition) || this.#atomic?.isMoving(partition, isPlaceStuck) === true;
	}

	/** True while rows of other tables that had arrived by then are under way or wait. */
	#isBesideAtomic(partition: TopicPartition, cameBy: number): boolean {
		const isUnderWay = this.#parts.lanes.hold(partition, cameBy) || this.#held.holds(partition, cameBy);
		return isUnderWay || this.#stuck.holds(partition) || this.#awaited.holds(partition);
	}

	#rested(): void {
		this.#held.moved();
		this.#parts.tell.rested();
	}

	#tried(): void {
		const { tell, clock } = this.#parts;
		const stuck = this.#toldStuck.update(this.stuckRows);
		for (const fact of stuck.told) tell.stuck(fact);
		for (const fact of stuck.over) tell.unstuck(fact);
		const long = this.awaitedParents.filter(({ sinceMs }) => clock.now() - sinceMs >= TOLD_AFTER_MS);
		const awaited = this.#toldAwaited.update(long);
		for (const fact of awaited.told) tell.awaited(fact);
		for (const fact of awaited.over) tell.settled(fact);
		this.#held.moved();
	}
}
