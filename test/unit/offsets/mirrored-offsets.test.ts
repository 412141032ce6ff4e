/** Offsets kept in a table, with Kafka's copy behind them: what the copy must not be told. */
import { describe, expect, it } from "vitest";
import type { TopicPartition } from "../../../src/core/messages/message.ts";
import type { ReachedPosition } from "../../../src/core/offsets/position-note.ts";
import type { GroupClient } from "../../../src/kafka/client/group-client.ts";
import { type FencedOffsets, KafkaOffsetStore, MirroredOffsetStore } from "../../../src/kafka/offsets/offset-store.ts";
import type { PositionNotes } from "../../../src/kafka/offsets/position-notes.ts";
import { ManualClock, settle } from "../../support/fakes/manual-clock.ts";

const at = (partition: number, offset: number): ReachedPosition => ({ topic: "t", partition, offset, logId: null, witness: null });

/** A table and a copy that write down what they are told, one behind the other. */
function open() {
	const told: string[] = [];
	const names = (offsets: readonly ReachedPosition[]) => offsets.map(({ partition, offset }) => `${partition}@${offset}`).join(" ");
	const table = {
		claim: async () => {
			told.push("claim");
			return [];
		},
		begin: async (starts: readonly ReachedPosition[]) => starts,
		store: async (offsets: readonly ReachedPosition[]) => {
			told.push(`table ${names(offsets)}`);
			return [];
		},
	};
	const answers: (() => void)[] = [];
	const client = {
		committed: async () => [],
		commit: (offsets: readonly ReachedPosition[]) => {
			told.push(`kafka ${names(offsets)}`);
			return new Promise<void>((resolve) => answers.push(resolve));
		},
	} as unknown as GroupClient;
	const clock = new ManualClock();
	const kafka = new KafkaOffsetStore(
		() => client,
		{} as PositionNotes,
		() => {},
		clock,
	);
	const store = new MirroredOffsetStore(table as unknown as FencedOffsets, kafka, { displaced: () => {}, mirrorFailed: () => {} });
	return { store, told, answers, clock };
}

describe("Kafka's copy of the offsets", () => {
	it("follows what the table has: the table is the note, and what is committed is the copy", async () => {
		const { store, told } = open();
		await store.note([at(0, 5), at(1, 7)]);
		expect(told).toEqual(["table 0@5 1@7"]);
		void store.commit([at(1, 7)]);
		await settle();
		expect(told).toEqual(["table 0@5 1@7", "kafka 1@7"]);
	});

	it("is told nothing behind a new claim: a commit under way is waited for, as the log that it was meant for may be gone", async () => {
		const { store, told, answers, clock } = open();
		void store.commit([at(0, 28)]);
		void store.claim([{ topic: "t", partition: 0 }]);
		await settle();
		expect(told).toEqual(["kafka 0@28"]);
		answers[0]?.();
		await settle();
		expect(told).toEqual(["kafka 0@28", "claim"]);

		void store.commit([at(0, 29)]);
		void store.claim([{ topic: "t", partition: 0 }]);
		await clock.advance(1_999);
		expect(told).toHaveLength(3);
		await clock.advance(1);
		expect(told.at(-1)).toBe("claim");
	});

	describe("of a partition that starts", () => {
		/** Kafka refuses every commit, and has these offsets. */
		function refusing(found: number | null) {
			const client = {
				committed: async (partitions: readonly TopicPartition[]) => partitions.map((each) => ({ ...each, offset: found })),
				commit: () => Promise.reject(new Error("illegal generation")),
			} as unknown as GroupClient;
			const kafka = new KafkaOffsetStore(
				() => client,
				{} as PositionNotes,
				() => {},
				new ManualClock(),
			);
			const failures: string[] = [];
			const table = { claim: async () => [] } as unknown as FencedOffsets;
			const store = new MirroredOffsetStore(table, kafka, { displaced: () => {}, mirrorFailed: (message) => failures.push(message) });
			return { store, failures };
		}

		it("must be there where the topic has no id: nothing else would tell that it was made again", async () => {
			const { store, failures } = refusing(null);
			await store.claim([at(0, 6)]);
			await expect(store.goOn([at(0, 6), at(1, 6)])).rejects.toThrow("Kafka has no copy yet of the offsets of t/0, t/1");
			expect(failures).toEqual(["illegal generation"]);
		});

		it("may come later where the topic has an id, or Kafka has one from before", async () => {
			const { store, failures } = refusing(null);
			await store.goOn([{ ...at(0, 6), logId: "id" }]);
			const before = refusing(3);
			await before.store.claim([at(0, 6)]);
			await before.store.goOn([at(0, 6)]);
			expect([failures, before.failures]).toEqual([["illegal generation"], ["illegal generation"]]);
		});
	});

	it("is missed once it is gone, also where it never followed here: that is how a topic without an id is known to be made again", async () => {
		const committed = [{ topic: "t", partition: 0, offset: 13 as number | null }];
		const client = {
			committed: async () => committed,
			commit: () => Promise.reject(new Error("illegal generation")),
		} as unknown as GroupClient;
		const kafka = new KafkaOffsetStore(
			() => client,
			{} as PositionNotes,
			() => {},
			new ManualClock(),
		);
		const table = { claim: async () => [] } as unknown as FencedOffsets;
		const failures: string[] = [];
		const store = new MirroredOffsetStore(table, kafka, { displaced: () => {}, mirrorFailed: (message) => failures.push(message) });
		await store.claim(committed);
		await store.goOn([at(0, 13)]);
		expect(failures).toEqual(["illegal generation"]);
		(committed[0] as { offset: number | null }).offset = null;
		expect(await store.forgotten(committed)).toEqual(committed);
	});

	it("holds up no start where Kafka does not say what it has", async () => {
		const client = { committed: () => Promise.reject(new Error("away")) } as unknown as GroupClient;
		const kafka = new KafkaOffsetStore(
			() => client,
			{} as PositionNotes,
			() => {},
			new ManualClock(),
		);
		const claimed = [{ topic: "t", partition: 0, offset: 7 }];
		const table = { claim: async () => claimed } as unknown as FencedOffsets;
		const store = new MirroredOffsetStore(table, kafka, { displaced: () => {}, mirrorFailed: () => {} });
		expect(await store.claim([{ topic: "t", partition: 0 }])).toEqual(claimed);
	});
});

