import { describe, expect, it } from "vitest";
import { seededRandom } from "../../../../src/core/random.ts";
import { LanesInUse, lanesFor } from "../../../../src/sink/writer/tuning/lanes-in-use.ts";
import { StatementCost } from "../../../../src/sink/writer/tuning/statement-cost.ts";
import { StatementSize } from "../../../../src/sink/writer/tuning/statement-size.ts";

const CONNECTIONS = 2;
const limits = { minRows: 100, maxRows: 5_000, answerMs: 250 };
const SECONDS = 50;
/** What is measured is what comes of it when it has settled. */
const SETTLED_MS = 20_000;

/** Rows that come, and what a statement takes: so much, and so much for each row, give or take a third. */
interface Load {
	readonly rowsPerMs: number;
	readonly baseMs: number;
	readonly rowMs: number;
	/** Rows that wait at the start. */
	readonly backlog?: number;
}

interface Course {
	/** Longest wait of a statement's oldest row until it was answered, 99th percentile, ms. */
	readonly p99Ms: number;
	readonly waiting: number;
	readonly lanes: number;
	readonly changesPerSecond: number;
	readonly rowsPerStatement: number;
}

/** Rows by when they came, oldest first. */
class Queue {
	/** How many wait. */
	rows = 0;
	readonly #came: { readonly at: number; rows: number }[] = [];
	#first = 0;

