/**
 * Letters on real servers: random failures, replays, discards and purges, of which every one counts at once and none is lost, while the
 * topic gets more partitions. What is kept is compared with a model behind every step. The state machine with members that die is in
 * test/simulation/letters.
 */
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import type { DeadLetterTarget, LetterStore, StoredLetter } from "../../../src/core/dead-letters/dead-letter.ts";
import { seededRandom } from "../../../src/core/random.ts";
import { DeadLetterTopic } from "../../../src/kafka/dead-letters/dead-letter-topic.ts";
import { DeadLetterTopicStore } from "../../../src/kafka/dead-letters/dead-letter-topic-store.ts";
import { DeadLetterTable } from "../../../src/sink/dead-letters/dead-letter-table.ts";
import { DeadLetterTableStore } from "../../../src/sink/dead-letters/dead-letter-table-store.ts";
import { deadLetter, lettersIn, replayFailure } from "../../support/fakes/dead-letters.ts";
import { createTopicWith, kafkaAt, raisePartitions } from "../../support/kafka/load-topic.ts";
import { uniqueName } from "../../support/kafka/real-kafka.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres/test-database.ts";

const STEPS = 30;
const never = new AbortController().signal;
const origin = { consumerGroup: "g", version: "1", clock: systemClock };

interface Target {
	readonly letters: DeadLetterTarget;
	readonly store: LetterStore;
	/** Null where letters can't be deleted. */
	readonly purge: ((states: readonly ["replayed", "discarded"]) => Promise<number>) | null;
	/** The topic gets one partition more. */
	readonly grow: () => Promise<void>;
}

interface Known {
	state: "open" | "skipped" | "replayed" | "discarded";
	error: string;
}

type Model = Map<string, Known>;

const placeOf = ({ partition, offset }: { partition: number; offset: number }) => `${partition}@${String(offset).padStart(2, "0")}`;
const listed = (letters: readonly StoredLetter[]) => letters.map((letter) => [placeOf(letter), letter.state, letter.error]);
const inOrder = (model: Model) =>
	[...model].sort(([one], [other]) => (one < other ? -1 : 1)).map(([place, { state, error }]) => [place, state, error]);

async function play(seed: number, { letters, store, purge, grow }: Target): Promise<void> {
	const random = seededRandom(seed);
	const below = (limit: number) => Math.floor(random() * limit);
	const model: Model = new Map();
	let step = 0;

	const fails = async () => {
		const place = { partition: below(6), offset: below(12) };
		const known = model.get(placeOf(place));
		const state = !known && below(5) === 0 ? "skipped" : "open";
		const error = `fails in step ${step}`;
		await letters.store(
			deadLetter({ ...place, receivedAtMs: systemClock.monotonic(), state, error, key: Buffer.from(placeOf(place)) }),
			never,
		);
		model.set(placeOf(place), { state, error });
	};
	const some = async () => {
		const open = await lettersIn(store, { states: ["open", "skipped", "discarded"] });
		return open.filter(() => below(3) === 0);
	};
	const steps: Record<string, () => Promise<void>> = {
		fails,
		"several fail": async () => {
			for (let count = 0; count < 4; count++) await fails();
		},
		"a replay goes through": async () => {
			const replayed = await some();
			await store.settle(replayed.map((letter) => ({ letter, failure: null })));
			for (const letter of replayed) (model.get(placeOf(letter)) as Known).state = "replayed";
		},
		"a replay fails": async () => {
			const failed = await some();
			const error = `replayed in vain in step ${step}`;
			await store.settle(failed.map((letter) => ({ letter, failure: { ...replayFailure, error } })));
			for (const letter of failed) (model.get(placeOf(letter)) as Known).error = error;
		},
		discard: async () => {
			const partition = below(6);
			const meant = [...model].filter(
				([place, { state }]) => place.startsWith(`${partition}@`) && (state === "open" || state === "skipped"),
			);
			expect(await store.discard({ topic: "orders", partition })).toBe(meant.length);
			for (const [, known] of meant) known.state = "discarded";
		},
		purge: async () => {
			if (!purge) return;
			const meant = [...model].filter(([, { state }]) => state === "replayed" || state === "discarded");
			expect(await purge(["replayed", "discarded"])).toBe(meant.length);
			for (const [place] of meant) model.delete(place);
		},
		"a reading while it grows": async () => {
			const before = inOrder(model).map(([place]) => place);
			const [read] = await Promise.all([lettersIn(store), grow(), steps["several fail"]?.()]);
			const places = read.map(placeOf);
			expect(places).toEqual([...new Set(places)].sort());
			expect(before.filter((place) => !places.includes(place as string))).toEqual([]);
		},
	};
	const names = Object.keys(steps);
	const played: string[] = [];
	for (; step < STEPS; step++) {
		const name = step < 2 ? "several fail" : step % 9 === 8 ? "a reading while it grows" : (names[below(names.length)] as string);
		played.push(name);
		await steps[name]?.();
		expect(listed(await lettersIn(store)), `seed ${seed}: ${played.join(", ")}`).toEqual(inOrder(model));
	}
	const unreplayed = (await store.unreplayed()).map(placeOf).sort();
	expect(unreplayed).toEqual(inOrder(model).flatMap(([place, state]) => (state === "replayed" ? [] : [place])));
	const counts = new Map<string, number>();
	for (const { state } of model.values()) counts.set(state, (counts.get(state) ?? 0) + 1);
	expect((await store.count({})).map(({ state, letters: count }) => [state, count])).toEqual([...counts].sort());
}

describe("no letter is lost, and each stands where the last step put it", () => {
	let db: TestDatabase;
	beforeAll(async () => {
		db = await createTestDatabase();
	});
	afterAll(() => db?.[Symbol.asyncDispose]());

	it.each([1, 2, 3])("in a table, seed %i", async (seed) => {
		const table = `letters_${seed}`;
		const letters = new DeadLetterTable({ ...origin, database: db.database, table, random: () => 0.5 });
		await letters.prepare();
		await using store = new DeadLetterTableStore(db.database, table, origin.consumerGroup, "1");
		await play(seed, { letters, store, purge: (states) => store.purge({ states }), grow: async () => {} });
		await letters.dispose();
	});

	it.skipIf(inject("kafkaBrokers") === "").each([1, 2, 3])("in a topic that gets more partitions, seed %i", async (seed) => {
		const brokers = inject("kafkaBrokers");
		const topic = uniqueName("letters");
		await createTopicWith(brokers, { name: topic, partitions: 1 }, {});
		const kafka = kafkaAt(brokers);
		const parts = { ...origin, kafka, topic };
		const letters = new DeadLetterTopic({ ...parts, random: () => 0.5 });
		await using store = new DeadLetterTopicStore({ ...parts, signal: never });
		let partitions = 1;
		const grow = async () => {
			await raisePartitions(brokers, topic, ++partitions);
			// As a daemon that is started behind it.
			await letters.renew();
		};
		await play(seed, { letters, store, purge: null, grow });
		expect(partitions).toBeGreaterThan(2);
		await letters.dispose();
	});
});
