/**
 * Random logs that single statements in the log's order would take, through the writer with its lanes, batches and statements under way
 * side by side: the tables are what those single statements would have made, and nothing is refused.
 */
import { describe, expect, it } from "vitest";
import { seededRandom } from "../../../src/core/random.ts";
import { BatchWriter } from "../../../src/sink/writer/batch-writer.ts";
import type { WrittenFact } from "../../../src/sink/writer/writing.ts";
import { ManualClock } from "../../support/fakes/manual-clock.ts";
import { type MessageRow, messagesOf, type RowMessage, type TrackedMessages } from "../../support/fakes/message-submissions.ts";
import { columnOf, layoutOf } from "../../support/fakes/row-submissions.ts";
import { MemoryDatabase } from "../../support/postgres/memory-database.ts";

const layouts = [
	layoutOf({ name: "lines", columns: [columnOf("order_id", "text"), columnOf("sku", "text")] }),
	layoutOf({ name: "people", columns: [columnOf("email", "text")] }),
	layoutOf({ name: "orders", columns: [columnOf("code", "text"), columnOf("person", "text")] }),
];
const constraints = {
	unique: [
		["people", "email"],
		["orders", "code"],
	],
	references: [
		[["lines", "order_id"], "orders"],
		[["orders", "person"], "people"],
	],
} as const;
const SEEDS = Number(process.env.SEEDS ?? (process.env.TEST_LONG ? 100 : 20));

/** One partition's log, and what its tables hold behind it. Values are the partition's own: nothing orders one partition behind another. */
class LegalLog {
	readonly messages: RowMessage[] = [];
	readonly rows = new Map<string, MessageRow>();
	readonly #random: () => number;
	readonly #name: string;
	readonly #size: number;

	constructor(partition: number, random: () => number, count: number) {
		this.#name = `p${partition}`;
		this.#random = random;
		this.#size = 2 + this.#below(6);
		let offset = 0;
		while (this.messages.length < count) {
			offset += 1 + (this.#random() < 0.1 ? 2 : 0);
			this.messages.push({ offset, rows: this.#step() });
		}
	}

	#below(count: number): number {
		return Math.floor(this.#random() * count);
	}

	#any(kind: string, count = this.#size): string {
		return `${this.#name}-${kind}${this.#below(count)}`;
	}

	#put(row: MessageRow): MessageRow {
		this.rows.set(`${row.table} ${row.id}`, row);
		return row;
	}

	#isFree(table: string, column: number, value: string, id: string): boolean {
		return ![...this.rows.values()].some((row) => row.table === table && row.id !== id && row.values?.[column] === value);
	}

