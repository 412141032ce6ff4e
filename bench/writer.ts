/**
 * Question: how close does the batch writer alone come to what the server reaches with rows of its own making, at what CPU per row?
 * No Kafka and no threads: rows as a worker thread hands them over, through the daemon's BatchWriter into a table. Distinct ids, hot ids
 * (Zipf: most coalesce), rows that are all stale already, and wide rows. Client CPU is that of this process while it writes.
 */
import { systemClock } from "../src/core/clock.ts";
import { seededRandom } from "../src/core/random.ts";
import { connectDatabase } from "../src/sink/database.ts";
import { lanesFor } from "../src/sink/lanes-in-use.ts";
import { createTables } from "../src/sink/schema.ts";
import { submissionOf, type TestRow, type TrackedSubmission } from "../test/support/row-submissions.ts";
import { zipfNumbers } from "../test/support/zipf.ts";
import { defineBench } from "./bench.ts";
import { BenchDatabase } from "./bench-database.ts";
import { builtWriter } from "./built-writer.ts";
import { type Measure, measures, Tally, timesOf } from "./figures.ts";
import { amount, number, words } from "./options.ts";
import { idNumber, layoutFor, narrowRow, type RowShape, wideRow } from "./row-shapes.ts";
import { idOf, serverUpserts } from "./server-upserts.ts";
import { benchFolder } from "./servers.ts";

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
	question: "rows → batch writer → table, against rows that the server makes itself",
	options: {
		rows: amount("--rows <count>", "rows of a case", 500_000),
		ids: number("--ids <count>", "different ids", 100_000),
		connections: number("--connections <count>", "connections, the server's own rows included", 2),
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
	if (chosen("distinct") || chosen("stale")) {
		const rows = distinctRows(narrowRow, options);
		const first = await writeCase(db, options, narrowRow, rows, false);
		if (chosen("distinct")) noteRun(tally, "distinct ids", first, narrow);
		findings.push(...first.findings);
		if (chosen("stale")) {
			const again = await writeCase(db, options, narrowRow, rows, true);
			noteRun(tally, "all stale", again, narrow);
			findings.push(...again.findings);
		}
	}
	if (chosen("hot")) {
		const run = await writeCase(db, options, narrowRow, hotRows(options), false);
		noteRun(tally, "hot ids", run, narrow);
		findings.push(...run.findings);
	}
	if (chosen("wide")) {
		const fewer = { ...options, rows: Math.ceil(options.rows / WIDE_COSTS) };
		const wide = await serversBest(db, fewer, wideRow, "server's own wide rows", tally);
		const run = await writeCase(db, fewer, wideRow, distinctRows(wideRow, fewer), false);
		noteRun(tally, "wide rows", run, wide);
		findings.push(...run.findings);
	}
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

/** Writes the rows into a fresh table (`again`: into that of the case before), and compares the table with what they must come to. */
async function writeCase(
	db: BenchDatabase,
	{ connections, ids }: Options,
	shape: RowShape,
	rows: readonly TestRow[],
	again: boolean,
): Promise<WriterRun> {
	const layout = layoutFor(TABLE, shape);
	if (!again) await db.database.query(`drop table if exists ${TABLE}`);
	await createTables(db.database, [layout]);
	await db.settle();
	const submissions: TrackedSubmission[] = [];
	for (let from = 0; from < rows.length; from += SUBMISSION_ROWS) {
		submissions.push(submissionOf(layout, rows.slice(from, from + SUBMISSION_ROWS), lanesFor(connections)));
	}
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
		const refused = submissions.flatMap(({ refusedOffsets }) => [...refusedOffsets.values()]);
		const findings = refused.slice(0, 3).map(({ rowId, message }) => `writer: row ${rowId} was refused: ${message}`);
		return {
			rowsPerSecond: rows.length / seconds,
			clientMicros: (user + system) / rows.length,
			databaseMicros: databaseBefore === null || databaseAfter === null ? null : ((databaseAfter - databaseBefore) * 1e6) / rows.length,
			findings: [...findings, ...(await tableFindings(db, rows))],
		};
	} finally {
		await writer.dispose();
		await pool.close();
	}
}

/** Hands rows over as long as not too many are outstanding. */
async function writeAll(
	writer: { write(submission: TrackedSubmission): void },
	submissions: readonly TrackedSubmission[],
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
async function tableFindings(db: BenchDatabase, rows: readonly TestRow[]): Promise<string[]> {
	const last = new Map(rows.map(({ id, offset }) => [id, offset]));
	const stored = await db.database.query(`select id, kafka_offset::text as "offset" from ${TABLE}`);
	const wrong = stored.filter(({ id, offset }) => last.get(id as string) !== Number(offset));
	const findings = wrong.slice(0, 3).map(({ id, offset }) => `writer: ${id} is of offset ${offset}, must be of ${last.get(id as string)}`);
	if (stored.length !== last.size) findings.push(`writer: ${stored.length} rows in the table, must be ${last.size}`);
	return findings;
}

function distinctRows(shape: RowShape, { rows, ids }: Options): TestRow[] {
	return Array.from({ length: rows }, (_, i) => rowOf(shape, i, idOf(i, ids), idNumber(i, ids)));
}

function hotRows({ rows }: Options): TestRow[] {
	const next = zipfNumbers(HOT_IDS, 1, seededRandom(1));
	return Array.from({ length: rows }, (_, i) => {
		const id = next();
		return rowOf(narrowRow, i, `id-${id}`, id);
	});
}

function rowOf(shape: RowShape, i: number, id: string, idNumber: number): TestRow {
	return { id, offset: i, partition: idNumber % PARTITIONS, values: shape.values(i) };
}
