/**
 * What the sink depends on in a database: the writer's own statement with the counts it gives, its guard against who writes at the same
 * time, what is refused whole, rules between rows, offsets fenced by their epoch, notes and dead letters. Postgres and the simulated
 * server pass the same assertions.
 */
import { describe, expect, it } from "vitest";
import { partitionName, type TopicPartition } from "../../src/core/messages/message.ts";
import { deletedLog, type Witness } from "../../src/core/offsets/log-identity.ts";
import type { PositionNote, StoredNote } from "../../src/core/offsets/position-note.ts";
import type { TableLayout } from "../../src/core/rows/rows.ts";
import type { Database } from "../../src/sink/database/database.ts";
import { NoteFence } from "../../src/sink/offsets/note-fence.ts";
import { OffsetTable } from "../../src/sink/offsets/offset-table.ts";
import { StartTable } from "../../src/sink/offsets/start-table.ts";
import { readFirstUpsert, type UpsertCounts, writeFirstUpsert } from "../../src/sink/writer/sql/cas-upsert.ts";
import { rowParameters, type UpsertRow } from "../../src/sink/writer/sql/row-parameters.ts";
import { runUpsert } from "../../src/sink/writer/sql/run-upsert.ts";
import { columnOf, layoutOf } from "../support/fakes/row-submissions.ts";
import { deadLettersContract } from "./dead-letters.contract.ts";

/** A server with the layout's table, whose column `n` may not be `bad` (a check constraint), for one test. */
export interface DatabaseScene extends AsyncDisposable {
	readonly database: Database;
	/** The rows by id. */
	rows(): Promise<Map<string, { readonly n: string | null; readonly offset: number; readonly deleted: boolean }>>;
	/** Sets a stored offset behind everybody's back, its epoch as it was; null takes the row away. */
	putBack(partition: TopicPartition, offset: number | null): Promise<void>;
	/** Lets time pass until the promise is settled. */
	settled<T>(promise: Promise<T>): Promise<T>;
	/** Runs `first` so that it reads before `second` has written, and writes after it. */
	overtaken<T, U>(first: (database: Database) => Promise<T>, second: (database: Database) => Promise<U>): Promise<[T, U]>;
}

/** What a statement comes to where nothing else is said. */
const nothing = { inserted: 0, updated: 0, deleted: 0, suppressed: 0 };
const none = { replay: 0, older: 0, other_partition: 0 };
const zero = { topic: "orders", partition: 0 };
const one = { topic: "orders", partition: 1 };

/** A row; its timestamp goes with its offset unless it is given. */
function row(id: string, offset: number, n: string | null, over: Partial<UpsertRow> = {}): UpsertRow {
	return { id, offset, isDelete: false, timestamp: 1_000 + offset, partition: 0, topic: "orders", values: [n], ...over };
}

function tombstone(id: string, offset: number, over: Partial<UpsertRow> = {}): UpsertRow {
	return row(id, offset, null, { isDelete: true, ...over });
}

