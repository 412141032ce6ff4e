/** Offsets in Kafka: what a start may rely on. */
import { expect, it } from "vitest";
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
