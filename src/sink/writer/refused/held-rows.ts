/**
 * Rows that are refused only because of other rows: a parent is not there yet, or another row still has the unique value. Batches are
 * written in the order of ids, and tables beside each other, so this happens even with a correct log. Such rows leave their lane. When
 * nothing of their partition is under way any more, they are tried again in the order of the log, pass by pass, until a pass writes none.
 * What is left is refused. Later rows of the partition wait behind them; otherwise they could take a value that the held rows need.
 *
 *   held -> (the partition's rows in the lanes are settled) -> passing -> written | refused
 *
 * Lanes never wait for them, so nothing can lock up; the limits of the partition's queue bound how many there are.
 *
 * Step 8 of a message's way (docs/architecture.md).
 */
import { partitionName, type TopicPartition } from "../../../core/messages/message.ts";
import type { SqlProblem } from "../../database/sql-faults.ts";
import type { WritingPlace } from "../lane.ts";
import type { HeldFrom } from "../lane-writer.ts";
import type { Submission } from "../pending-blocks.ts";
import { type RowWriter, unsettledOf } from "../row-writer.ts";
import { chainOf, type PendingRow, PendingRows, type RowFigures } from "../sql/pending-rows.ts";
import type { TogetherWriter } from "../together-writer.ts";
import { type SizeLimits, StatementSize } from "../tuning/statement-size.ts";
import type { AwaitedParents } from "./awaited-parents.ts";
import { figuresOf, HeldPartition, type HeldRow, runsOf } from "./held-partition.ts";
import { stillRefused } from "./refusal-words.ts";
import { stepAside } from "./step-aside.ts";

/** What it needs from the writer. */
export interface HeldRowsParts {
	/** By table. */
	readonly writers: ReadonlyMap<string, RowWriter>;
	readonly together: TogetherWriter;
	/** Takes rows that no pass can write, if they may wait for a parent. */
	readonly awaited: AwaitedParents;
	/** True while the lanes have rows of a partition that somebody waits for; and the same for lanes that are not stuck. */
	readonly isInLanes: (partition: TopicPartition) => boolean;
	readonly isMovingInLanes: (partition: TopicPartition) => boolean;
	/** True while rows of a partition are stuck: rows that wait for those are tried, but not refused. */
	readonly isStuck: (partition: TopicPartition) => boolean;
	/** Takes a single row that can't be written. */
	readonly stick: (row: PendingRow, problem: SqlProblem, from: HeldFrom) => void;
	/** Puts submissions that waited behind held rows into the lanes. */
	readonly goOn: (submission: Submission) => void;
	/** Called when a partition's rows are not being tried any more: all were written, or the rest can't be written now. */
	readonly rested: () => void;
	readonly limits: SizeLimits & { readonly maxBytes: number };
	readonly monotonic: () => number;
	readonly ended: AbortSignal;
}

interface Waiting {
	readonly partition: TopicPartition;
	readonly held: HeldPartition;
	/** Submissions that arrived after the held rows. */
	readonly behind: { readonly submission: Submission; readonly since: number }[];
	/** The places that its rows are written from, by table, and the current one. */
	readonly places: Map<string, WritingPlace>;
	place: WritingPlace | null;
	isPassing: boolean;
	/** True if all its rows were tried in vain while others of the partition are stuck. */
	isResting: boolean;
}

/**
 * Maximum rows of a run that are found one by one to wait for parents, with two statements each: children whose parents are in another
 * topic come by the thousand.
 */
const MOST_AWAITED = 8;

/** Tries held rows again by partition, in the order of the log. One per writer. */
export class HeldRows {
	readonly #parts: HeldRowsParts;
	readonly #waiting = new Map<string, Waiting>();

	constructor(parts: HeldRowsParts) {
		this.#parts = parts;
	}