describe("a store into the table", () => {
	const gone = { topic: "t", partition: 1, kind: "gone" as const, expected: 7, found: null };

	/** The table finds these displaced. */
	function finding(displaced: readonly object[]) {
		const told: unknown[] = [];
		const failures: string[] = [];
		const mirrored: unknown[] = [];
		const table = { store: async () => displaced, look: async () => displaced, begin: async () => [at(0, 3)] } as unknown as FencedOffsets;
		const commit = async (offsets: readonly ReachedPosition[]) => void mirrored.push(offsets);
		const store = new MirroredOffsetStore(table, { commit } as unknown as KafkaOffsetStore, {
			displaced: (partitions) => told.push(partitions),
			mirrorFailed: (message) => failures.push(message),
		});
		return { store, told, failures, mirrored };
	}

	it("that finds a partition displaced tells it, and leaves it out of the commit", async () => {
		const { store, told, mirrored } = finding([gone]);
		expect(await store.note([at(0, 5), at(1, 7)])).toEqual([gone]);
		expect([told, mirrored]).toEqual([[[gone]], []]);
	});

	it("that stores all tells nobody", async () => {
		const { store, told } = finding([]);
		expect(await store.note([at(0, 5), at(1, 7)])).toEqual([]);
		await store.look(() => [at(0, 5)]);
		expect(told).toEqual([]);
	});

	it("of which nothing is left to commit says nothing to Kafka", async () => {
		const { store, mirrored } = finding([gone]);
		await store.commit([]);
		expect(mirrored).toEqual([]);
	});

	it("a look tells what is displaced of the partitions that are still assigned when the table has answered", async () => {
		const { store, told } = finding([gone]);
		let asked = 0;
		await store.look(() => (asked++ === 0 ? [at(1, 7)] : [at(0, 5)]));
		expect(told).toEqual([]);
		await store.look(() => [at(0, 5), at(1, 7)]);
		expect(told).toEqual([[gone]]);
	});

	it("begins at what the table says", async () => {
		const { store, mirrored } = finding([]);
		expect(await store.begin([at(0, 9)])).toEqual([at(0, 3)]);
		expect(mirrored).toEqual([]);
	});
});