/** Runs the suite; `open` makes a server per test. */
export function databaseContract(name: string, open: (layout: TableLayout) => Promise<DatabaseScene>): void {
	describe(`the database: ${name}`, () => {
		describe.each([
			["timestamp", "reads"],
			["timestamp", "writes"],
			["offset", "reads"],
			["offset", "writes"],
		] as const)("the writer's statement, version %s, that %s first", (kind, first) => {
			const layout = layoutOf({ columns: [columnOf("n", "text")], version: { kind } });
			/** As the writer does: with the column that says what is a delete only where one is. */
			const upsertOn = async (database: Database, rows: readonly UpsertRow[]): Promise<UpsertCounts> => {
				const of = { ...layout, withoutDeletes: !rows.some(({ isDelete }) => isDelete) };
				const parameters = rowParameters(of, rows);
				if (first === "reads") return await runUpsert(database, of, readFirstUpsert(of), parameters);
				return await runUpsert(database, of, writeFirstUpsert(of), parameters, String(rows.length));
			};
			const openScene = async () => {
				const scene = await open(layout);
				const upsert = (...rows: UpsertRow[]) => scene.settled(upsertOn(scene.database, rows));
				const refusal = (...rows: UpsertRow[]) =>
					upsert(...rows).then(
						() => "taken",
						(error) => error.code,
					);
				return { ...scene, upsert, refusal, [Symbol.asyncDispose]: () => scene[Symbol.asyncDispose]() };
			};

			it("counts what is new, what is newer, and what is deleted", async () => {
				await using scene = await openScene();
				expect(await scene.upsert(row("a", 1, "1"), row("b", 2, "2"))).toEqual({ ...nothing, inserted: 2, stale: none });
				const counts = await scene.upsert(row("a", 3, "3"), tombstone("b", 4), row("c", 5, null), tombstone("d", 6));
				expect(counts).toEqual({ ...nothing, inserted: 1, updated: 1, deleted: 2, stale: none });
				expect(await scene.rows()).toEqual(
					new Map([
						["a", { n: "3", offset: 3, deleted: false }],
						["b", { n: null, offset: 4, deleted: true }],
						["c", { n: null, offset: 5, deleted: false }],
						["d", { n: null, offset: 6, deleted: true }],
					]),
				);
			});

			it("leaves out what is not newer, by cause", async () => {
				await using scene = await openScene();
				await scene.upsert(row("a", 5, "5"), row("b", 5, "5"), row("c", 5, "5", { partition: 1 }));
				expect(await scene.upsert(row("a", 5, "again"))).toMatchObject({ updated: 0, stale: { ...none, replay: 1 } });
				expect(await scene.upsert(row("b", 4, "before"))).toMatchObject({ updated: 0, stale: { ...none, replay: 1 } });
				expect(await scene.upsert(row("c", 4, "elsewhere"))).toMatchObject({ updated: 0, stale: { ...none, other_partition: 1 } });
				const mixed = await scene.upsert(row("a", 4, "old"), row("b", 6, "6"), row("c", 1, "old"), row("d", 1, "1"));
				expect(mixed).toEqual({ ...nothing, inserted: 1, updated: 1, stale: { replay: 1, older: 0, other_partition: 1 } });
				expect([...(await scene.rows())].map(([id, { n }]) => `${id} ${n}`).sort()).toEqual(["a 5", "b 6", "c 5", "d 1"]);
			});

			it("compares by its version first, and by the partition last", async () => {
				await using scene = await openScene();
				await scene.upsert(row("a", 5, "5", { timestamp: 100 }));
				const behind = await scene.upsert(row("a", 6, "a clock that went back", { timestamp: 99 }));
				expect(behind.stale.older).toBe(kind === "timestamp" ? 1 : 0);
				expect(behind.updated).toBe(kind === "timestamp" ? 0 : 1);
				await scene.upsert(row("b", 5, "0", { timestamp: 100 }));
				expect(await scene.upsert(row("b", 5, "1", { timestamp: 100, partition: 1 }))).toMatchObject({ updated: 1, stale: none });
				expect(await scene.upsert(row("b", 5, "0", { timestamp: 100 }))).toMatchObject({ updated: 0, stale: { other_partition: 1 } });
			});

			it("keeps a deleted row against older ones, and lets a newer one bring it back", async () => {
				await using scene = await openScene();
				await scene.upsert(tombstone("a", 5));
				expect(await scene.upsert(row("a", 4, "4"))).toMatchObject({ inserted: 0, updated: 0, stale: { replay: 1 } });
				expect((await scene.rows()).get("a")).toEqual({ n: null, offset: 5, deleted: true });
				expect(await scene.upsert(row("a", 6, "6"))).toMatchObject({ inserted: 0, updated: 1, deleted: 0 });
				expect(await scene.upsert(tombstone("a", 5))).toMatchObject({ deleted: 0, stale: { replay: 1 } });
				expect((await scene.rows()).get("a")).toEqual({ n: "6", offset: 6, deleted: false });
			});

			it("tells null, an empty text and the separators' own characters apart", async () => {
				await using scene = await openScene();
				await scene.upsert(row("", 1, ""));
				await scene.upsert(row("a", 1, null), row("b", 2, "\x1d"), row("c", 3, "1\x1e2"));
				const found = [...(await scene.rows())].map(([id, { n }]) => [id, n]).sort();
				expect(found).toEqual([
					["", ""],
					["a", null],
					["b", "\x1d"],
					["c", "1\x1e2"],
				]);
			});

			it("lets nobody who read before overwrite what was written since", async () => {
				await using scene = await openScene();
				await scene.upsert(row("a", 1, "1"));
				const [late, newer] = await scene.overtaken(
					(database) => upsertOn(database, [row("a", 2, "2"), row("b", 2, "2")]),
					(database) => upsertOn(database, [row("a", 3, "3")]),
				);
				expect(newer).toMatchObject({ updated: 1, stale: none });
				// When it read it was not stale: it looks again.
				expect(late).toEqual({ ...nothing, inserted: 1, stale: { ...none, replay: 1 } });
				expect((await scene.rows()).get("a")).toEqual({ n: "3", offset: 3, deleted: false });
				const [newest] = await scene.overtaken(
					(database) => upsertOn(database, [tombstone("a", 9)]),
					(database) => upsertOn(database, [row("a", 8, "8")]),
				);
				expect(newest).toMatchObject({ deleted: 1, stale: none });
				expect((await scene.rows()).get("a")).toEqual({ n: null, offset: 9, deleted: true });
			});

			it("refuses an id twice with 21000, and has no effect; of rows that are left out it doesn't know", async () => {
				await using scene = await openScene();
				expect(await scene.refusal(row("a", 1, "1"), row("b", 2, "2"), row("b", 3, "3"))).toBe("21000");
				expect(await scene.rows()).toEqual(new Map());
				await scene.upsert(row("b", 5, "5"));
				expect(await scene.upsert(row("b", 2, "2"), row("b", 3, "3"))).toMatchObject({ stale: { ...none, replay: 2 } });
				expect(await scene.upsert(row("b", 4, "4"), row("b", 6, "6"))).toMatchObject({ updated: 1, stale: { ...none, replay: 1 } });
			});

			it("refuses all for one row that breaks a rule, and has no effect; one that is left out before breaks none", async () => {
				await using scene = await openScene();
				await scene.upsert(row("a", 5, "5"));
				expect(await scene.refusal(row("a", 6, "6"), row("b", 7, "bad"))).toBe("23514");
				expect(await scene.rows()).toEqual(new Map([["a", { n: "5", offset: 5, deleted: false }]]));
				if (first === "reads") expect(await scene.upsert(row("a", 4, "bad"))).toMatchObject({ updated: 0, stale: { replay: 1 } });
				else expect(await scene.refusal(row("a", 4, "bad"))).toBe("23514");
				expect(await scene.upsert(row("a", 6, "6"))).toMatchObject({ updated: 1 });
			});
		});

		describe("a transaction", () => {
			const layout = layoutOf({ columns: [columnOf("n", "text")] });
			const upsert = (...rows: UpsertRow[]) => ({ text: readFirstUpsert(layout), parameters: rowParameters(layout, rows) });

			it("answers each statement in its turn, which sees what those before it wrote", async () => {
				await using scene = await open(layout);
				const answers = await scene.settled(
					scene.database.transaction([upsert(row("a", 1, "1"), row("b", 1, "1")), upsert(row("a", 2, "2")), upsert(row("b", 0, "0"))]),
				);
				expect(answers.map(([answer]) => [answer?.written, answer?.replay])).toEqual([
					[2, 0],
					[1, 0],
					[0, 1],
				]);
				expect((await scene.rows()).get("a")).toEqual({ n: "2", offset: 2, deleted: false });
			});

			it("leaves nothing behind where one of its statements is refused, and says which", async () => {
				await using scene = await open(layout);
				const refused = scene.settled(scene.database.transaction([upsert(row("a", 1, "1")), upsert(row("b", 2, "bad"))]));
				await expect(refused).rejects.toMatchObject({ code: "23514", statement: 1 });
				expect(await scene.rows()).toEqual(new Map());
			});
		});

		const openTable = async () => {
			const scene = await open(layoutOf({ columns: [columnOf("n", "text")] }));
			const member = (on: (database: Database) => Database = (database) => database) => {
				const table = new OffsetTable({ database: on(scene.database), table: "pockaffe_offsets", consumerGroup: "g" });
				const entries = (offsets: readonly [at: typeof zero, offset: number][]) => offsets.map(([at, offset]) => ({ ...at, offset }));
				return {
					prepare: () => scene.settled(table.prepare()),
					stored: async (...at: (typeof zero)[]) => (await scene.settled(table.stored(at))).map(({ offset }) => offset),
					claim: async (...at: (typeof zero)[]) => (await scene.settled(table.claim(at))).map(({ offset }) => offset),
					begin: async (at: typeof zero, offset: number) => (await scene.settled(table.begin([{ ...at, offset }])))[0]?.offset,
					/** The partitions that could not be stored. */
					store: async (...offsets: [at: typeof zero, offset: number][]) =>
						(await scene.settled(table.store(entries(offsets)))).map(({ topic, partition }) => ({ topic, partition })),
					/** The same, while nobody lets time pass. */
					storing: (...offsets: [at: typeof zero, offset: number][]) => table.store(entries(offsets)),
					storeWords: (...offsets: [at: typeof zero, offset: number][]) => scene.settled(table.store(entries(offsets))),
					look: (...at: (typeof zero)[]) => scene.settled(table.look(at)),
				};
			};
			await member().prepare();
			const { settled, putBack } = scene;
			/** Puts a row back as it is now. */
			const backUp = async (at: typeof zero) => {
				const where = `where topic = '${at.topic}' and partition = ${at.partition}`;
				const query = (text: string) => settled(scene.database.query(text));
				const [row] = await query(`select next_offset::text as next_offset, updated_at::text as updated_at from pockaffe_offsets ${where}`);
				const set = `set next_offset = ${row?.next_offset}, updated_at = '${row?.updated_at}'`;
				return () => query(`update pockaffe_offsets ${set} ${where}`);
			};
			return { member, settled, putBack, backUp, [Symbol.asyncDispose]: () => scene[Symbol.asyncDispose]() };
		};

		describe("the table of offsets", () => {
			it("has nothing to claim before it was begun, and then what was stored last", async () => {
				await using scene = await openTable();
				const first = scene.member();
				expect(await first.claim(zero, one)).toEqual([null, null]);
				expect(await first.store([zero, 3])).toEqual([zero]);
				expect(await first.begin(zero, 7)).toBe(7);
				expect(await first.store([zero, 9])).toEqual([]);
				const second = scene.member();
				expect(await second.stored(zero, one)).toEqual([9, null]);
				expect(await second.claim(zero, one)).toEqual([9, null]);
			});

			it("takes nothing from who held a partition before it was claimed, and says which", async () => {
				await using scene = await openTable();
				const [zombie, owner] = [scene.member(), scene.member()];
				await zombie.begin(zero, 0);
				await zombie.begin(one, 0);
				expect(await owner.stored(zero)).toEqual([0]);
				expect(await zombie.store([zero, 10])).toEqual([]);
				expect(await owner.claim(zero)).toEqual([10]);
				expect(await owner.store([zero, 50])).toEqual([]);
				expect(await zombie.store([zero, 60], [one, 30])).toEqual([zero]);
				expect(await zombie.store([zero, 70])).toEqual([zero]);
				expect(await owner.stored(zero, one)).toEqual([50, 30]);
			});

			it("begun by two keeps the first offset, and belongs to the later one", async () => {
				await using scene = await openTable();
				const [first, second] = [scene.member(), scene.member()];
				expect([await first.claim(zero), await second.claim(zero)]).toEqual([[null], [null]]);
				expect(await first.begin(zero, 5)).toBe(5);
				expect(await second.begin(zero, 8)).toBe(5);
				expect(await first.store([zero, 6])).toEqual([zero]);
				expect(await second.store([zero, 6])).toEqual([]);
			});

			it("takes what its owner stores, forward and back", async () => {
				await using scene = await openTable();
				const owner = scene.member();
				await owner.begin(zero, 5);
				for (const offset of [9, 2, 3]) {
					expect(await owner.store([zero, offset])).toEqual([]);
					expect(await owner.stored(zero)).toEqual([offset]);
				}
			});

			it("takes a statement whose answer was lost for stored or not, whichever it was, and nothing of one that arrives late", async () => {
				await using scene = await openTable();
				const held: (() => Promise<unknown>)[] = [];
				const lost = { now: false, effect: true };
				const owner = scene.member((database) => ({
					...database,
					query: async (text, parameters) => {
						if (!lost.now || !text.includes("set next_offset")) return database.query(text, parameters);
						if (lost.effect) await database.query(text, parameters);
						else held.push(() => database.query(text, parameters));
						throw Object.assign(new Error("the answer was lost"), { code: "CONNECTION_CLOSED" });
					},
				}));
				await owner.begin(zero, 5);
				for (const [offset, effect] of [
					[10, true],
					[20, false],
					[30, true],
					[30, false],
				] as const) {
					Object.assign(lost, { now: true, effect });
					await expect(owner.store([zero, offset])).rejects.toThrow("the answer was lost");
					expect(await owner.look(zero)).toEqual([]);
				}
				lost.now = false;
				expect(await owner.store([zero, 40])).toEqual([]);
				expect(await owner.look(zero)).toEqual([]);
				for (const late of held) await scene.settled(late());
				expect(await owner.stored(zero)).toEqual([40]);
				expect(await owner.store([zero, 50])).toEqual([]);
			});

			it("learns nothing of a new claim by an answer to the one before that comes late", async () => {
				await using scene = await openTable();
				let answer = () => {};
				let hasEffect = () => {};
				const effect = new Promise<void>((resolve) => {
					hasEffect = resolve;
				});
				const owner = scene.member((database) => ({
					...database,
					query: async (text, parameters) => {
						const rows = await database.query(text, parameters);
						if (parameters?.[1]?.includes('"next_offset":55')) {
							hasEffect();
							await new Promise<void>((resolve) => {
								answer = resolve;
							});
						}
						return rows;
					},
				}));
				await owner.begin(zero, 5);
				const late = owner.storing([zero, 55]);
				await scene.settled(effect);
				expect(await owner.claim(zero)).toEqual([55]);
				expect(await owner.begin(zero, 0)).toBe(0);
				answer();
				expect(await late).toEqual([]);
				expect(await owner.storeWords([zero, 3])).toEqual([]);
			});

			it("tells its owner what is there in place of what it stored, when it stores and when it looks", async () => {
				await using scene = await openTable();
				const owner = scene.member();
				const other = scene.member();
				await owner.begin(zero, 5);
				await owner.begin(one, 5);
				await owner.store([zero, 9]);
				expect(await owner.look(zero, one)).toEqual([]);
				await other.claim(zero);
				await other.store([zero, 12]);
				const taken = { ...zero, kind: "taken_over", expected: 9, found: 12 };
				expect(await owner.look(zero, one)).toEqual([taken]);
				expect(await owner.storeWords([zero, 10], [one, 6])).toEqual([taken]);
				// What nobody else has claimed and is not as it was stored was put back, or set.
				await scene.putBack(one, 3);
				const changed = { ...one, kind: "changed", expected: 6, found: 3 };
				expect(await owner.look(one)).toEqual([changed]);
				expect(await owner.storeWords([one, 7])).toEqual([changed]);
				expect([await owner.stored(one), await owner.claim(one)]).toEqual([[3], [3]]);
				expect(await owner.store([one, 8])).toEqual([]);
				await scene.putBack(one, 100);
				expect(await owner.storeWords([one, 9])).toEqual([{ ...one, kind: "changed", expected: 8, found: 100 }]);
				expect(await owner.claim(one)).toEqual([100]);
				await scene.putBack(one, null);
				const gone = { ...one, kind: "gone", expected: 100, found: null };
				expect(await owner.look(one)).toEqual([gone]);
				expect(await owner.storeWords([one, 101])).toEqual([gone]);
				expect(await owner.claim(one)).toEqual([null]);
			});
		});

		describe("a row that was put back with the very offset that was stored last", () => {
			const changed = { ...zero, kind: "changed", expected: 9, found: 9 };

			it("is told where its owner has stored or looked since", async () => {
				await using scene = await openTable();
				const owner = scene.member();
				await owner.begin(zero, 5);
				await owner.store([zero, 9]);
				const putBack = await scene.backUp(zero);
				expect(await owner.look(zero)).toEqual([]);
				await putBack();
				expect(await owner.look(zero)).toEqual([changed]);
				expect(await owner.storeWords([zero, 12])).toEqual([changed]);
				expect([await owner.stored(zero), await owner.claim(zero)]).toEqual([[9], [9]]);
				expect(await owner.store([zero, 12])).toEqual([]);
				const again = await scene.backUp(zero);
				await owner.store([zero, 12]);
				await again();
				expect(await owner.storeWords([zero, 15])).toEqual([{ ...changed, expected: 12, found: 12 }]);
			});

			it("or by a statement without an answer, is told as soon as a later one was answered", async () => {
				await using scene = await openTable();
				const lost = { now: false };
				const owner = scene.member((database) => ({
					...database,
					query: async (text, parameters) => {
						const rows = await database.query(text, parameters);
						if (!lost.now) return rows;
						throw Object.assign(new Error("the answer was lost"), { code: "CONNECTION_CLOSED" });
					},
				}));
				await owner.begin(zero, 9);
				lost.now = true;
				await expect(owner.storeWords([zero, 20])).rejects.toThrow("the answer was lost");
				lost.now = false;
				const putBack = await scene.backUp(zero);
				expect(await owner.look(zero)).toEqual([]);
				await putBack();
				expect(await owner.storeWords([zero, 25])).toEqual([{ ...changed, found: 20 }]);
			});
		});

		describe("rules between rows", () => {
			const openTables = async () => {
				const scene = await open(layoutOf({ columns: [columnOf("n", "text")] }));
				const query = (text: string, ...parameters: string[]) => scene.settled(scene.database.query(text, parameters));
				const code = (text: string) =>
					query(text).then(
						() => "taken",
						(error) => error.code,
					);
				await query("create table if not exists people (id text primary key, address text unique)");
				await query(
					"create table if not exists letters (id text primary key, of text references people, seen boolean not null default false)",
				);
				return { query, code, [Symbol.asyncDispose]: () => scene[Symbol.asyncDispose]() };
			};
			const ids = (rows: readonly object[]) => rows.map((each) => Object.values(each).join(" "));

			it("a column that may be there once is looked at row by row, in the order of the statement", async () => {
				await using scene = await openTables();
				const upsert = (values: string) =>
					`insert into people as p (id, address) select v.id, v.address from (values ${values}) v (id, address) on conflict (id) do update set address = excluded.address`;
				expect(await scene.code(upsert("('z', 'x')"))).toBe("taken");
				expect(await scene.code(upsert("('a', 'x'), ('z', null)"))).toBe("23505");
				expect(await scene.code(upsert("('z', null), ('a', 'x')"))).toBe("taken");
				expect(ids(await scene.query("select id, address from people order by id"))).toEqual(["a x", "z "]);
			});

			it("a reference is looked at when the statement is through, and has no effect where it leads nowhere", async () => {
				await using scene = await openTables();
				expect(await scene.code("insert into letters (id, of) values ('1', 'nobody')")).toBe("23503");
				const both = `with p as (insert into people (id) values ('a') returning id), l as (insert into letters (id, of) select '1', 'a' returning id)
select count(*)::int4 as count from p, l`;
				expect(ids(await scene.query(both))).toEqual(["1"]);
				expect(await scene.code("delete from people where id = 'a'")).toBe("23503");
				expect(ids(await scene.query("select id, of, seen from letters"))).toEqual(["1 a false"]);
			});

			it("a comparison with NULL is no answer, and no answer is no", async () => {
				await using scene = await openTables();
				const [row] = await scene.query(
					"select (null::int, 1) < (1, 2) as a, (1, null::int) < (2, 1) as b, (1, null::int) = (2, 1) as c, null::int is distinct from 1 as d, coalesce(null < 1, false) as e, not (null::int = 1) as f",
				);
				expect(row).toEqual({ a: null, b: true, c: false, d: true, e: false, f: null });
				await scene.query("insert into people (id, address) values ('a', null), ('b', 'x')");
				expect(ids(await scene.query("select id from people where address <> 'y'"))).toEqual(["b"]);
			});

			it("an order by name means the column of the result", async () => {
				await using scene = await openTables();
				await scene.query("insert into people (id) select x::text from generate_series(9, 11) x");
				expect(ids(await scene.query("select id from people p order by p.id::int"))).toEqual(["9", "10", "11"]);
				expect(ids(await scene.query("select id::int as n, id::text as id from people order by id"))).toEqual(["10 10", "11 11", "9 9"]);
			});
		});

		describe("the notes of positions", () => {
			const noted = (start: number, over: Partial<PositionNote> = {}): PositionNote => ({
				start,
				assumed: false,
				log: { id: "log", witness: null },
				reached: start,
				skipped: [],
				...over,
			});
			const openNotes = async () => {
				const scene = await open(layoutOf({ columns: [columnOf("n", "text")] }));
				const member = () => {
					const starts = new StartTable({ database: scene.database, offsetsTable: "pockaffe_offsets", consumerGroup: "g" });
					const table = new NoteFence(starts);
					const read = async () => (await scene.settled(table.read())).get("orders/0") ?? null;
					const replace = async (replaces: StoredNote | null, note: PositionNote) =>
						(await scene.settled(table.change([{ ...zero, note, replaces }]))).map(partitionName);
					return {
						prepare: () => scene.settled(table.prepare()),
						read,
						note: async () => (await read())?.note ?? null,
						replace,
						change: async (note: PositionNote) => replace(await read(), note),
						reach: async (offset: number, logId: string | null = "log", witness: Witness | null = null) =>
							(await scene.settled(table.reach([{ ...zero, offset, logId, witness }]))).others.map(partitionName),
						displaced: async (offset: number, logId = "log") => (await scene.settled(table.reach([{ ...zero, offset, logId }]))).displaced,
						compare: () => scene.settled(table.compare([zero])),
						forget: () => scene.settled(table.forget([zero])),
					};
				};
				const query = (text: string) => scene.settled(scene.database.query(text));
				return { member, query, [Symbol.asyncDispose]: () => scene[Symbol.asyncDispose]() };
			};

			it("are made with a table of their own, and there is none before", async () => {
				await using scene = await openNotes();
				const member = scene.member();
				expect(await member.note()).toBe(null);
				expect(await member.prepare()).toBe("notes");
				expect(await member.change(noted(12))).toEqual([]);
				expect(await member.note()).toEqual(noted(12));
				const stretch = { from: 3, to: 9, reason: "log_begins_after" as const };
				const whole = noted(3, {
					assumed: true,
					log: { id: null, witness: { offset: 8, timestamp: 1_700 } },
					reached: null,
					skipped: [stretch],
				});
				expect(await member.change(whole)).toEqual([]);
				expect(await member.note()).toEqual(whole);
			});

			it("change only for who read what is there: a member that was frozen meanwhile changes nothing", async () => {
				await using scene = await openNotes();
				const [one, two] = [scene.member(), scene.member()];
				await one.prepare();
				await two.prepare();
				const nothing = await two.read();
				await one.change(noted(5));
				expect(await two.replace(nothing, noted(9))).toEqual(["orders/0"]);
				const before = await two.read();
				await one.reach(7);
				expect(await two.replace(before, noted(9))).toEqual(["orders/0"]);
				expect(await one.note()).toEqual(noted(5, { reached: 7 }));
				expect(await two.replace(await two.read(), noted(9))).toEqual([]);
			});

			it("keep the furthest that was reached in their log, and the last record of it", async () => {
				await using scene = await openNotes();
				const member = scene.member();
				await member.prepare();
				await member.change(noted(5));
				expect(await member.reach(9, "log", { offset: 8, timestamp: 1_700 })).toEqual([]);
				expect(await member.reach(7)).toEqual([]);
				const log = { id: "log", witness: { offset: 8, timestamp: 1_700 } };
				expect(await member.note()).toEqual(noted(5, { reached: 9, log }));
				expect(await member.reach(50, "another")).toEqual(["orders/0"]);
				expect(await member.reach(10, null)).toEqual([]);
				expect(await member.note()).toEqual(noted(5, { reached: 10, log }));
			});

			it("are begun by what was reached where nothing was noted", async () => {
				await using scene = await openNotes();
				const member = scene.member();
				await member.prepare();
				expect(await member.reach(9, null)).toEqual([]);
				expect(await member.note()).toEqual(noted(9, { assumed: true, log: { id: null, witness: null } }));
			});

			it("that say less than was noted last are not raised, and that is told: the database was put back", async () => {
				await using scene = await openNotes();
				const [member, hand] = [scene.member(), scene.member()];
				await member.prepare();
				await hand.prepare();
				await member.change(noted(5));
				expect(await member.displaced(20)).toEqual([]);
				expect(await member.compare()).toEqual([]);
				await hand.change(noted(5, { reached: 12 }));
				const changed = { ...zero, kind: "changed", expected: 20, found: 12 };
				expect(await member.compare()).toEqual([changed]);
				expect(await member.displaced(30)).toEqual([changed]);
				expect((await member.note())?.reached).toBe(12);
				// Whoever begins there knows.
				await member.change(noted(5, { reached: 20, restored: { from: 12, to: 20 } }));
				expect(await member.note()).toEqual(noted(5, { reached: 20, restored: { from: 12, to: 20 } }));
				expect([await member.displaced(30), await member.compare()]).toEqual([[], []]);
				expect((await member.note())?.restored).toEqual({ from: 12, to: 20 });
				// What another member noted since is no less.
				await hand.change(noted(5, { reached: 40 }));
				expect([await member.compare(), await member.displaced(35)]).toEqual([[], []]);
			});

			it("that were put back as they are are told too, where they were compared or raised since", async () => {
				await using scene = await openNotes();
				const member = scene.member();
				await member.prepare();
				await member.change(noted(5));
				await member.displaced(20);
				const backUp = async () => {
					const [row] = await scene.query("select updated_at::text as at from pockaffe_offsets_start");
					return () => scene.query(`update pockaffe_offsets_start set updated_at = '${row?.at}', reached_offset = 20`);
				};
				const told = { ...zero, kind: "changed", expected: 20, found: 20 };
				const putBack = await backUp();
				expect(await member.compare()).toEqual([]);
				await putBack();
				expect([await member.compare(), await member.displaced(30)]).toEqual([[told], [told]]);
				// Whoever begins there has nothing missing.
				await member.change(noted(5, { reached: 20 }));
				expect([await member.displaced(20), await member.compare()]).toEqual([[], []]);
				const again = await backUp();
				expect(await member.displaced(30)).toEqual([]);
				await again();
				expect(await member.displaced(40)).toEqual([{ ...told, expected: 30 }]);
				const former = await backUp();
				await member.change(noted(5, { reached: 20 }));
				await former();
				expect(await member.displaced(40)).toEqual([told]);
			});

			it("that are gone are told too, and their beginning is noted again, with nothing behind it for certain", async () => {
				await using scene = await openNotes();
				const member = scene.member();
				await member.prepare();
				await member.change(noted(5));
				await member.displaced(20);
				await scene.query("delete from pockaffe_offsets_start");
				expect(await member.displaced(30)).toEqual([{ ...zero, kind: "gone", expected: 20, found: null }]);
				expect(await member.note()).toEqual(noted(5));
				await scene.query("delete from pockaffe_offsets_start");
				expect(await member.compare()).toEqual([{ ...zero, kind: "gone", expected: 20, found: null }]);
				expect(await member.note()).toEqual(noted(5));
			});

			it("without an id are told that their log was deleted, and no other", async () => {
				await using scene = await openNotes();
				const member = scene.member();
				await member.prepare();
				await member.change(noted(5));
				await member.forget();
				expect((await member.note())?.log.id).toBe("log");
				await member.change(noted(5, { log: { id: null, witness: null } }));
				await member.forget();
				expect((await member.note())?.log.id).toBe(deletedLog);
			});
		});

		deadLettersContract(() => open(layoutOf({ columns: [columnOf("n", "text")] })));
	});
}
