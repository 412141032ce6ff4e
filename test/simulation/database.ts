/**
 * The database, simulated: it reads the guards out of the writer's own statement, so that a wrong predicate there does wrong here. What
 * is stored is read in one moment and written in a later one, as under read committed; statements fail before or after their effect.
 */
import type { TableLayout } from "../../src/core/rows.ts";
import type { Database, DatabaseRow } from "../../src/sink/database.ts";
import type { SimProcess, World } from "./world.ts";

/** A stored row. */
export interface SimRow {
	readonly id: string;
	readonly n: string | null;
	readonly kafka_ts: number;
	readonly kafka_offset: number;
	readonly kafka_partition: number;
	readonly deleted: boolean;
}

/** Chances of failures, changed by the scenario. */
export interface DatabaseFaults {
	latencyMs: number;
	/** A statement fails without effect, with a code of `codes`. */
	fails: number;
	/** A statement takes effect, and the connection breaks before the answer. */
	answerLost: number;
	codes: readonly string[];
}

/** What is told for the invariants. */
export interface DatabaseObserver {
	/** A row is about to be replaced. */
	replaced(before: SimRow, after: SimRow): void;
	offsetStored(partition: number, offset: number): void;
}

/** What the server refuses: 23514, a check constraint. */
export const BAD = "bad";

interface StoredOffset {
	next: number;
	epoch: number;
}

/** One table of events and one of offsets. */
export class SimServer {
	readonly world: World;
	readonly faults: DatabaseFaults;
	readonly rows = new Map<string, SimRow>();
	readonly offsets = new Map<number, StoredOffset>();
	readonly #layout: TableLayout;
	readonly #observer: DatabaseObserver;
	readonly #statements = new Map<string, Upsert>();

	constructor(world: World, layout: TableLayout, faults: DatabaseFaults, observer: DatabaseObserver) {
		this.world = world;
		this.#layout = layout;
		this.faults = faults;
		this.#observer = observer;
	}

	/** A connection pool of a process. */
	connect(process: SimProcess): Database {
		return {
			query: (text, parameters = []) => this.#query(process, text, parameters as (string | null)[]),
			async *stream() {},
			close: async () => {},
		};
	}

	async #query(process: SimProcess, text: string, parameters: readonly (string | null)[]): Promise<readonly DatabaseRow[]> {
		const { faults, world } = this;
		const latency = () => world.random() * faults.latencyMs;
		if (!/^with (incoming|written) as/.test(text)) {
			return process.request(latency, () => this.#withFaults(() => this.#smallStatement(text, parameters)));
		}
		const statement = this.#statements.get(text) ?? new Upsert(text, this.#layout);
		this.#statements.set(text, statement);
		if (!text.includes("insert into")) {
			return process.request(latency, () => this.#withFaults(() => [this.#look(statement, parameters)]));
		}
		// Read in one moment, written in another: whoever writes in between must be caught by the guard.
		return new Promise((resolve, reject) => {
			const answer = (settle: () => void) => world.after(latency(), () => process.enter(settle));
			world.after(latency(), () => {
				const rows = statement.rows(parameters);
				const snapshot = rows.map((row) => ({ row, stored: this.rows.get(row.id) }));
				world.after(latency() / 2, () => {
					try {
						const result = this.#withFaults(() => this.#upsert(statement, snapshot));
						answer(() => resolve([result]));
					} catch (error) {
						answer(() => reject(error));
					}
				});
			});
		});
	}

	#withFaults<T>(effect: () => T): T {
		if (this.world.chance(this.faults.fails)) throw failure(this.world.pick(this.faults.codes));
		const result = effect();
		if (this.world.chance(this.faults.answerLost)) throw failure("CONNECTION_CLOSED");
		return result;
	}

