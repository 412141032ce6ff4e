/**
 * Question: how close does the batch writer alone come to what the server reaches with rows of its own making, at what CPU per row?
 * No Kafka and no threads: rows as a worker thread hands them over, through the daemon's BatchWriter into a table. Distinct ids, hot ids
 * (Zipf: most coalesce), rows that are all stale already, and wide rows. Client CPU is that of this process while it writes.
 */
import { systemClock } from "../../src/core/clock.ts";
import { seededRandom } from "../../src/core/random.ts";
import type { TableLayout } from "../../src/core/rows/rows.ts";
import { connectDatabase } from "../../src/sink/database/database.ts";
import { createTables } from "../../src/sink/tables/schema.ts";
import { zipfNumbers } from "../../test/support/daemons/zipf.ts";
import { defineBench } from "../bench.ts";
import { builtWriter } from "../contenders/built-writer.ts";
import { serverUpserts } from "../contenders/server-upserts.ts";
import { BenchDatabase } from "../measuring/bench-database.ts";
import { type BenchRow, type PackedSubmission, packRows } from "../measuring/packed-rows.ts";
import { idNumber, layoutFor, narrowRow, type RowShape, wideRow } from "../measuring/row-shapes.ts";
import { benchFolder } from "../measuring/servers.ts";
import { amount, number, words } from "../options.ts";
import { type Measure, measures, Tally, timesOf } from "../report/figures.ts";

const cases = ["distinct", "hot", "stale", "wide"] as const;
type Case = (typeof cases)[number];

const HOT_IDS = 10_000;
/** Rows of a statement that the server makes itself. */
const STATEMENTS = [1_000, 5_000] as const;
/** Rows of a submission: about what a worker thread hands over at once under a backlog. */
const SUBMISSION_ROWS = 1_000;
/** Rows that may be with the writer at once: the daemon's default `workers.maxQueuedMessages` bounds them so. */
const OUTSTANDING_ROWS = 100_000;
/** A wide row costs about as much as so many narrow ones. */
const WIDE_COSTS = 5;
const PARTITIONS = 4;
/** Of each kind so many are told. */
const FINDINGS = 3;
const TABLE = "writer_rows";

const clientMicros: Measure = { label: "CPU µs/row", unit: "µs", digits: 2 };
const serverMicros: Measure = { label: "database CPU µs/row", unit: "µs", digits: 2 };
const perServer = timesOf("server's own rows");

interface Options {
	readonly rows: number;
	readonly ids: number;
	readonly connections: number;
	readonly cases: readonly Case[];
}

export const writerBench = defineBench({
	name: "writer",
	question: "rows → batch writer → table, compared with rows that the server generates itself",
	options: {
		rows: amount("--rows <count>", "rows of a case", 500_000),
		ids: number("--ids <count>", "different ids", 100_000),
		connections: number("--connections <count>", "connections, also for the server's own rows", 2),
		cases: words("--cases <names>", "what is written", cases),
	},
	async run(options, setting) {
		await using folder = await benchFolder();
		await using db = await BenchDatabase.start(folder.path, setting.databaseUrl);
		const tally = new Tally();
		const findings: string[] = [];
		await measureRound(db, { ...options, rows: Math.ceil(options.rows / 10) }, new Tally(), []);
		for (let round = 1; round <= setting.repeats; round++) {
			setting.say(`round ${round} of ${setting.repeats}`);
			await measureRound(db, options, tally, findings);
		}
		const notes = [
			`The server's own rows: insert … select … from generate_series(…), ${STATEMENTS.join(" and ")} a statement; the ratio is to the better of the two in the same round.`,
			"hot: Zipf over 10,000 ids; rows handed in a second, most of which coalesce. stale: the rows of a run before, once more.",
		];
		return { broker: null, database: db.version, figures: tally.figures(), courses: [], notes, findings };
	},
});

async function measureRound(db: BenchDatabase, options: Options, tally: Tally, findings: string[]): Promise<void> {
	const narrow = await serversBest(db, options, narrowRow, "server's own rows", tally);
	const chosen = (name: Case) => options.cases.includes(name);
	const runCase = async (subject: string, written: WrittenCase, limit: number) => {
		const run = await writeCase(db, options, written);
		noteRun(tally, subject, run, limit);
		findings.push(...run.findings);
	};
	const distinct = { shape: narrowRow, rows: options.rows, idOf: (i: number) => idNumber(i, options.ids) };
	if (chosen("distinct")) await runCase("distinct ids", distinct, narrow);
	if (chosen("stale")) {
		if (!chosen("distinct")) findings.push(...(await writeCase(db, options, distinct)).findings);
		await runCase("all stale", { ...distinct, again: true }, narrow);
	}
	if (chosen("hot")) {
		const next = zipfNumbers(HOT_IDS, 1, seededRandom(1));
		const ids = Int32Array.from({ length: options.rows }, next);
		await runCase("hot ids", { shape: narrowRow, rows: options.rows, idOf: (i) => ids[i] as number }, narrow);
	}
	if (chosen("wide")) {
		const fewer = { ...options, rows: Math.ceil(options.rows / WIDE_COSTS) };
		const wide = await serversBest(db, fewer, wideRow, "server's own wide rows", tally);
		await runCase("wide rows", { ...distinct, shape: wideRow, rows: fewer.rows }, wide);
	}
}

