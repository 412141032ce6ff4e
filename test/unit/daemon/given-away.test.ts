/** Partitions that a member gives away and gets back: when their thread still fits the messages. */
import { describe, expect, it } from "vitest";
import { GivenAway } from "../../../src/daemon/given-away.ts";
import { ManualClock } from "../../support/fakes/manual-clock.ts";

const partition = { topic: "t", partition: 0 };

/** A partition that stands at `committable`, whose messages up to `handedTo` the handler had; it is given away, and begins at `begins`. */
async function givenBack({
	handedTo,
	committable,
	begins,
	isCommitted = true,
}: Record<"handedTo" | "committable" | "begins", number> & { isCommitted?: boolean }) {
	let offset = committable;
	const given = new GivenAway(
		{
			supervisor: { children: new Map([["t/0", { child: { queue: { handedTo }, evidence: null } }]]) },
			committer: { commitWithin: async () => isCommitted },
			ledger: { of: () => ({ logId: "log", committable: offset }) },
		} as never,
		{ release: async () => {} } as never,
		new ManualClock(),
	);
	await given.give([partition], 1_000);
	offset = begins;
	return given.goesOn(partition);
}

describe("a partition that comes back", () => {
	it("goes on with its thread where everything that the handler had is finished", async () => {
		expect(await givenBack({ handedTo: 7, committable: 7, begins: 7 })).toBe(true);
		// Offsets between the last message and the next one may be missing from the log.
		expect(await givenBack({ handedTo: 5, committable: 7, begins: 7 })).toBe(true);
	});

	it("gets a thread anew where a message comes again that the handler had, also one that waits in the queue", async () => {
		expect(await givenBack({ handedTo: 8, committable: 7, begins: 7 })).toBe(false);
	});

	it("gets a thread anew where others went on meanwhile, or the offsets were not committed", async () => {
		expect(await givenBack({ handedTo: 7, committable: 7, begins: 9 })).toBe(false);
		expect(await givenBack({ handedTo: 7, committable: 7, begins: 7, isCommitted: false })).toBe(false);
	});
});
