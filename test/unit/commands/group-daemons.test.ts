/** Offsets set through several daemons: what is told where not all of them do it. The network is a table of who answers what. */
import { PassThrough } from "node:stream";
import { Command } from "commander";
import { afterEach, expect, it, vi } from "vitest";
import type { CommandContext } from "../../../src/commands/command-context.ts";
import { GroupDaemons } from "../../../src/commands/offsets/group-daemons.ts";
import { ManualClock } from "../../support/fakes/manual-clock.ts";

afterEach(() => {
	vi.unstubAllGlobals();
	posted = [];
});

type Answer = () => unknown;

/** What each POST sent, in order. */
let posted: { id: string; offsets: unknown }[] = [];

const set = (partition: number) => ({ topic: "t", partition, to: 5, committed: 9, again: 4, passedOver: 0 });
const isSet =
	(partition: number): Answer =>
	() => ({ outcome: "set", offsets: [set(partition)] });
const refuses: Answer = () => ({ error: { message: "a rebalance is under way; nothing was changed" } });
const late: Answer = () => {
	throw new DOMException("late", "TimeoutError");
};
const away: Answer = () => {
	throw new TypeError("fetch failed", { cause: new Error("refused") });
};

/** One daemon each, which has the partition of its place; each POST takes the next answer. */
async function daemons(...answers: Answer[][]): Promise<GroupDaemons> {
	vi.stubGlobal("fetch", async (url: URL, { method = "GET", body = "" } = {}) => {
		const index = Number(url.port) - 4000;
		if (method === "GET") return Response.json({ group: "g", partitions: [{ topic: "t", partition: index }] });
		posted.push(JSON.parse(body));
		const answer = (answers[index]?.shift() ?? late)();
		return Response.json(answer, { status: answer && typeof answer === "object" && "error" in answer ? 409 : 200 });
	});
	const clock = new ManualClock();
	clock.sleep = async (ms) => void (await clock.advance(ms));
	const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
	const signal = new AbortController().signal;
	const context: CommandContext = {
		environment: {},
		cwd: "/nowhere",
		...{ stdin, stdout, stderr, clock },
		version: "1.2.3",
		interrupted: signal,
		exit: () => {},
	};
	const urls = answers.map((_, index) => `http://127.0.0.1:${4000 + index}`);
	return await GroupDaemons.find("g", urls, new Command(), context);
}

const wanted = (...partitions: number[]) => partitions.map((partition) => ({ topic: "t", partition, to: 5 }));

it("tells what was set and what was not, where one of them refuses", async () => {
	const found = await (await daemons([isSet(0)], [refuses])).set(wanted(0, 1));
	expect(found).toEqual({ set: [set(0)], failed: [{ partitions: wanted(1), why: expect.stringContaining("a rebalance is under way") }] });
});

it("rejects with what the first says where none could", async () => {
	await expect((await daemons([refuses], [refuses])).set(wanted(0, 1))).rejects.toThrow("a rebalance is under way");
});

it("asks again after an ask that was too late, by the same name, until it is over", async () => {
	const group = await daemons([late, () => ({ outcome: "asked" }), late, isSet(0), isSet(0)]);
	expect(await group.set(wanted(0))).toEqual({ set: [set(0)], failed: [] });
	const [first] = posted;
	expect(posted).toEqual(Array.from({ length: 4 }, () => ({ id: first?.id, offsets: wanted(0) })));
	// Another wish has another name: the daemon would take it for the one that it has done.
	await group.set(wanted(0));
	expect(posted[4]?.id).not.toBe(first?.id);
});

it("gives up at the deadline, and at once where the daemon is gone", async () => {
	await expect((await daemons([])).set(wanted(0))).rejects.toThrow("not done after 120 s");
	await expect((await daemons([late, away, isSet(0)])).set(wanted(0))).rejects.toThrow("no daemon answers");
});
