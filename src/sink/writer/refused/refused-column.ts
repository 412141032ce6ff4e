/**
 * Finds the column that a row is refused for, if the server doesn't name it. Tries the row's own statement with some of its values and null
 * for the others, halving until one is left, and rolls back each time.
 *
 * Step 8 of a message's way (docs/architecture.md).
 */
import type { TableLayout } from "../../../core/rows/rows.ts";
import type { Database } from "../../database/database.ts";
import { problemOf, type SqlProblem } from "../../database/sql-faults.ts";
import { rowParameters, type UpsertRow } from "../sql/row-parameters.ts";

/** Maximum functions that are remembered. */
const MOST_PLACES = 100;

/** Finds the column for which the server refuses a row. For one table. */
export class RefusedColumn {
	readonly #database: Pick<Database, "transaction">;
	readonly #layout: TableLayout;
	readonly #statement: string;
	/** The last column found, by SQLSTATE: bad rows come in runs, mostly for the same reason. */
	readonly #last = new Map<string, number>();
	/** Functions (triggers) whose error no single value causes, by their place: searching again would find nothing. */
	readonly #inVain = new Set<string>();

	constructor(database: Pick<Database, "transaction">, layout: TableLayout, statement: string) {
		this.#database = database;
		this.#layout = layout;
		this.#statement = statement;
	}

	/** Returns the problem with its column; unchanged if no column can be found. Never rejects. */
	async named(row: UpsertRow, problem: SqlProblem): Promise<SqlProblem> {
		if (!isOfValue(problem) || row.isDelete || this.#inVain.has(problem.message)) return problem;
		let index: number | null;
		try {
			index = await this.#search(row, problem.code);
		} catch {
			return problem;
		}
		const found = index === null ? undefined : this.#layout.columns[index];
		if (index === null || !found) {
			if (problem.isOfFunction && this.#inVain.size < MOST_PLACES) this.#inVain.add(problem.message);
			return problem;
		}
		this.#last.set(problem.code, index);
		return { ...problem, column: found.name, message: `${problem.message}, in column ${found.name} (${found.type})` };
	}

	/** Rejects if there is no answer: the connection ended. */
	async #search(row: UpsertRow, code: string): Promise<number | null> {
		let left = row.values.flatMap((value, index) => (value === null ? [] : [index]));
		const last = this.#last.get(code);
		if (last !== undefined && left.includes(last) && (await this.#isRefused(row, [last], code))) return last;
		while (left.length > 1) {
			const half = left.slice(0, Math.ceil(left.length / 2));
			left = (await this.#isRefused(row, half, code)) ? half : left.slice(half.length);
		}
		const [only] = left;
		if (only === undefined || !(await this.#isRefused(row, left, code))) return null;
		// A trigger may refuse every row.
		return (await this.#isRefused(row, [], code)) ? null : only;
	}

	async #isRefused(row: UpsertRow, columns: readonly number[], code: string): Promise<boolean> {
		const values = row.values.map((value, index) => (columns.includes(index) ? value : null));
		const parameters = rowParameters(this.#layout, [{ ...row, values }]);
		try {
			await this.#database.transaction([
				{ text: this.#statement, parameters },
				{ text: "rollback", parameters: [] },
			]);
			return false;
		} catch (error) {
			const problem = problemOf(error);
			if (problem.fault === "connection" || problem.fault === "transient") throw error;
			return problem.code === code;
		}
	}
}

/** True for a value that its type refuses (class 22), or a domain's check: the server names no column for either. */
function isOfValue({ code, column, table }: SqlProblem): boolean {
	return column === null && (code.startsWith("22") || (code === "23514" && table === null));
}
