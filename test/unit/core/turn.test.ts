import { describe, expect, it } from "vitest";
import { Turn } from "../../../src/core/waiting/turn.ts";
import { settle } from "../../support/fakes/manual-clock.ts";

/** Asks by name in this order; `begun` are those whose turn has begun. */
function asked(asks: readonly (readonly [name: string, way: "alone" | "together"])[]) {
	const turn = new Turn();
	const begun: string[] = [];
	const parts = new Map(asks.map(([name]) => [name, { aborted: new AbortController(), end: () => {} }]));
	for (const [name, way] of asks) {
		const part = parts.get(name) as { aborted: AbortController; end: () => void };
		void turn[way](part.aborted.signal).then((end) => {
			begun.push(end ? name : `${name} not`);
			part.end = end ?? part.end;
		});
	}
	return {
		begun: async () => {
			await settle();
			return begun;
		},
		end: (name: string) => parts.get(name)?.end(),
		abort: (name: string) => parts.get(name)?.aborted.abort(),
	};
}

describe("a turn", () => {
	it("is shared by all that may be together", async () => {
		const { begun } = asked([
			["a", "together"],
			["b", "together"],
		]);
		expect(await begun()).toEqual(["a", "b"]);
	});

	it("is for one who wants to be alone when everybody before has ended, and for those behind when that one has", async () => {
		const { begun, end } = asked([
			["a", "together"],
			["b", "together"],
			["alone", "alone"],
			["c", "together"],
			["alone too", "alone"],
		]);
		await begun();
		end("b");
		expect(await begun()).toEqual(["a", "b"]);
		end("a");
		expect(await begun()).toEqual(["a", "b", "alone"]);
		end("alone");
		expect(await begun()).toEqual(["a", "b", "alone", "c"]);
		end("c");
		expect(await begun()).toEqual(["a", "b", "alone", "c", "alone too"]);
	});

	it.each(["alone", "together"] as const)("goes on to the next where one that wants it %s no longer waits", async (way) => {
		const { begun, end, abort } = asked([
			["first", "alone"],
			["gone", way],
			["next", "alone"],
		]);
		await begun();
		abort("gone");
		expect(await begun()).toEqual(["first", "gone not"]);
		end("first");
		expect(await begun()).toEqual(["first", "gone not", "next"]);
	});
});