	#upsert(statement: Upsert, snapshot: readonly { row: SimRow; stored: SimRow | undefined }[]): DatabaseRow {
		const counts = { written: 0, deleted: 0, candidates_new: 0, fresh: 0, replay: 0, older: 0, other_partition: 0, total: snapshot.length };
		const written = new Map<string, SimRow>();
		for (const { row, stored } of snapshot) {
			const isStale = stored !== undefined && statement.isStale(stored, row);
			counts[isStale ? causeOf(row, stored) : "fresh"]++;
			if (isStale && statement.readsFirst) continue;
			// Rules are checked of what is to be inserted, whether or not it will be; rows that are left out before break none.
			if (row.n === BAD) throw failure("23514");
			if (written.has(row.id)) throw failure("21000");
			const present = this.rows.get(row.id);
			if (!row.deleted && !(statement.readsFirst ? stored : present)) counts.candidates_new++;
			if (present && !statement.mayReplace(present, row)) continue;
			written.set(row.id, row);
			counts.written++;
			if (row.deleted) counts.deleted++;
		}
		for (const [id, row] of written) {
			const present = this.rows.get(id);
			if (present) this.#observer.replaced(present, row);
			this.rows.set(id, row);
		}
		return counts;
	}

	/** What cas-upsert.ts asks where rows were neither written nor stale. */
	#look(statement: Upsert, parameters: readonly (string | null)[]): DatabaseRow {
		const counts = { suppressed: 0, suppressed_new: 0, replay: 0, older: 0, other_partition: 0 };
		for (const row of statement.rows(parameters)) {
			const stored = this.rows.get(row.id);
			if (stored && statement.isStale(stored, row)) counts[causeOf(row, stored)]++;
			else counts.suppressed++;
		}
		return counts;
	}

	/** The statements of offset-table.ts and start-table.ts. */
	#smallStatement(text: string, [, json]: readonly (string | null)[]): readonly DatabaseRow[] {
		if (text.includes("to_regclass")) return [{ found: true }];
		if (text.startsWith("create") || text.includes("_start")) return [];
		const entries = JSON.parse(json ?? "[]") as OffsetEntry[];
		if (text.startsWith("select")) return this.#offsetRows(entries);
		return this.#offsetRows(entries.filter((entry) => this.#changeOffset(text, entry)));
	}

	/** False where the statement doesn't find the row. */
	#changeOffset(text: string, entry: OffsetEntry): boolean {
		const stored = this.offsets.get(entry.partition);
		if (text.startsWith("insert")) {
			if (stored) stored.epoch++;
			else this.#store(entry.partition, { next: entry.next_offset, epoch: 1 });
		} else if (text.includes("set epoch")) {
			if (stored) stored.epoch++;
		} else {
			if (!stored || !isFencedBy(text, stored, entry)) return false;
			this.#store(entry.partition, { ...stored, next: entry.next_offset });
		}
		return true;
	}

	#store(partition: number, offset: StoredOffset): void {
		this.offsets.set(partition, offset);
		this.#observer.offsetStored(partition, offset.next);
	}

	#offsetRows(entries: readonly { topic: string; partition: number }[]): DatabaseRow[] {
		return entries.flatMap(({ topic, partition }) => {
			const stored = this.offsets.get(partition);
			return stored ? [{ topic, partition, next_offset: String(stored.next), epoch: String(stored.epoch) }] : [];
		});
	}
}

/** An entry of offset-table.ts's statements; each has what it needs. */
interface OffsetEntry {
	readonly topic: string;
	readonly partition: number;
	readonly next_offset: number;
	readonly epoch: string;
	readonly lowest: number;
	readonly highest: number;
}

/** The fence as the statement has it. */
function isFencedBy(text: string, stored: StoredOffset, { epoch, lowest, highest }: OffsetEntry): boolean {
	const isMine = !text.includes("o.epoch = x.epoch") || String(stored.epoch) === epoch;
	return isMine && (!text.includes("between x.lowest and x.highest") || (stored.next >= lowest && stored.next <= highest));
}

function causeOf({ kafka_partition, kafka_offset }: SimRow, stored: SimRow): "replay" | "older" | "other_partition" {
	if (stored.kafka_partition !== kafka_partition) return "other_partition";
	return stored.kafka_offset >= kafka_offset ? "replay" : "older";
}

type Column = "kafka_ts" | "kafka_offset" | "kafka_partition";

/** The writer's statement, as far as it decides which row stays. */
class Upsert {
	/** What is stale when it begins is left out; otherwise only the guard decides. */
	readonly readsFirst: boolean;
	readonly #layout: TableLayout;
	readonly #stale: Comparison | null;
	readonly #guard: Comparison | null;

	constructor(text: string, layout: TableLayout) {
		this.#layout = layout;
		this.readsFirst = text.startsWith("with incoming");
		this.#stale = comparisonIn(text, /\(\((t\.[^)]*)\) (<=|>=|<|>) \((n\.[^)]*)\)\) is true/);
		this.#guard = comparisonIn(text, /where \(\((t\.[^)]*)\) (<=|>=|<|>) \((excluded\.[^)]*)\)\) is not false/);
	}

	/** The rows of the parameters: texts joined by a separator. */
	rows([separator, nullMark, ...columns]: readonly (string | null)[]): SimRow[] {
		const split = columns.map((column) => (column ?? "").split(separator as string));
		const [ids = [], ns = []] = split;
		const [timestamps = [], offsets = [], partitions = [], deletes = []] = split.slice(1 + this.#layout.columns.length);
		return ids.map((id, index) => ({
			id,
			n: ns[index] === nullMark ? null : (ns[index] as string),
			kafka_ts: Number(timestamps[index]),
			kafka_offset: Number(offsets[index]),
			kafka_partition: Number(partitions[index]),
			deleted: deletes[index] === "t",
		}));
	}

	isStale(stored: SimRow, row: SimRow): boolean {
		return this.#stale !== null && holds(this.#stale, stored, row);
	}

	mayReplace(stored: SimRow, row: SimRow): boolean {
		return this.#guard === null || holds(this.#guard, stored, row);
	}
}

interface Comparison {
	readonly columns: readonly Column[];
	readonly operator: string;
}

function comparisonIn(text: string, pattern: RegExp): Comparison | null {
	const match = pattern.exec(text);
	if (!match) return null;
	return { columns: (match[1] as string).split(", ").map((name) => name.replace("t.", "") as Column), operator: match[2] as string };
}

function holds({ columns, operator }: Comparison, stored: SimRow, row: SimRow): boolean {
	let order = 0;
	for (const column of columns) order ||= Math.sign(stored[column] - row[column]);
	switch (operator) {
		case "<":
			return order < 0;
		case "<=":
			return order <= 0;
		case ">":
			return order > 0;
		default:
			return order >= 0;
	}
}

function failure(code: string): Error {
	return Object.assign(new Error(code), { code });
}
