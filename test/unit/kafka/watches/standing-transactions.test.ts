import { describe, expect, it } from "vitest";
import { StandingTransactions } from "../../../../src/kafka/watches/standing-transactions.ts";
import { ManualClock } from "../../../support/fakes/manual-clock.ts";

function watch(position: number | null) {
	const clock = new ManualClock();
	let at = position;
	const transactions = new StandingTransactions({ clock, brokers: ["a:1"], position: ({ partition }) => (partition === 3 ? at : null) });
	const stats = (ls_offset: number, hi_offset: number) =>
		transactions.stats(
			JSON.stringify({
				topics: { t: { partitions: { "3": { partition: 3, ls_offset, hi_offset }, "-1": { partition: -1, ls_offset: 1, hi_offset: 9 } } } },
			}),
		);
	return { clock, transactions, stats, moveTo: (offset: number | null) => (at = offset), where: { topic: "t", partition: 3 } };
}

describe("a transaction that stands", () => {
	it("is told after half a minute with both offsets, and the commands that find and end it", async () => {
		const { clock, transactions, stats, where } = watch(51);
		const sinceMs = clock.now();
		stats(51, 60);
		expect([transactions.isWaiting(where), transactions.problems]).toEqual([true, []]);
		await clock.advance(29_999);
		stats(51, 102);
		expect(transactions.problems).toEqual([]);
		await clock.advance(1);
		expect(transactions.problems).toEqual([
			{
				code: "standing_transaction",
				where,
				sinceMs,
				message:
					"the last stable offset stands at 51 while the log goes on to 102: a transaction is open, and nothing after it can be read until it ends; find its producer: kafka-transactions.sh --bootstrap-server a:1 describe-producers --topic t --partition 3; end the producer, or abort the transaction: kafka-transactions.sh --bootstrap-server a:1 abort --topic t --partition 3 --start-offset 51",
			},
		]);
	});

	it.each<[how: string, end: (scene: ReturnType<typeof watch>) => void]>([
		["it ends", ({ stats }) => stats(102, 102)],
		[
			"another one is the oldest",
			({ stats, moveTo }) => {
				stats(60, 102);
				moveTo(60);
			},
		],
		["the partition is given away", ({ moveTo }) => moveTo(null)],
		["the client has nothing of it any more", ({ transactions }) => transactions.stats("{}")],
	])("is over when %s", async (_, end) => {
		const scene = watch(51);
		scene.stats(51, 102);
		await scene.clock.advance(30_000);
		expect(scene.transactions.problems).toHaveLength(1);
		end(scene);
		expect(scene.transactions.problems).toEqual([]);
	});

	it("is none where the partition has not come to it yet, or reads what is not committed", async () => {
		for (const position of [20, 80]) {
			const { clock, transactions, stats, where } = watch(position);
			stats(51, 102);
			await clock.advance(60_000);
			expect([transactions.isWaiting(where), transactions.problems]).toEqual([false, []]);
		}
	});

	it("is none where all of the log was read", async () => {
		const { clock, transactions, stats, where } = watch(102);
		stats(102, 102);
		await clock.advance(60_000);
		expect([transactions.isWaiting(where), transactions.problems]).toEqual([false, []]);
	});

	it("is none before the first fetch", async () => {
		const { clock, transactions, stats } = watch(0);
		stats(-1001, -1001);
		await clock.advance(60_000);
		expect(transactions.problems).toEqual([]);
	});
});
