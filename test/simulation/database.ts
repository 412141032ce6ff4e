/**
 * The database, simulated: it runs the sink's own statements (sql/), so that a wrong predicate there does wrong here. What is read is what
 * was there in one moment, what is written meets what is there in a later one, as under read committed; statements fail before or after
 * their effect.
 */
import type { TableLayout } from "../../src/core/rows/rows.ts";
import type { Database, DatabaseRow, Statement } from "../../src/sink/database/database.ts";
import { tableDdl } from "../../src/sink/tables/schema.ts";
import { type Answer, type Circumstances, execute } from "./sql/engine.ts";
import type { Change, Row, State, TableState } from "./sql/tables.ts";
import { UnknownSqlError } from "./sql/tokens.ts";
import { type SimProcess, WALL_START, type World } from "./world.ts";

/** A stored row of a table that handlers write to. */
export interface SimRow extends Row {
	readonly id: string;
	readonly kafka_ts: number;
	readonly kafka_offset: number;
	readonly kafka_partition: number;
	readonly deleted: boolean;
}

/** Chances of failures, changed by the scenario. */
export interface DatabaseFaults {
	latencyMs: number;
	/** A statement on a handler's table waits for a lock, and others don't. */
	stalls: number;
	/** A statement fails without effect, with a code of `codes`. */
	fails: number;
	/** A statement takes effect, and the connection breaks before the answer. */
	answerLost: number;
	codes: readonly string[];
	/** Nobody may write to these tables. */
	denied: readonly string[];
}

/** What is told for the invariants. */
export interface DatabaseObserver {
	/** A row of some table was written or deleted. */
	changed(change: Change): void;
	/** All rows are those of an earlier moment. */
	restored(): void;
	/** A process has the answer to its statement. */
	answered(rows: readonly DatabaseRow[]): void;
}

/** Longest until what was committed without waiting is on disk. */
const WAL_WRITER_MS = 2_000;

/** Longest wait for a lock. */
const STALL_MS = 6_000;

/** What the server refuses in a column `n`: 23514, a check constraint. */
export const BAD = "bad";

/** See the file's header. The layouts' tables are there from the beginning. */
export class SimServer {
	readonly world: World;
	readonly faults: DatabaseFaults;
	readonly #observer: DatabaseObserver;
	/** How many rows were written or deleted so far. */
	changes = 0;
	#state: State = new Map();
	/** What would be left of it by a crash; null where that is all of it. */
	#durable: State | null = null;
	#synchronousCommit: "on" | "off" = "on";

	/** `rules` are what follows a column's type in its table, by `table.column`. */
	constructor(
		world: World,
		layouts: readonly TableLayout[],
		faults: DatabaseFaults,
		observer: DatabaseObserver,
		rules: Readonly<Record<string, string>> = {},
	) {
		this.world = world;
		this.faults = faults;
		this.#observer = observer;
		for (const layout of layouts)
			this.#runAll([{ text: withRules(tableDdl(layout), layout.name, { ...checks(layout), ...rules }), parameters: [] }], this.#state);
	}

	/** The rows of a table by key; none where there is no such table. */
	rows(table: string): ReadonlyMap<string, Row> {
		return this.#state.get(table)?.rows ?? new Map();
	}

	/** Rows of a table that got the coordinates' columns later: they have none. */
	addRowsOfBefore(table: string, ids: readonly string[]): void {
		const { definition, rows } = this.#state.get(table) as TableState;
		const columns = definition.columns.map((column) => (/^kafka_/.test(column.name) ? { ...column, notNull: false } : column));
		const empty = Object.fromEntries(columns.map(({ name }) => [name, null]));
		const added = ids.map((id) => [id, { ...empty, id, deleted: false }] as const);
		this.#state = new Map(this.#state).set(table, { definition: { ...definition, columns }, rows: new Map([...rows, ...added]) });
	}

	/** Everything that is there, as a backup has it. */
	backUp(): State {
		return this.#state;
	}

	/** A backup takes the place of everything. */
	restore(backup: State): void {
		this.#state = backup;
		this.#durable = null;
		this.#observer.restored();
	}