	/** Rows and bytes that wait, including superseded versions. */
	get figures(): RowFigures {
		const all = [...this.#waiting.values()];
		let { rows, bytes, since } = figuresOf(all.flatMap((waiting) => waiting.held.rows));
		for (const { place } of all) {
			rows += place?.unsettled?.allRows ?? 0;
			bytes += place?.unsettled?.allBytes ?? 0;
			since = earlier(since, place?.unsettled?.since ?? null);
		}
		for (const behind of all.flatMap((waiting) => waiting.behind)) {
			since = earlier(since, behind.since);
			for (const block of behind.submission.blocks) {
				rows += block.messages.length;
				bytes += block.bytes.reduce((sum, each) => sum + each, 0);
			}
		}
		return { rows, bytes, since };
	}

	/** True while rows of this partition are being tried, or will be in this turn, at a place that is not stuck. */
	isMoving(partition: TopicPartition, isStuck: (place: WritingPlace) => boolean): boolean {
		const waiting = this.#waiting.get(partitionName(partition));
		if (!waiting) return false;
		const { isInLanes, isStuck: isStuckAlone } = this.#parts;
		if (!waiting.isPassing) return waiting.held.rows.length > 0 && !isInLanes(partition) && !isStuckAlone(partition);
		return !waiting.place || !isStuck(waiting.place);
	}

	/** True while rows of this partition wait or are being tried that had arrived by then (monotonic time). */
	holds(partition: TopicPartition, cameBy: number): boolean {
		const waiting = this.#waiting.get(partitionName(partition));
		return waiting !== undefined && (waiting.isPassing || waiting.held.rows.some(({ since }) => since <= cameBy));
	}

	/** Takes the submission if rows of its partition are held: it goes on after them. True if it was taken. */
	takes(submission: Submission): boolean {
		if (this.#waiting.size === 0) return false;
		const waiting = this.#waiting.get(partitionName(submission));
		if (!waiting) return false;
		if (!this.#isInTheWay(waiting)) {
			// What waited came first.
			this.#letGo(waiting);
			return false;
		}
		waiting.behind.push({ submission, since: this.#parts.monotonic() });
		return true;
	}

	/** Holds a row; call `moved` afterwards. */
	hold(row: PendingRow, problem: SqlProblem, { table, trigger, since }: HeldFrom): void {
		const waiting = this.#waitingOf(row);
		waiting.isResting = false;
		waiting.held.add({ table, row, trigger, since, problem });
	}

	/** Something in the lanes was settled, held or got stuck: rows that waited for it may go on. */
	moved(): void {
		for (const waiting of this.#waiting.values()) {
			if (waiting.isPassing) continue;
			if (!this.#parts.isInLanes(waiting.partition)) void this.#work(waiting);
			else if (!this.#isInTheWay(waiting)) this.#letGo(waiting);
		}
	}

	#waitingOf({ topic, partition }: TopicPartition): Waiting {
		const name = partitionName({ topic, partition });
		const known = this.#waiting.get(name);
		if (known) return known;
		const parts = { partition: { topic, partition }, held: new HeldPartition(), behind: [], places: new Map(), place: null };
		const waiting = { ...parts, isPassing: false, isResting: false };
		this.#waiting.set(name, waiting);
		return waiting;
	}

	/**
	 * True if submissions have to wait behind these rows: they are being tried, wait for what moves in the lanes, or are about to be tried
	 * (a lane calls `moved` when its whole batch is done, which may be long after this partition's part). Nothing waits behind stuck rows.
	 */
	#isInTheWay({ isPassing, isResting, partition, held }: Waiting): boolean {
		if (isPassing || held.rows.length === 0) return isPassing;
		return this.#parts.isMovingInLanes(partition) || !(isResting || this.#parts.isInLanes(partition));
	}

	#letGo(waiting: Waiting): void {
		for (const { submission } of waiting.behind.splice(0)) if (!submission.released) this.#parts.goOn(submission);
	}

	/** Nothing else of the partition is under way: tries the held rows pass by pass, until none is held. */
	async #work(waiting: Waiting): Promise<void> {
		const { held, partition } = waiting;
		const { ended, isStuck } = this.#parts;
		waiting.isPassing = true;
		while (held.rows.length > 0) {
			const wasStuck = isStuck(partition);
			const hasMoved = await this.#pass(waiting);
			if (ended.aborted) return;
			if (hasMoved || (await this.#stepAside(waiting))) continue;
			if (ended.aborted) return;
			waiting.isResting = isStuck(partition);
			if (waiting.isResting) break;
			// What was stuck may have been written behind the statement that missed it.
			if (wasStuck) continue;
			if (this.#parts.awaited.takes(partition, held.rows)) held.clear();
			else this.#refuse(held);
		}
		waiting.isPassing = false;
		if (held.rows.length === 0) this.#waiting.delete(partitionName(waiting.partition));
		this.#letGo(waiting);
		this.#parts.rested();
	}

	/** Tries all held rows in the log's order; true if that wrote or moved any. */
	async #pass(waiting: Waiting): Promise<boolean> {
		const { held } = waiting;
		let hasMoved = false;
		for (const run of runsOf(held.rows, this.#parts.limits)) {
			for (const each of run) held.remove(each);
			const refused = await this.#write(waiting, run);
			if (this.#parts.ended.aborted) return false;
			for (const each of run) {
				const problem = refused.get(each.row);
				if (!problem || held.addAgain({ ...each, problem })) hasMoved = true;
			}
		}
		return hasMoved;
	}

	/** Writes a run; returns its rows that others still keep from being written. */
	async #write(waiting: Waiting, run: readonly HeldRow[]): Promise<ReadonlyMap<PendingRow, SqlProblem>> {
		const [{ table, trigger, since }] = run as [HeldRow];
		const writer = this.#parts.writers.get(table) as RowWriter;
		const refused = new Map<PendingRow, SqlProblem>();
		const given = new Set(run.map(({ row }) => row));
		const held = (row: PendingRow, problem: SqlProblem) => {
			refused.set(row, problem);
			// An older version takes the place of a row that can never be written.
			if (!given.has(row)) this.hold(row, problem, { table, trigger, since });
		};
		const pending = new PendingRows(writer.layout);
		const rows = run.map(({ row }) => row);
		const place = this.#placeOf(waiting, table, writer);
		waiting.place = place;
		// Rows held untried are tried later, while they wait.
		const mostHeld = this.#parts.awaited.hasWait(table) ? MOST_AWAITED : Number.POSITIVE_INFINITY;
		const stuck = (row: PendingRow, problem: SqlProblem) => this.#parts.stick(row, problem, { table, trigger, since });
		const task = { rows, pending, trigger, since, failures: 0, firstProblem: null, inOrder: true, mostHeld, held, stuck };
		await writer.write(place, task);
		place.unsettled = null;
		waiting.place = null;
		return refused;
	}

	/** Writes rows that need each other's values, by writing some of them without values first (step-aside.ts). True if that worked. */
	async #stepAside(waiting: Waiting): Promise<boolean> {
		const { held } = waiting;
		const { writers, together } = this.#parts;
		const layouts = new Map([...writers].map(([table, { layout }]) => [table, layout]));
		const rows = [...held.rows];
		const statements = stepAside(rows, layouts);
		const [first] = statements ?? [];
		if (!statements || !first) return false;
		for (const each of rows) held.remove(each);
		const { trigger, since } = rows[0] as HeldRow;
		const place = this.#placeOf(waiting, first.table, writers.get(first.table) as RowWriter);
		place.unsettled = unsettledOf(() => rows.flatMap(({ row }) => [...chainOf(row)]), since);
		waiting.place = place;
		const refused = await together.write(place, statements, trigger);
		place.unsettled = null;
		waiting.place = null;
		if (refused) for (const each of rows) held.add(each);
		return refused === null;
	}

	#refuse(held: HeldPartition): void {
		const refused = held.rows;
		for (const each of refused) {
			held.remove(each);
			const problem = { ...each.problem, message: refusalOf(each, refused) };
			this.#parts.writers.get(each.table)?.refuse([{ row: each.row, problem }], each.trigger);
		}
	}

	#placeOf(waiting: Waiting, table: string, { layout }: RowWriter): WritingPlace {
		const place = waiting.places.get(table) ?? { layout, statementSize: new StatementSize(this.#parts.limits), unsettled: null };
		waiting.places.set(table, place);
		return place;
	}
}

function earlier(left: number | null, right: number | null): number | null {
	return left === null || right === null ? (left ?? right) : Math.min(left, right);
}

const UNIQUE = new Set(["23505", "23P01"]);

/** The fault of a row that still fails after everything earlier of its partition. */
function refusalOf({ table, problem }: HeldRow, refused: readonly HeldRow[]): string {
	const { message, constraint, code } = problem;
	const tried = stillRefused(message);
	const others = refused.filter((each) => each.table === table && each.problem.constraint === constraint).length - 1;
	if (!UNIQUE.has(code) || others === 0) return tried;
	return `${tried}, with ${others} more rows: if rows exchange their values, the constraint must be deferrable`;
}
