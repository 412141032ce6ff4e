/** Offsets in Kafka: what a start may rely on. */
import { describe, expect, it } from "vitest";
import { KafkaOffsetStore } from "../../../src/kafka/offsets/offset-store.ts";
import { ManualClock, settle } from "../../support/fakes/manual-clock.ts";

const partition = { topic: "t", partition: 0 };

/** A store whose client answers commits when it is told to. */
function storing() {
	const clock = new ManualClock();
	const found: { topic: string; partition: number; offset: number | null }[] = [];
	const commits: { answer: () => void; refuse: () => void }[] = [];
	const client = {
		commit: () =>
			new Promise<void>((answer, reject) => {
				commits.push({ answer, refuse: () => reject(new Error("refused")) });
			}),
		committed: async () => (found.length > 0 ? [...found] : [{ ...partition, offset: 25 }]),
	};
	const notes = { reach: async () => ({ others: [], displaced: [] }), compare: async () => [], forget: async () => {} };
	const store = new KafkaOffsetStore(
		() => client as never,
		notes,
		() => {},
		clock,
	);
	return { clock, commits, found, store };
}

it.each(["answer", "refuse"] as const)(
	"a start waits for a commit that is under way (%s): queued before a session was lost it would go past the start",
	async (how) => {
		const { clock, commits, store } = storing();
		const commit = store.commit([{ ...partition, offset: 26 }]).catch(() => {});
		let claimed: unknown = null;
		void store.claim([partition]).then((found) => {
			claimed = found;
		});
		await clock.advance(1_000);
		expect(claimed).toBe(null);
		commits[0]?.[how]();
		await commit;
		await settle();
		expect(claimed).toEqual([{ ...partition, offset: 25 }]);
		expect(clock.pending).toEqual([]);
	},
);

it("a start waits two seconds at most for a commit that is not answered", async () => {
	const { clock, store } = storing();
	void store.commit([{ ...partition, offset: 26 }]);
	const claimed = store.claim([partition]);
	await clock.advance(2_000);
	expect(await claimed).toEqual([{ ...partition, offset: 25 }]);
});

it("what Kafka was seen to have and has no more is forgotten, whoever committed it", async () => {
	const { store, found } = storing();
	const other = { topic: "t", partition: 1 };
	found.push({ ...partition, offset: 5 }, { ...other, offset: null });
	expect(await store.forgotten([partition, other])).toEqual([]);
	found.splice(0, 2, { ...partition, offset: null }, { ...other, offset: null });
	expect(await store.forgotten([partition, other])).toEqual([{ ...partition, offset: null }]);
});

it("what it committed itself is missed once it is gone, and only where that went in", async () => {
	const { store, commits, found } = storing();
	const other = { topic: "t", partition: 1 };
	const refused = store.commit([{ ...other, offset: 8 }]).catch(() => {});
	commits[0]?.refuse();
	await refused;
	const committed = store.commit([{ ...partition, offset: 26 }]);
	commits[1]?.answer();
	await committed;
	found.push({ ...partition, offset: null }, { ...other, offset: null });
	expect(await store.forgotten([partition, other])).toEqual([{ ...partition, offset: null }]);
});

it("what a claim found is missed once it is gone, and what it did not find is not", async () => {
	const { store, found } = storing();
	const other = { topic: "t", partition: 1 };
	found.push({ ...partition, offset: 5 }, { ...other, offset: 6 });
	await store.claim([partition, other]);
	found.splice(0, 2, { ...partition, offset: 5 }, { ...other, offset: null });
	await store.claim([partition, other]);
	found.splice(0, 1, { ...partition, offset: null });
	expect(await store.forgotten([partition, other])).toEqual([{ ...partition, offset: null }]);
	expect(await store.forgotten([])).toEqual([]);
});

describe("what is noted in front of a commit", () => {
	const displacedBy = (offset: number) => ({ ...partition, kind: "changed" as const, expected: offset, found: 0 });

	function noting(answer: { others?: object[]; displaced?: object[]; compared?: object[] }) {
		const told: unknown[] = [];
		const reached: unknown[] = [];
		const notes = {
			reach: async (positions: unknown) => {
				reached.push(positions);
				return { others: answer.others ?? [], displaced: answer.displaced ?? [] };
			},
			compare: async () => answer.compared ?? [],
			forget: async () => {},
		};
		const store = new KafkaOffsetStore(
			() => null,
			notes as never,
			(displaced) => told.push(displaced),
			new ManualClock(),
		);
		return { store, told, reached };
	}

	it("names what must not be committed: other logs, and notes that were put back, which alone are told", async () => {
		const other = { topic: "t", partition: 3 };
		const { store, told, reached } = noting({ others: [other], displaced: [displacedBy(4)] });
		expect(await store.note([{ ...partition, offset: 4 }])).toEqual([other, displacedBy(4)]);
		expect([told, reached]).toEqual([[[displacedBy(4)]], [[{ ...partition, offset: 4 }]]]);
		const usual = noting({ others: [other] });
		await usual.store.note([]);
		expect(usual.told).toEqual([]);
	});

	it("a look tells what was put back, of partitions that are still assigned", async () => {
		const { store, told } = noting({ compared: [displacedBy(9)] });
		let asked = 0;
		await store.look(() => (asked++ === 0 ? [partition] : []));
		expect(told).toEqual([]);
		await store.look(() => [partition]);
		expect(told).toEqual([[displacedBy(9)]]);
	});

	it("nothing is committed while there is no connection", async () => {
		const { store } = noting({});
		await expect(store.commit([{ ...partition, offset: 1 }])).rejects.toThrow("not connected to Kafka");
	});
});
