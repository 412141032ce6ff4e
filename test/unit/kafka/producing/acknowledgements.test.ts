/** What is told of records that the broker has: by parcel, in the next turn. */
import { expect, it } from "vitest";
import { Acknowledgements } from "../../../../src/kafka/producing/acknowledgements.ts";
import type { ProducedFact } from "../../../../src/kafka/producing/record-producer-parts.ts";
import { ManualClock } from "../../../support/fakes/manual-clock.ts";

/** Records of 1, 2, 3 … bytes, of messages 10, 11, 12 … */
function parcelOf(partition: number, receivedAtMs: number, settledAll: (messages: readonly number[]) => void) {
	const lengths = Int32Array.from([1, 2, 3, 4].flatMap((bytes) => [-1, bytes, 0]));
	return {
		source: { topic: "orders", partition, receivedAtMs, settledAll },
		block: { topic: "out", messages: Int32Array.from([10, 11, 12, 13]), lengths },
	};
}

it("each parcel's records are told together, with bytes and ages, once", async () => {
	const clock = new ManualClock();
	const told: ProducedFact[] = [];
	const acknowledgements = new Acknowledgements(clock, (fact) => told.push(fact));
	await clock.advance(500);
	const settled: [partition: number, messages: readonly number[]][] = [];
	const parcel = (partition: number, at: number) => parcelOf(partition, at, (messages) => settled.push([partition, messages]));
	const [one, other] = [parcel(1, 100), parcel(2, 300)];
	for (const [of, from] of [
		[one, 0],
		[other, 3],
		[one, 2],
	] as const)
		acknowledgements.add({ parcel: of, from, to: from + 1 } as never);
	const has = (partition: number, topic = "orders") => acknowledgements.hasSome({ topic, partition });
	expect([has(1), has(2), has(3), has(1, "out"), told, clock.pending]).toEqual([true, true, false, false, [], [0]]);
	await clock.advance(0);
	const fact = { topic: "out", result: "acknowledged" };
	expect(told).toEqual([
		{ ...fact, records: 2, bytes: 1 + 3, agesMs: Float64Array.from([400, 400]) },
		{ ...fact, records: 1, bytes: 4, agesMs: Float64Array.from([200]) },
	]);
	expect(settled).toEqual([
		[1, [10, 12]],
		[2, [13]],
	]);
	expect([has(1), has(2), clock.pending]).toEqual([false, false, []]);
	acknowledgements.add({ parcel: one, from: 1, to: 2 } as never);
	acknowledgements.tell();
	expect(told).toHaveLength(3);
});
