/** Which messages of a failed run are handed over next, and how often they have failed. */
import { expect, it } from "vitest";
import { MAX_RUN, Suspects } from "../../../src/worker/failures/suspects.ts";
import type { HeldBatch, Run } from "../../../src/worker/message-queue.ts";

/** The messages at `from` to `to`, of which every other offset is missing. */
function run(from: number, to: number): Run {
	const offsets = Array.from({ length: 3 * MAX_RUN }, (_, index) => 2 * index);
	return { held: { batch: { offsets } } as unknown as HeldBatch, from, to };
}

const ends = (suspects: Suspects, ...froms: number[]) => froms.map((from) => suspects.cut(run(from, 8)).to);

it("a call that failed is repeated by halves, and what is behind it goes as it comes", () => {
	const suspects = new Suspects();
	suspects.repeatByHalves(run(2, 7));
	expect(ends(suspects, 0, 2, 5, 6, 7)).toEqual([2, 5, 6, 7, 8]);
});

it("the message that failed alone among halves is the only suspect from then on", () => {
	const suspects = new Suspects();
	suspects.repeatByHalves(run(0, 8));
	expect(suspects.charge(run(3, 4))).toBe(1);
	expect(ends(suspects, 0, 3, 4)).toEqual([3, 4, 8]);
});

it("after a thread that died each is suspect alone, also where one of them failed", () => {
	const suspects = new Suspects();
	suspects.repeatOneByOne(run(0, 4));
	expect(suspects.charge(run(1, 2))).toBe(1);
	expect(ends(suspects, 0, 1, 2, 3, 4)).toEqual([1, 2, 3, 4, 8]);
});

it("a message behind the suspects that fails is the suspect instead of them", () => {
	const suspects = new Suspects();
	suspects.repeatOneByOne(run(0, 2));
	suspects.charge(run(4, 5));
	expect(ends(suspects, 0, 4, 5)).toEqual([4, 5, 8]);
});

it("attempts are those of the message that failed last, until it is passed", () => {
	const suspects = new Suspects();
	expect(suspects.attempts).toBe(0);
	expect([suspects.charge(run(3, 4)), suspects.charge(run(3, 4)), suspects.charge(run(1, 2))]).toEqual([1, 2, 1]);
	expect(suspects.attempts).toBe(1);
	expect([suspects.charge(run(3, 4)), suspects.attempts]).toEqual([3, 3]);
	suspects.progressed(5);
	expect(suspects.attempts).toBe(3);
	suspects.progressed(6);
	expect(suspects.attempts).toBe(0);
});

it("attempts in earlier processes count where they are more than those in this one", () => {
	const suspects = new Suspects();
	suspects.chargedBefore(6, 2);
	suspects.chargedBefore(6, 1);
	expect(suspects.charge(run(3, 4))).toBe(3);
	suspects.chargedBefore(6, 4);
	expect(suspects.charge(run(3, 4))).toBe(5);
});

it("runs without a suspect are half as long after a failure, and twice as long with each that is passed", () => {
	const suspects = new Suspects();
	const long = (from: number) => suspects.cut(run(from, 3 * MAX_RUN)).to - from;
	expect(long(0)).toBe(MAX_RUN);
	suspects.shorten(501);
	expect(long(0)).toBe(251);
	suspects.progressed(2 * 249);
	expect(long(0)).toBe(251);
	suspects.progressed(2 * 250);
	expect(long(251)).toBe(502);
	for (let times = 0; times < 9; times++) suspects.progressed(2 * (long(0) - 1));
	expect(long(0)).toBe(MAX_RUN);
});
