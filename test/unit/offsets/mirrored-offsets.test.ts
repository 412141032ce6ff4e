/** Offsets kept in a table, with Kafka's copy behind them: what the copy must not be told. */
import { describe, expect, it } from "vitest";
import type { ReachedPosition } from "../../../src/core/offsets/position-note.ts";
import type { GroupClient } from "../../../src/kafka/client/group-client.ts";
import { type FencedOffsets, KafkaOffsetStore, MirroredOffsetStore } from "../../../src/kafka/offsets/offset-store.ts";
import type { PositionNotes } from "../../../src/kafka/offsets/position-notes.ts";
import { ManualClock, settle } from "../../support/fakes/manual-clock.ts";

const at = (partition: number, offset: number): ReachedPosition => ({ topic: "t", partition, offset, logId: null, witness: null });

function open() {
	const mirrored: string[] = [];
	const stores: (() => void)[] = [];
	const table = {
		claim: async () => [],
		begin: async (starts: readonly ReachedPosition[]) => starts,
		store: () => new Promise<readonly []>((resolve) => stores.push(() => resolve([]))),
	};
	const kafka = {
		forgotten: async () => [],
		commit: async (offsets: readonly ReachedPosition[]) =>
			void mirrored.push(offsets.map(({ partition, offset }) => `${partition}@${offset}`).join(" ")),
	};
	const store = new MirroredOffsetStore(table as unknown as FencedOffsets, kafka as unknown as KafkaOffsetStore, {
		displaced: () => {},
		mirrorFailed: () => {},
	});
	return { store, mirrored, stores };
}

describe("Kafka's copy of the offsets", () => {
	it("follows the table", async () => {
		const { store, mirrored, stores } = open();
		void store.commit([at(0, 5), at(1, 7)]);
		await settle();
		expect(mirrored).toEqual([]);
		stores[0]?.();
		await settle();
		expect(mirrored).toEqual(["0@5 1@7"]);
	});

	it("is not told what a partition came to before it began anew: the table may take long to answer, and Kafka takes an offset by name", async () => {
		const { store, mirrored, stores } = open();
		void store.commit([at(0, 28), at(1, 7)]);
		await settle();
		const [partition] = [{ topic: "t", partition: 0 }];
		await store.claim([partition]);
		await store.begin([at(0, 0)]);
		stores[0]?.();
		await settle();
		expect(mirrored).toEqual(["0@0", "1@7"]);
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

	it("that finds a partition displaced tells it, and Kafka's copy follows with the others alone", async () => {
		const { store, told, mirrored } = finding([gone]);
		await store.commit([at(0, 5), at(1, 7)]);
		expect([told, mirrored]).toEqual([[[gone]], [[at(0, 5)]]]);
	});

	it("that stores all tells nobody", async () => {
		const { store, told, mirrored } = finding([]);
		await store.commit([at(0, 5), at(1, 7)]);
		await store.look(() => [at(0, 5)]);
		expect([told, mirrored]).toEqual([[], [[at(0, 5), at(1, 7)]]]);
	});

	it("of which nothing went in says nothing to Kafka", async () => {
		const { store, mirrored } = finding([gone]);
		await store.commit([at(1, 7)]);
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

	it("begins at what the table says, and so does the copy", async () => {
		const { store, mirrored } = finding([]);
		expect(await store.begin([at(0, 9)])).toEqual([at(0, 3)]);
		expect(mirrored).toEqual([[at(0, 3)]]);
		expect(await store.note()).toEqual([]);
	});
});