	/** A value that nobody else has, or none. */
	#free(table: string, kind: string, id: string): string | null {
		const value = this.#any(kind, this.#size + 1);
		return this.#isFree(table, 0, value, id) ? value : null;
	}

	#person(): MessageRow {
		const id = this.#any("person");
		if (this.#random() < 0.1) return this.#put({ table: "people", id, isDelete: true, values: [null] });
		return this.#put({ table: "people", id, values: [this.#free("people", "mail", id)] });
	}

	#order(): MessageRow {
		const id = this.#any("order");
		const person = this.#any("person");
		const known = this.rows.has(`people ${person}`) ? person : null;
		return this.#put({ table: "orders", id, values: [this.#free("orders", "code", id), known] });
	}

	/** `id` is one of as many lines that a message may have. */
	#line(id = 0): MessageRow[] {
		const order = this.#any("order");
		if (!this.rows.has(`orders ${order}`)) return [];
		return [this.#put({ table: "lines", id: `${this.#any("line", 30)}-${id}`, values: [order, String(this.#below(9))] })];
	}

	/** One gives up its address and another takes it: in one message, or in two. */
	#takeOver(): MessageRow[] {
		const owner = [...this.rows.values()].find(({ table, values }) => table === "people" && values?.[0]);
		if (!owner) return [this.#person()];
		const address = owner.values?.[0] as string;
		const left = this.#put({ table: "people", id: owner.id, values: [this.#free("people", "mail", owner.id)] });
		const id = this.#any("person");
		if (id === owner.id || left.values?.[0] === address) return [left];
		return [left, this.#put({ table: "people", id, values: [address] })];
	}

	#step(): MessageRow[] {
		const what = this.#random();
		if (what < 0.2) return [this.#person()];
		if (what < 0.4) return this.#takeOver();
		if (what < 0.55) return [this.#order()];
		if (what < 0.65) return this.#line();
		if (what < 0.7) return [];
		// An order and its lines, parents first or last.
		const rows = [this.#order(), ...this.#line(0), ...this.#line(1), ...this.#line(2)];
		return this.#random() < 0.5 ? rows : rows.reverse();
	}
}

interface Outcome {
	readonly refused: unknown[];
	readonly wrong: string[];
	readonly lost: number;
	readonly counted: number;
	readonly rows: number;
	/** How often a partition with rows on their way seemed to stand still. */
	readonly stoodStill: number;
	/** Messages of which some rows could be seen and others not, though they land together. */
	readonly partial: number;
}

/** `areTogether`: the rows of one message land together, in some tables or in all. */
async function play(seed: number, areTogether = false): Promise<Outcome> {
	const random = seededRandom(seed);
	const chosen = seededRandom(seed + 1_000_000);
	const atomic = new Set(areTogether ? layouts.map(({ name }) => name).filter(() => chosen() < 0.7) : []);
	const below = (count: number) => Math.floor(random() * count);
	const clock = new ManualClock();
	const database = new MemoryDatabase(layouts, constraints, () => clock.sleep(random() * 5));
	const connections = 1 + below(3);
	const batch = {
		maxRows: [3, 20, 1_000][below(3)] as number,
		maxBytes: [500, 1e6][below(2)] as number,
		minRows: 1,
		lingerMs: below(3),
		answerMs: 250,
	};
	const writer = new BatchWriter({ layouts, database, connections, batch, clock, random, atomic });
	let counted = 0;
	let stoodStill = 0;
	// A drain looks whenever something went in.
	writer.on("batch:written", () => {
		const open = submissions.filter(({ isDone }) => !isDone);
		stoodStill += open.filter(({ topic, partition }) => !writer.isMoving({ topic, partition })).length;
	});
	writer.on("batch:written", ({ inserted, updated, deleted, suppressed, stale, coalesced, refused }: WrittenFact) => {
		counted += inserted + updated + deleted + suppressed + stale.replay + stale.older + stale.other_partition + coalesced + refused;
	});
	const logs = Array.from({ length: 1 + below(3) }, (_, partition) => new LegalLog(partition, random, 20 + below(150)));
	let partial = 0;
	database.committed = () => {
		for (const [partition, { messages }] of logs.entries()) partial += messages.filter((each) => isPartial(each, partition)).length;
	};
	const isPartial = ({ offset, rows }: RowMessage, partition: number) => {
		const stored = rows.filter(({ table }) => atomic.has(table)).map(({ table, id }) => database.row(table, id));
		const isSeen = stored.some((row) => row?.offset === offset && row.partition === partition);
		return isSeen && stored.some((row) => (row?.offset ?? -1) < offset);
	};
	const cursors = logs.map(() => 0);
	const submissions: TrackedMessages[] = [];
	const longest = 1 + below(40);
	while (cursors.some((cursor, partition) => cursor < (logs[partition] as LegalLog).messages.length)) {
		const partition = below(logs.length);
		const { messages } = logs[partition] as LegalLog;
		const from = cursors[partition] as number;
		const run = messages.slice(from, from + 1 + below(longest));
		cursors[partition] = from + run.length;
		const submission = messagesOf(layouts, run, { partition, lanes: connections });
		submissions.push(submission);
		writer.write(submission);
		if (random() < 0.5) await clock.advance(random() * 8);
	}
	for (let i = 0; i < 5_000 && !submissions.every(({ isDone }) => isDone); i++) await clock.advance(5);
	const wrong: string[] = [];
	for (const { rows } of logs) {
		for (const [name, row] of rows) {
			const stored = database.row(row.table, row.id);
			const expected = JSON.stringify([row.values ?? [], row.isDelete ?? false]);
			if (JSON.stringify([stored?.values ?? [], stored?.deleted]) !== expected)
				wrong.push(`${name}: ${JSON.stringify(stored)}, not ${expected}`);
		}
	}
	await writer.dispose();
	const all = submissions.flatMap(({ settledOffsets }) => settledOffsets).length;
	const rows = logs.reduce((sum, { messages }) => sum + messages.reduce((each, message) => each + message.rows.length, 0), 0);
	const refused = submissions.flatMap(({ refusals }) => refusals);
	return { refused, wrong, lost: rows - all - refused.length, counted, rows, stoodStill, partial };
}

describe("a log that single statements in its order would take", () => {
	it.each([
		["", false],
		[", where rows of one message land together", true],
	])(
		`goes in whole, without ever seeming to stand, whatever the batches, lanes and answer times%s (${SEEDS} seeds)`,
		async (_, areTogether) => {
			const found: unknown[] = [];
			const first = Number(process.env.SEED ?? 1);
			for (let seed = first; seed < first + SEEDS; seed++) {
				const outcome = await play(seed, areTogether);
				const { refused, wrong, lost, counted, rows, stoodStill, partial } = outcome;
				if (refused.length + wrong.length + lost + stoodStill + partial > 0 || counted !== rows) found.push({ seed, ...outcome });
			}
			expect(found).toEqual([]);
		},
	);
});