	/** When the oldest came. */
	get since(): number {
		return (this.#came[this.#first] as { at: number }).at;
	}

	push(at: number, rows: number): void {
		this.#came.push({ at, rows });
		this.rows += rows;
	}

	/** The oldest, at most so many; how many they are. */
	take(most: number): number {
		const taken = Math.min(most, this.rows);
		this.rows -= taken;
		for (let left = taken; left > 0; ) {
			const oldest = this.#came[this.#first] as { rows: number };
			const part = Math.min(left, oldest.rows);
			oldest.rows -= part;
			left -= part;
			if (oldest.rows === 0) this.#first++;
		}
		return taken;
	}
}

function adaptive(): LanesInUse {
	return new LanesInUse(lanesFor(CONNECTIONS), limits);
}

/** A table's lanes on two connections, fed at a steady rate, in the manner of the batch writer. */
function course({ rowsPerMs, baseMs, rowMs, backlog = 0 }: Load, inUse: Pick<LanesInUse, "count" | "answered"> = adaptive()): Course {
	const random = seededRandom(1);
	const lanes = Array.from({ length: lanesFor(CONNECTIONS) }, () => ({ queue: new Queue(), writing: false }));
	const sizes = lanes.map(() => new StatementSize(limits));
	const running: { lane: number; rows: number; since: number; durationMs: number; ends: number }[] = [];
	const asking: Omit<(typeof running)[number], "ends">[] = [];
	const waits: number[] = [];
	const sizesSeen: number[] = [];
	let changes = 0;
	let owed = backlog;
	const waiting = (lane: number) => lanes[lane]?.queue.rows ?? 0;
	const cut = (index: number) => {
		const lane = lanes[index] as (typeof lanes)[number];
		if (lane.writing || lane.queue.rows === 0) return;
		const since = lane.queue.since;
		const rows = lane.queue.take((sizes[index] as StatementSize).rows);
		lane.writing = true;
		asking.push({ lane: index, rows, since, durationMs: (baseMs + rowMs * rows) * (2 / 3 + (2 / 3) * random()) });
	};
	for (let now = 0; now < SECONDS * 1_000; now++) {
		for (const done of running.filter(({ ends }) => ends <= now)) {
			running.splice(running.indexOf(done), 1);
			const lane = lanes[done.lane] as (typeof lanes)[number];
			lane.writing = false;
			const size = sizes[done.lane] as StatementSize;
			size.succeeded(done.rows, done.durationMs);
			const before = inUse.count;
			inUse.answered({ rows: done.rows, durationMs: done.durationMs, isBehind: waiting(done.lane) > size.rows }, now);
			if (now < SETTLED_MS) continue;
			waits.push(now - done.since);
			sizesSeen.push(done.rows);
			if (inUse.count !== before) changes++;
		}
		owed += rowsPerMs;
		// Rows are parted by id for all lanes, and those that are not in use are another's.
		const each = Math.floor(owed / lanes.length);
		owed -= each * lanes.length;
		if (each > 0) for (let part = 0; part < lanes.length; part++) lanes[part % inUse.count]?.queue.push(now, each);
		for (let index = 0; index < lanes.length; index++) cut(index);
		while (running.length < CONNECTIONS && asking.length > 0) {
			const next = asking.shift() as (typeof asking)[number];
			running.push({ ...next, ends: now + next.durationMs });
		}
	}
	waits.sort((left, right) => left - right);
	return {
		p99Ms: waits[Math.floor(0.99 * waits.length)] as number,
		waiting: lanes.reduce((sum, _, lane) => sum + waiting(lane), 0),
		lanes: inUse.count,
		changesPerSecond: changes / (SECONDS - SETTLED_MS / 1_000),
		rowsPerStatement: sizesSeen.reduce((sum, rows) => sum + rows, 0) / sizesSeen.length,
	};
}

describe("the lanes in use", () => {
	it.each<[what: string, load: Load]>([
		["10,000 rows/s on a quick database", { rowsPerMs: 10, baseMs: 3, rowMs: 0.01 }],
		["30,000 rows/s where any statement takes long", { rowsPerMs: 30, baseMs: 15, rowMs: 0.01 }],
		["80,000 rows/s, nearly as much as two connections take", { rowsPerMs: 80, baseMs: 5, rowMs: 0.02 }],
		["120,000 rows/s, cheap", { rowsPerMs: 120, baseMs: 2, rowMs: 0.01 }],
		["7,000 rows/s, dear", { rowsPerMs: 7, baseMs: 5, rowMs: 0.2 }],
		["900 rows/s, very dear", { rowsPerMs: 0.9, baseMs: 10, rowMs: 1 }],
		["900 rows/s, very dear and far away", { rowsPerMs: 0.9, baseMs: 50, rowMs: 1 }],
		["2,500 rows/s where any statement takes nearly as long as it may", { rowsPerMs: 2.5, baseMs: 200, rowMs: 0.1 }],
		["100 rows/s", { rowsPerMs: 0.1, baseMs: 5, rowMs: 0.1 }],
	])("%s: keep up, with or without a backlog before, in about the time of the best fixed number, and stay", (_, load) => {
		const bestMs = Math.min(...[1, 2, 4].map((count) => course(load, { count, answered: () => {} }).p99Ms));
		for (const backlog of [0, 500 * load.rowsPerMs]) {
			const seen = course({ ...load, backlog });
			const what = JSON.stringify({ backlog, bestMs, ...seen });
			expect.soft(seen.p99Ms, what).toBeLessThan(1.7 * bestMs);
			expect.soft(seen.changesPerSecond, what).toBeLessThan(0.3);
			expect.soft(seen.waiting, what).toBeLessThan(1_000 * load.rowsPerMs);
		}
	});

	it("are one where any statement takes long and few rows come: two would be half as large", () => {
		expect(course({ rowsPerMs: 30, baseMs: 15, rowMs: 0.01, backlog: 20_000 })).toMatchObject({ lanes: 1 });
		expect(course({ rowsPerMs: 0.1, baseMs: 5, rowMs: 0.1 })).toMatchObject({ lanes: 1 });
	});

	it("are no more than connections where none is behind any more", () => {
		expect(course({ rowsPerMs: 72, baseMs: 5, rowMs: 0.02, backlog: 40_000 }).lanes).toBeLessThanOrEqual(CONNECTIONS);
	});

	it("part ids evenly", () => {
		const counts = new Set<number>();
		const inUse = new LanesInUse(6, limits);
		for (let now = 0; now < 1_000; now += 100) {
			inUse.answered({ rows: 5_000, durationMs: 100, isBehind: true }, now);
			counts.add(inUse.count);
		}
		expect([...counts]).toEqual([2, 3, 6]);
	});

	it("are as many as there are where more comes than the database takes", () => {
		expect(course({ rowsPerMs: 200, baseMs: 5, rowMs: 0.02 })).toMatchObject({ lanes: 4, rowsPerStatement: 5_000 });
	});
});

describe("a statement's cost", () => {
	it("is told apart where statements have different numbers of rows", () => {
		const cost = new StatementCost();
		for (let i = 0; i < 100; i++) cost.answered(100 + 10 * (i % 10), 7 + 0.1 * (100 + 10 * (i % 10)));
		expect(cost.get().baseMs).toBeCloseTo(7, 6);
		expect(cost.get().rowMs).toBeCloseTo(0.1, 6);
	});

	it("is all the rows' where they are always as many, and never below nothing", () => {
		const [same, falling, steep] = [new StatementCost(), new StatementCost(), new StatementCost()];
		for (let i = 0; i < 10; i++) {
			same.answered(50, 10);
			falling.answered(10 * (1 + (i % 2)), 10 - 5 * (i % 2));
			steep.answered(10 * (1 + (i % 2)), 1 + 99 * (i % 2));
		}
		expect(same.get().rowMs).toBeCloseTo(0.2, 6);
		expect(falling.get().rowMs).toBe(0);
		expect(steep.get().baseMs).toBe(0);
	});

	it("follows the database when that becomes slower", () => {
		const cost = new StatementCost();
		for (let i = 0; i < 500; i++) cost.answered(100 + (i % 50), (i < 200 ? 1 : 20) + 0.1 * (100 + (i % 50)));
		expect(cost.get().baseMs).toBeGreaterThan(15);
	});
});
