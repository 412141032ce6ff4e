/** How partitions are given to librdkafka and taken from it. */
import { expect, it } from "vitest";
import { FetchedPartitions } from "../../../../src/kafka/client/fetched-partitions.ts";

const one = { topic: "t", partition: 3 };
const at = { ...one, offset: 5 };

/** A client that takes note of its calls, and refuses these. */
function open(...refused: readonly string[]) {
	const calls: unknown[] = [];
	const names = ["assign", "unassign", "incrementalAssign", "incrementalUnassign", "pause", "resume", "subscription"];
	const take = (name: string) => (list?: unknown) => {
		calls.push(list === undefined ? name : [name, list]);
		if (refused.includes(name)) throw new Error("erroneous state");
	};
	const raw = Object.fromEntries(names.map((name) => [name, take(name)]));
	return { calls, fetched: new FetchedPartitions(raw as never) };
}

it("an assignment is a whole or a difference, and waits until its partitions have started", () => {
	const { calls, fetched } = open();
	fetched.assign([{ ...at, from: "committed" } as never], false);
	fetched.assign([at], true);
	fetched.assign([], true);
	expect(calls).toEqual([
		...[["assign", [at]], "subscription", "subscription"],
		...[["incrementalAssign", [at]], "subscription", "subscription"],
		["incrementalAssign", []],
	]);
});

it("an assignment of a client that closes is no error", () => {
	const { calls, fetched } = open("subscription");
	fetched.assign([at], true);
	expect(calls).toEqual([["incrementalAssign", [at]], "subscription"]);
});

it("what was paused is resumed before it is assigned again, and nothing else", () => {
	const { calls, fetched } = open();
	fetched.pause([at]);
	fetched.assign([at, { ...at, partition: 4 }], true);
	fetched.assign([at], true);
	expect(calls.filter((call) => call !== "subscription")).toEqual([
		["pause", [one]],
		["resume", [one]],
		["resume", [one]],
		["incrementalAssign", [at, { ...at, partition: 4 }]],
		["incrementalAssign", [at]],
	]);
});

it.each([
	[true, [["incrementalUnassign", [one]], "unassign"]],
	[false, ["unassign", ["incrementalUnassign", [one]]]],
])("a revocation (incremental: %s) is answered the other way where a closing client refuses one", (incremental, both) => {
	const { calls, fetched } = open();
	fetched.unassign([at], incremental);
	expect(calls).toEqual([both[0]]);
	const closing = open(incremental ? "incrementalUnassign" : "unassign");
	closing.fetched.unassign([at], incremental);
	expect(closing.calls).toEqual(both);
});

it("a move is a partition's end and its start elsewhere, and waits for that", () => {
	const { calls, fetched } = open();
	fetched.seek(at);
	expect(calls).toEqual([["incrementalUnassign", [one]], ["incrementalAssign", [at]], "subscription", "subscription"]);
});

it("a client that closes is neither paused nor resumed", () => {
	const { calls, fetched } = open();
	fetched.resume([]);
	fetched.end();
	fetched.pause([one]);
	fetched.resume([one]);
	expect(calls).toEqual([]);
});

it("stored offsets are librdkafka's to find: partitions are assigned without one", () => {
	const { calls, fetched } = open();
	fetched.assignStored([at]);
	expect(calls).toEqual([["assign", [one]]]);
});