	/** The server's process dies and comes back: what was answered before it was on disk is gone. */
	crash(): void {
		if (this.#durable) this.restore(this.#durable);
	}

	/** What a commit waits for where nobody says otherwise: `off` answers before it is on disk. */
	set synchronousCommit(value: "on" | "off") {
		this.#synchronousCommit = value;
	}

	/** A connection pool of a process. */
	connect(process: SimProcess): Database {
		return {
			query: (text, parameters = []) => this.#query(process, text, parameters),
			transaction: (statements) => this.#transaction(process, statements),
			stream: () => {
				throw new UnknownSqlError("a simulated database has no streams");
			},
			close: async () => {},
		};
	}

	async #query(process: SimProcess, text: string, parameters: readonly (string | null)[]): Promise<readonly DatabaseRow[]> {
		return (await this.#transaction(process, [{ text, parameters }]))[0] as readonly DatabaseRow[];
	}

	/** The first statement reads in a moment before it writes; those behind it see what it wrote. */
	#transaction(process: SimProcess, statements: readonly Statement[]): Promise<readonly (readonly DatabaseRow[])[]> {
		const { faults, world } = this;
		const latency = () => world.random() * faults.latencyMs;
		const mayStall = faults.stalls > 0 && !statements.some(({ text }) => text.includes("pockaffe_"));
		const stall = mayStall && world.chance(faults.stalls) ? world.random() * STALL_MS : 0;
		// Read in one moment, written in another: whoever writes in between must be caught by the guard.
		return new Promise((resolve, reject) => {
			const answer = (settle: () => void) => world.after(latency(), () => process.enter(settle));
			world.after(latency(), () => {
				const snapshot = this.#state;
				world.after(stall + latency() / 2, () => {
					try {
						const answers = this.#withFaults(statements, () => this.#runAll(statements, snapshot));
						answer(() => {
							this.#observer.answered(answers.flat());
							resolve(answers);
						});
					} catch (error) {
						answer(() => reject(error));
					}
				});
			});
		});
	}

	#withFaults<T>(statements: readonly Statement[], effect: () => T): T {
		const isDenied = ({ text }: Statement) => this.faults.denied.some((table) => text.includes(`into "${table}"`));
		if (statements.some(isDenied)) throw failure("42501");
		if (this.world.chance(this.faults.fails)) throw failure(this.world.pick(this.faults.codes));
		const result = effect();
		if (this.world.chance(this.faults.answerLost)) throw failure("CONNECTION_CLOSED");
		return result;
	}

	/** A commit that waits for the disk takes all before it along; the others get there by themselves. */
	#commit(waits: boolean): void {
		if (waits) this.#durable = null;
		if (waits || this.#durable) return;
		const before = this.#state;
		this.#durable = before;
		this.world.after(WAL_WRITER_MS, () => {
			if (this.#durable === before) this.#durable = null;
		});
	}

	/** All of them, or none. */
	#runAll(statements: readonly Statement[], snapshot: State): readonly (readonly DatabaseRow[])[] {
		const settings = new Map([["synchronous_commit", this.#synchronousCommit as string]]);
		let present = this.#state;
		const changed: Change[] = [];
		const answers = statements.map(({ text, parameters }, index) => {
			if (text === "rollback") {
				present = this.#state;
				changed.length = 0;
				return [];
			}
			const circumstances = { snapshot: index === 0 ? snapshot : present, present, settings };
			const { rows, state, changes } = this.#run(text, parameters, circumstances, index);
			present = state;
			changed.push(...changes);
			return rows;
		});
		if (changed.length > 0) this.#commit(settings.get("synchronous_commit") !== "off");
		this.#state = present;
		this.changes += changed.length;
		for (const change of changed) this.#observer.changed(change);
		return answers;
	}

	#run(text: string, parameters: readonly (string | null)[], circumstances: Omit<Circumstances, "now">, index: number): Answer {
		try {
			return execute(text, parameters, { ...circumstances, now: WALL_START + this.world.now });
		} catch (error) {
			if (error instanceof UnknownSqlError)
				this.world.fail("unknown-sql", `the simulated database doesn't know this SQL: ${error.message}`);
			throw error instanceof Error ? Object.assign(error, { statement: index }) : error;
		}
	}
}

function checks({ name, columns }: TableLayout): Record<string, string> {
	return columns.some((column) => column.name === "n") ? { [`${name}.n`]: `check (n <> '${BAD}')` } : {};
}

/** The table with more rules than PocKaffe would make it with. */
function withRules(ddl: string, table: string, rules: Readonly<Record<string, string>>): string {
	return ddl.replace(/^\t"(\w+)" [^,\n]+/gm, (definition, column: string) => {
		const rule = rules[`${table}.${column}`];
		return rule ? `${definition} ${rule}` : definition;
	});
}

function failure(code: string): Error {
	return Object.assign(new Error(code), { code });
}
