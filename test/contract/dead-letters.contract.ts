/** What the dead letters' table does on a database: part of the database's contract. */
import { describe, expect, it } from "vitest";
import type { DeadLetter, StoredLetter } from "../../src/core/dead-letters/dead-letter.ts";
import { type LetterState, letterStates, letterVerbs, stateAfterFailure } from "../../src/core/dead-letters/letter-state.ts";
import { DeadLetterTable } from "../../src/sink/dead-letters/dead-letter-table.ts";
import { DeadLetterTableStore } from "../../src/sink/dead-letters/dead-letter-table-store.ts";
import { deadLetter, lettersIn, replayFailure } from "../support/fakes/dead-letters.ts";
import { ManualClock } from "../support/fakes/manual-clock.ts";
import type { DatabaseScene } from "./database.contract.ts";

const zero = { topic: "orders", partition: 0 };
const never = new AbortController().signal;

function letterOf(offset: number, error: string, over: Partial<DeadLetter> = {}): DeadLetter {
	return deadLetter({ ...zero, offset, key: Buffer.from("k\0é"), value: null, headers: [["h", Buffer.from([0, 255])]], error, ...over });
}

/** Runs the suite; `open` makes a server per test. */
export function deadLettersContract(open: () => Promise<DatabaseScene>): void {
	async function lettersOn(scene: DatabaseScene) {
		const clock = new ManualClock();
		const parts = { database: scene.database, table: "letters", consumerGroup: "g", version: "1", clock, random: () => 0 };
		const table = new DeadLetterTable(parts);
		await scene.settled(table.prepare());
		const store = new DeadLetterTableStore(scene.database, "letters", "g", "2");
		const query = (text: string) => scene.settled(scene.database.query(text));
		return {
			clock,
			table,
			/** Lets the table's own waits pass, and its statements be answered: a commit may take as long as hundreds of answers. */
			async until(holds: () => boolean): Promise<void> {
				for (let rounds = 0; rounds < 10_000 && !holds(); rounds++) {
					await query("select 1");
					await clock.advance(10_000);
				}
				expect(holds()).toBe(true);
			},
			prepare: () => scene.settled(table.prepare()),
			store: (...made: readonly DeadLetter[]) => scene.settled(Promise.all(made.map((each) => table.store(each, never)))),
			letters: store,
			found: (): Promise<StoredLetter[]> => scene.settled(lettersIn(store)),
			settled: scene.settled,
			query,
		};
	}

	describe("the dead letters", () => {
		it("are stored together, and a redelivery renews its letter; they come in the order of their offsets", async () => {
			await using scene = await open();
			const letters = await lettersOn(scene);
			await letters.store(letterOf(10, "first"), letterOf(9, "first"), letterOf(100, "first"));
			await letters.store(letterOf(10, "second"));
			const facts = (await letters.found()).map(({ offset, error, key, value, headers }) => [
				offset,
				error,
				String(key),
				value,
				headers.length,
			]);
			expect(facts).toEqual([
				[9, "first", "k\0é", null, 1],
				[10, "second", "k\0é", null, 1],
				[100, "first", "k\0é", null, 1],
			]);
		});

		it("of an earlier log of the topic stay beside those of the new one at the same offset", async () => {
			await using scene = await open();
			const letters = await lettersOn(scene);
			await letters.store(letterOf(7, "old", { topicId: "A", timestamp: 1 }), letterOf(7, "without id", { timestamp: 2 }));
			await letters.store(letterOf(7, "new", { topicId: "B", timestamp: 1 }), letterOf(7, "another without id", { timestamp: 3 }));
			const facts = (await letters.found()).map(({ topicId, timestamp, error }) => [topicId, timestamp, error]);
			expect(facts).toEqual([
				[null, 2, "without id"],
				[null, 3, "another without id"],
				["A", 1, "old"],
				["B", 1, "new"],
			]);
		});

		it("that were stored without their topic's id get it with a redelivery", async () => {
			await using scene = await open();
			const letters = await lettersOn(scene);
			await letters.store(letterOf(7, "before"), letterOf(8, "of another log", { timestamp: 1 }));
			await letters.prepare();
			await letters.store(letterOf(7, "again", { topicId: "A" }), letterOf(8, "new", { topicId: "A" }));
			const facts = (await letters.found()).map(({ offset, topicId, error }) => [offset, topicId, error]);
			expect(facts).toEqual([
				[8, null, "of another log"],
				[7, "A", "again"],
				[8, "A", "new"],
			]);
		});

		it("that are open are not overwritten by another message's where nothing tells their logs apart", async () => {
			await using scene = await open();
			const letters = await lettersOn(scene);
			const unknown = { timestamp: -1 };
			await letters.store(letterOf(7, "old", { ...unknown, value: Buffer.from("old") }));
			const blocked: string[] = [];
			letters.table.on("target:blocked", ({ message }) => blocked.push(message));
			let isStored = false;
			void letters.table.store(letterOf(7, "new", { ...unknown, value: Buffer.from("new") }), never).then(() => (isStored = true));
			await letters.until(() => blocked.length > 0);
			expect(blocked.join()).toMatch(
				/an open letter of another log .*orders\/0 offset 7.*pockaffe dead-letters replay --topic orders --partition 0 --offset 7/,
			);
			expect([isStored, (await letters.found()).map(({ error }) => error)]).toEqual([false, ["old"]]);
			await letters.query("update letters set state = 'discarded'");
			await letters.until(() => isStored);
			expect((await letters.found()).map(({ error, state }) => [error, state])).toEqual([["new", "open"]]);
		});

		const failures = letterStates.flatMap((current) =>
			(["open", "skipped"] as const).flatMap((failed) => [true, false].map((isOlder) => [current, failed, isOlder] as const)),
		);
		it.each(failures)(
			"at %s, met by one that is %s (of a message received before: %s), come to where the line leads",
			async (current, failed, isOlder) => {
				await using scene = await open();
				const letters = await lettersOn(scene);
				await letters.store(letterOf(7, "first"));
				await letters.query(`update letters set state = '${current}', last_at = now()`);
				// Received an hour before, or just now.
				await letters.clock.advance(3_600_000);
				await letters.query("select 1");
				const receivedAtMs = isOlder ? 0 : Number.POSITIVE_INFINITY;
				const lastAt = (await letters.found())[0]?.lastAt;
				await letters.store(letterOf(7, "second", { state: failed, receivedAtMs }));
				const [letter] = await letters.found();
				expect(letter?.state).toBe(stateAfterFailure(current as LetterState, failed, isOlder));
				// When somebody looked after it is what later attempts are measured by.
				if (isOlder && (current === "replayed" || current === "discarded")) expect(letter?.lastAt).toBe(lastAt);
			},
		);

		it("are read page by page in the order of their offsets, log by log, as many as are asked for, and counted", async () => {
			await using scene = await open();
			const letters = await lettersOn(scene);
			const offsets = Array.from({ length: 1_203 }, (_, index) => 1_202 - index);
			await letters.store(...offsets.map((offset) => letterOf(offset, "x", { topicId: offset % 2 === 0 ? "A" : "B", timestamp: -1 })));
			await letters.store(letterOf(5, "of another partition", { partition: 1, state: "skipped" }), letterOf(3, "x", { topic: "payments" }));
			await letters.query("update letters set state = 'replayed' where topic = 'orders' and \"offset\" = 9");
			const found = await letters.found();
			const expected = ["A", "B"].flatMap((log) => offsets.filter((each) => (each % 2 === 0) === (log === "A")).reverse());
			expect(found.map(({ offset }) => offset)).toEqual([...expected, 5, 3]);
			const first = await letters.settled(lettersIn(letters.letters, { topic: "orders", topicId: "B", states: ["open"] }, 5));
			expect(first.map(({ offset }) => offset)).toEqual([1, 3, 5, 7, 11]);
			expect(await letters.settled(lettersIn(letters.letters, { topic: "orders", reason: "timeout" }))).toEqual([]);
			expect(await letters.settled(letters.letters.count({}))).toEqual([
				{ topic: "orders", state: "open", letters: 1_202 },
				{ topic: "orders", state: "replayed", letters: 1 },
				{ topic: "orders", state: "skipped", letters: 1 },
				{ topic: "payments", state: "open", letters: 1 },
			]);
			expect(await letters.settled(letters.letters.count({ topicId: "A", states: ["replayed"] }))).toEqual([]);
		});

		it.each(letterStates)(
			"that are %s are changed by a replay, a discard and a purge along the line, and by nothing else",
			async (current) => {
				await using scene = await open();
				const letters = await lettersOn(scene);
				await letters.store(letterOf(7, "first", { stack: "a stack", attempts: 3 }), letterOf(8, "first", { topicId: "A" }));
				await letters.query(`update letters set state = '${current}'`);
				const verb = async (does: (all: readonly StoredLetter[]) => Promise<unknown>) => {
					const before = await letters.found();
					await letters.settled(does(before));
					const states = (await letters.found()).map(({ state }) => state);
					await letters.query(`update letters set state = '${current}'`);
					return states;
				};
				const fates = (failure: typeof replayFailure | null) => (all: readonly StoredLetter[]) =>
					letters.letters.settle(all.map((letter) => ({ letter, failure })));
				expect(await verb(fates(null))).toEqual(["replayed", "replayed"]);
				expect(await verb(fates(replayFailure))).toEqual([current, current]);
				const discarded = (letterVerbs.discard.from as readonly string[]).includes(current);
				const counts: unknown[] = [];
				expect(await verb(async () => counts.push(await letters.letters.discard({})))).toEqual(
					Array(2).fill(discarded ? "discarded" : current),
				);
				expect(counts).toEqual([discarded ? 2 : 0]);
				expect(await letters.settled(letters.letters.purge({ states: letterStates.filter((state) => state !== current) }))).toBe(0);
				expect(await letters.settled(letters.letters.purge({ states: [current], offset: 7 }))).toBe(1);
				expect((await letters.found()).map(({ offset }) => offset)).toEqual([8]);
			},
		);

		it("whose replay fails are one record: what it met takes the place of all that was said before, and the message stays", async () => {
			await using scene = await open();
			const letters = await lettersOn(scene);
			const refusedRows = [
				["events", "a", "22003"],
				["sums", "b", "23514"],
			] as const;
			await letters.store(
				letterOf(7, "first", { stack: "a stack", attempts: 3 }),
				letterOf(8, "other"),
				letterOf(9, "third", { sqlstate: "22003", table: "events", rowId: "x" }),
			);
			const [first, , third] = (await letters.found()) as [StoredLetter, StoredLetter, StoredLetter];
			const threw = {
				...replayFailure,
				reason: "poison",
				error: "no \0 way",
				stack: "Error: no way",
				sqlstate: null,
				table: null,
				rowId: null,
			} as const;
			await letters.settled(
				letters.letters.settle([
					{ letter: first, failure: { ...replayFailure, refusedRows } },
					{ letter: third, failure: threw },
				]),
			);
			const [renewed, other, again] = await letters.found();
			expect(renewed).toEqual({ ...first, ...replayFailure, refusedRows, attempts: 4, lastAt: renewed?.lastAt, pockaffeVersion: "2" });
			expect(other).toMatchObject({ error: "other", attempts: 1 });
			expect(again).toEqual({ ...third, ...threw, error: "no  way", attempts: 2, lastAt: again?.lastAt, pockaffeVersion: "2" });
		});

		it("that were replayed meanwhile stay so, whatever another replay met", async () => {
			await using scene = await open();
			const letters = await lettersOn(scene);
			await letters.store(letterOf(7, "first"));
			const [letter] = (await letters.found()) as [StoredLetter];
			await letters.settled(letters.letters.settle([{ letter, failure: null }]));
			await letters.settled(letters.letters.settle([{ letter, failure: replayFailure }]));
			expect(await letters.found()).toMatchObject([{ state: "replayed", error: "first" }]);
		});
	});
}