/** What is written: `rows` rows, row `i` of id `idOf(i)`; `again`: into the table of the case before. */
interface WrittenCase {
	readonly shape: RowShape;
	readonly rows: number;
	readonly idOf: (i: number) => number;
	readonly again?: boolean;
}

/** Rows a second of the server alone, the better of the two statement sizes. */
async function serversBest(
	db: BenchDatabase,
	{ rows: count, ids, connections }: Options,
	shape: RowShape,
	subject: string,
	tally: Tally,
): Promise<number> {
	let best = 0;
	for (const rows of STATEMENTS) {
		const { rowsPerSecond, databaseMicros } = await serverUpserts(db, { count, ids, rows, connections, shape });
		tally.note(`${subject}, ${rows.toLocaleString("en")}`, measures.rowsPerSecond, rowsPerSecond);
		tally.note(`${subject}, ${rows.toLocaleString("en")}`, serverMicros, databaseMicros);
		best = Math.max(best, rowsPerSecond);
	}
	return best;
}

interface WriterRun {
	readonly rowsPerSecond: number;
	readonly clientMicros: number;
	readonly databaseMicros: number | null;
	readonly findings: readonly string[];
}

function noteRun(tally: Tally, subject: string, run: WriterRun, limit: number): void {
	tally.note(subject, measures.rowsPerSecond, run.rowsPerSecond);
	tally.note(subject, clientMicros, run.clientMicros);
	tally.note(subject, serverMicros, run.databaseMicros);
	tally.note(subject, perServer, run.rowsPerSecond / limit);
}

/** Writes the rows, and compares the table with what they must come to. */
async function writeCase(db: BenchDatabase, { connections, ids }: Options, written: WrittenCase): Promise<WriterRun> {
	const { shape, rows, again = false } = written;
	const layout = layoutFor(TABLE, shape);
	if (!again) await db.database.query(`drop table if exists ${TABLE}`);
	await createTables(db.database, [layout]);
	await db.settle();
	const submissions = submissionsOf(layout, written, connections);
	const pool = connectDatabase({ url: db.url, connections, clock: systemClock });
	const writer = await builtWriter({ layouts: [layout], database: pool, connections });
	try {
		await pool.query("select 1");
		const databaseBefore = await db.cpuSeconds();
		const before = process.cpuUsage();
		const startedAt = performance.now();
		// Fewer than there are ids, or distinct ids would meet themselves in the queue and coalesce.
		await writeAll(writer, submissions, Math.min(OUTSTANDING_ROWS, ids));
		const seconds = (performance.now() - startedAt) / 1000;
		const { user, system } = process.cpuUsage(before);
		const databaseAfter = await db.cpuSeconds();
		const refusals = submissions.flatMap((submission) => submission.refusals.map((refusal) => `writer: ${refusal}`));
		return {
			rowsPerSecond: rows / seconds,
			clientMicros: (user + system) / rows,
			databaseMicros: databaseBefore === null || databaseAfter === null ? null : ((databaseAfter - databaseBefore) * 1e6) / rows,
			findings: [...refusals.slice(0, FINDINGS), ...(await tableFindings(db, written))],
		};
	} finally {
		await writer.dispose();
		await pool.close();
	}
}

function submissionsOf(layout: TableLayout, { shape, rows, idOf }: WrittenCase, lanes: number): PackedSubmission[] {
	const rowAt = (i: number): BenchRow => ({ id: `id-${idOf(i)}`, values: shape.values(i) });
	return Array.from({ length: Math.ceil(rows / SUBMISSION_ROWS) }, (_, index) => {
		const first = index * SUBMISSION_ROWS;
		return packRows(layout, { first, count: Math.min(SUBMISSION_ROWS, rows - first), partition: index % PARTITIONS, lanes }, rowAt);
	});
}

/** Hands rows over as long as not too many are outstanding. */
async function writeAll(
	writer: { write(submission: PackedSubmission): void },
	submissions: readonly PackedSubmission[],
	outstanding: number,
): Promise<void> {
	const ahead = Math.max(1, Math.floor(outstanding / SUBMISSION_ROWS) - 1);
	for (const [index, submission] of submissions.entries()) {
		await submissions[index - ahead]?.done;
		writer.write(submission);
	}
	await Promise.all(submissions.map(({ done }) => done));
}

/** The offset is part of the version and newest last: of each id the last row must be there. */
async function tableFindings(db: BenchDatabase, { rows, idOf }: WrittenCase): Promise<string[]> {
	const last = new Map<string, number>();
	for (let i = 0; i < rows; i++) last.set(`id-${idOf(i)}`, i);
	const stored = await db.database.query(`select id, kafka_offset::text as "offset" from ${TABLE}`);
	const wrong = stored.filter(({ id, offset }) => last.get(id as string) !== Number(offset));
	const findings = wrong
		.slice(0, FINDINGS)
		.map(({ id, offset }) => `writer: ${id} is of offset ${offset}, must be of ${last.get(id as string)}`);
	if (stored.length !== last.size) findings.push(`writer: ${stored.length} rows in the table, must be ${last.size}`);
	return findings;
}
