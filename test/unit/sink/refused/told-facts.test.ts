/** What is told of rows that can't be written: news, and what is over. */
import { expect, it } from "vitest";
import { ToldFacts } from "../../../../src/sink/writer/refused/told-facts.ts";

const fact = (partition: number, words: string, table = "events") => ({ topic: "t", partition, table, words });

it("a fact is told once, again where it has changed, and over when it holds no more", () => {
	const told = new ToldFacts<ReturnType<typeof fact>>((before, now) => before.words === now.words);
	const first = [fact(0, "locked"), fact(1, "locked"), fact(0, "locked", "orders")];
	expect(told.update(first)).toEqual({ told: first, over: [] });
	expect(told.update(first)).toEqual({ told: [], over: [] });
	const changed = fact(1, "a trigger fails");
	expect(told.update([fact(0, "locked"), changed])).toEqual({ told: [changed], over: [fact(0, "locked", "orders")] });
	expect(told.update([])).toEqual({ told: [], over: [fact(0, "locked"), changed] });
	expect(told.update([fact(0, "locked")])).toEqual({ told: [fact(0, "locked")], over: [] });
});
