/** `dead-letters`: which letters a verb takes, what it asks, and what it says. The letters are in a store of the test's. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { oneLine } from "../../../src/commands/dead-letters/letter-list.ts";
import { LetterProgress } from "../../../src/commands/dead-letters/letter-progress.ts";
import { replay, wordsOf } from "../../../src/commands/dead-letters/letter-replay.ts";
import { filterOf, selectionOf } from "../../../src/commands/dead-letters/letter-selection.ts";
import "../../../src/commands/dead-letters/dead-letters.ts";
import { loadConfig } from "../../../src/config/load.ts";
import type { LetterCount, LetterFate, LetterFilter, LetterStore, StoredLetter } from "../../../src/core/dead-letters/dead-letter.ts";
import { DeadLetterTableStore } from "../../../src/sink/dead-letters/dead-letter-table-store.ts";
import { replayFailure, storedLetter } from "../../support/fakes/dead-letters.ts";
import type { ManualClock } from "../../support/fakes/manual-clock.ts";
import { playedCommand, playedContext, playedEnvironment, playKafka } from "../../support/fakes/played-command.ts";

const store = DeadLetterTableStore.prototype;
let letters: StoredLetter[];
/** What was asked to change. */
let changed: [verb: string, filter: LetterFilter][];

function matches({ topic, partition, offset, topicId, reason, states }: LetterFilter, letter: StoredLetter): boolean {
	const wanted = Object.entries({ topic, partition, offset, topicId, reason }).filter(([, value]) => value !== undefined);
	const isMeant = wanted.every(([name, value]) => letter[name as "topic"] === value);
	return isMeant && (states === undefined || (states as readonly string[]).includes(letter.state));
}

function countsOf(filter: LetterFilter): LetterCount[] {
	const counts = new Map<string, LetterCount>();
	for (const letter of letters.filter((each) => matches(filter, each))) {
		const { topic, state } = letter;
		counts.set(`${topic} ${state}`, { topic, state, letters: 1 + (counts.get(`${topic} ${state}`)?.letters ?? 0) });
	}
	return [...counts.values()];
}

beforeEach(() => {
	const of = (topic: string, state: string, count: number) =>
		Array.from({ length: count }, (_, offset) => storedLetter({ topic, state, offset, partition: 0 }));
	letters = [...of("orders", "open", 2), ...of("orders", "skipped", 3), ...of("payments", "open", 4), ...of("payments", "replayed", 5)];
	changed = [];
	vi.spyOn(store, "count").mockImplementation(async (filter) => countsOf(filter));
	vi.spyOn(store, "read").mockImplementation(async function* (filter, most = Number.POSITIVE_INFINITY) {
		yield letters.filter((each) => matches(filter, each)).slice(0, most);
	});
	for (const verb of ["discard", "purge"] as const)
		vi.spyOn(store, verb).mockImplementation(async (filter) => {
			changed.push([verb, filter]);
			return 7;
		});
});
afterEach(() => {
	vi.restoreAllMocks();
	vi.unstubAllGlobals();
});

const run = (...args: string[]) => playedCommand(["dead-letters", ...args]);

describe("list", () => {
	const rows = (stdout: string) =>
		stdout
			.trimEnd()
			.split("\n")
			.map((line) => line.split(/ +/));

	it("shows open letters, or those of the named state", async () => {
		const { code, stdout, stderr } = await run("list");
		expect([code, stderr, rows(stdout).length]).toEqual([0, "", 7]);
		expect(rows(stdout).slice(0, 2)).toEqual([
			["TOPIC", "PARTITION", "OFFSET", "REASON", "SQLSTATE", "STATE", "ATTEMPTS", "LAST-AT", "ERROR"],
			["orders", "0", "0", "poison", "-", "open", "1", "2023-11-14T22:13:20.000Z", "can't", "be", "read"],
		]);
		expect(rows((await run("list", "--state", "skipped")).stdout)).toHaveLength(4);
		expect(rows((await run("list", "--state", "all")).stdout)).toHaveLength(15);
	});

	it("says how many it leaves out, and how to see all", async () => {
		const limited = await run("list", "--limit", "5");
		expect([rows(limited.stdout).length, limited.stderr]).toEqual([6, "5 of 6 letters: --limit all lists every one.\n"]);
		expect(await run("list", "--limit", "6")).toMatchObject({ stderr: "" });
		expect(await run("list", "--limit", "all")).toMatchObject({ stderr: "" });
	});

	it("shows the head of an empty table, and says why it is empty", async () => {
		const said = async (...args: string[]) => (await run("list", ...args)).stderr;
		const { code, stdout } = await run("list", "--topic", "nowhere");
		expect([code, stdout]).toEqual([0, "TOPIC  PARTITION  OFFSET  REASON  SQLSTATE  STATE  ATTEMPTS  LAST-AT  ERROR\n"]);
		expect(await said("--topic", "nowhere")).toBe(
			"no letter that is open matches: topic nowhere has no letters; the group has orders: 2 open, 3 skipped; payments: 4 open, 5 replayed.\n",
		);
		expect(await said("--topic", "payments", "--state", "skipped")).toBe(
			"no letter that is skipped matches; others do: payments: 4 open, 5 replayed.\n",
		);
		expect(await said("--topic", "payments", "--partition", "9")).toBe(
			"no letter that is open matches; of topic payments there are 4 open, 5 replayed.\n".replace("4 open", "payments: 4 open"),
		);
		expect(await said("--partition", "9")).toMatch(/^no letter that is open matches; the group has orders: 2 open/);
		letters = [];
		expect(await said()).toBe("no letter that is open matches: the group has no letters at all.\n");
	});

	it("names the logs only where a topic has several", async () => {
		const of = (...ids: (string | null)[]) => ids.map((topicId, offset) => storedLetter({ topicId, offset, topic: "orders" }));
		letters = of("a", "a");
		expect(rows((await run("list")).stdout)[0]).not.toContain("TOPIC-ID");
		letters = of("a", null);
		expect(rows((await run("list")).stdout).map((cells) => cells[3])).toEqual(["TOPIC-ID", "a", "-"]);
		letters = [...of("a"), storedLetter({ topic: "payments", topicId: "b" })];
		expect(rows((await run("list")).stdout)[0]).not.toContain("TOPIC-ID");
	});

	it("makes another table after a thousand rows, and none without a row", async () => {
		const heads = async (count: number) => {
			letters = Array.from({ length: count }, (_, offset) => storedLetter({ offset }));
			return rows((await run("list", "--limit", "all")).stdout).flatMap(([first], at) => (first === "TOPIC" ? at : []));
		};
		expect([await heads(1_000), await heads(1_001)]).toEqual([[0], [0, 1_001]]);
	});

	it("prints a line of JSON for each letter: text as text, other bytes in base64", async () => {
		letters = [storedLetter({ key: Buffer.from([0xff]), value: null, headers: [["h", Buffer.from("x")]] }), storedLetter({ offset: 8 })];
		const { stdout } = await run("list", "--json");
		const [first, second] = stdout
			.trim()
			.split("\n")
			.map((line) => JSON.parse(line));
		expect([first.key, first.value, first.headers, second.key]).toEqual([{ base64: "/w==" }, null, [["h", "x"]], "key"]);
	});
});

it("an error is shown by its beginning, in one line", () => {
	expect(oneLine("a \n  b\nc")).toBe("a b c");
	expect([oneLine("x".repeat(100)), oneLine("x".repeat(101))]).toEqual(["x".repeat(100), `${"x".repeat(100)}…`]);
});

it.each([["replay"], ["discard"]])("all states are nothing that %s takes", async (verb) => {
	const { code, stderr } = await run(verb, "--state", "all");
	expect([code, stderr]).toEqual([2, expect.stringContaining("argument 'all' is invalid")]);
});

describe("show", () => {
	it("prints all of a letter, further lines of a value below its first", async () => {
		letters = [storedLetter({ error: "one\ntwo", sqlstate: "22003" })];
		const { stdout } = await run("show", "orders", "2", "7");
		expect(stdout).toMatch(/^error {12}one\n {17}two$/m);
		expect(stdout).toMatch(/^sqlstate {9}22003$/m);
		expect(stdout).toMatch(/^stack {12}null$/m);
	});

	it("prints the letter of each log, apart from the others", async () => {
		letters = ["a", "b"].map((topicId) => storedLetter({ topicId }));
		const { stdout } = await run("show", "orders", "2", "7");
		expect(stdout.split("\n\n").map((each) => /topicId +(.)/.exec(each)?.[1])).toEqual(["a", "b"]);
		const json = await run("show", "orders", "2", "7", "--json");
		expect(
			json.stdout
				.trim()
				.split("\n")
				.map((line) => JSON.parse(line).topicId),
		).toEqual(["a", "b"]);
	});

	it("says that there is none", async () => {
		expect(await run("show", "orders", "2", "99")).toMatchObject({
			code: 1,
			stderr: "pockaffe: there is no dead letter of orders/2 at offset 99\n",
		});
	});
});

describe("a selection", () => {
	it("has every filter in its place; - means letters without a topic id", () => {
		const options = { topic: "t", partition: 1, offset: 2, topicId: "id", reason: "poison", state: "skipped" } as const;
		expect(filterOf(options, ["open"])).toEqual({
			topic: "t",
			partition: 1,
			offset: 2,
			topicId: "id",
			reason: "poison",
			states: ["skipped"],
		});
		expect(filterOf({ topicId: "-" }, ["open"])).toMatchObject({ topicId: null, states: ["open"] });
	});

	it.each([
		{ topic: "t" },
		{ partition: 0 },
		{ offset: 0 },
		{ topicId: "-" },
		{ reason: "poison" },
		{ state: "open" },
		{ all: true },
	] as const)("may be %j; without any a verb that changes letters is refused", (options) => {
		for (const verb of ["replay", "discard", "purge"] as const) expect(selectionOf(options, verb).states).toBeDefined();
		expect(() => selectionOf({}, "discard")).toThrow("say which: --all, or --topic, --partition");
	});

	it("takes the verb's usual states, and none that it does nothing with", () => {
		const all = { all: true };
		expect([selectionOf(all, "replay"), selectionOf(all, "discard"), selectionOf(all, "purge")].map(({ states }) => states)).toEqual([
			["open"],
			["open"],
			["replayed", "discarded"],
		]);
		expect(() => selectionOf({ state: "replayed" }, "discard")).toThrow(
			"discard does nothing with letters that are replayed: it takes those that are open, skipped",
		);
	});
});

describe("discard", () => {
	it("marks what was asked for, and says how many", async () => {
		expect(await run("discard", "--topic", "orders", "--yes")).toMatchObject({ code: 0, stdout: "7 discarded.\n" });
		expect(await run("discard", "--all", "--purge", "--yes", "--json")).toMatchObject({ stdout: '{"deleted":7}\n' });
		expect(changed).toMatchObject([
			["discard", { topic: "orders", states: ["open"] }],
			["purge", { states: ["replayed", "discarded"] }],
		]);
	});

	it("asks first, with the numbers, and that a purge is for ever", async () => {
		expect(await run("discard", "--topic", "orders")).toMatchObject({
			code: 2,
			stderr: expect.stringContaining("This will discard 2 letters (orders: 2 open). Say --yes"),
		});
		letters = letters.filter(({ state, offset }) => state !== "replayed" || offset === 0);
		expect((await run("discard", "--all", "--purge")).stderr).toContain(
			"This will delete 1 letter (payments: 1 replayed), for ever. Say --yes",
		);
		expect(changed).toEqual([]);
	});

	it("only counts with --dry-run", async () => {
		expect((await run("discard", "--all", "--dry-run")).stdout).toBe(
			"Would discard 6 letters (orders: 2 open; payments: 4 open). Nothing was changed (--dry-run).\n",
		);
		const purge = await run("discard", "--all", "--purge", "--dry-run", "--json");
		expect([JSON.parse(purge.stdout), changed]).toEqual([
			{ would_delete: 5, counts: [{ topic: "payments", state: "replayed", letters: 5 }] },
			[],
		]);
	});

	it("does nothing where there is none: of all that is fine, of a name it is a mistake", async () => {
		letters = [];
		expect(await run("discard", "--all")).toMatchObject({ code: 0, stdout: "0 discarded.\n" });
		expect((await run("discard", "--all", "--dry-run")).stdout).toBe("Would discard 0 letters. Nothing was changed (--dry-run).\n");
		for (const filter of [
			["--topic", "nowhere"],
			["--all", "--topic", "nowhere"],
			["--partition", "0"],
			["--offset", "0"],
			["--topic-id", "-"],
			["--reason", "poison"],
		])
			expect(await run("discard", "--yes", ...filter)).toMatchObject({
				code: 1,
				stderr: expect.stringContaining("no letter that is open"),
			});
		expect(changed).toEqual([]);
	});
});

describe("replay", () => {
	it("only counts with --dry-run", async () => {
		expect((await run("replay", "--all", "--dry-run")).stdout).toBe(
			"Would replay 6 letters (orders: 2 open; payments: 4 open). Nothing was changed (--dry-run).\n",
		);
		const { stdout } = await run("replay", "--topic", "orders", "--state", "skipped", "--dry-run", "--json");
		expect(JSON.parse(stdout)).toEqual({ would_replay: 3, counts: [{ topic: "orders", state: "skipped", letters: 3 }] });
	});

	it("says what a letter's message became", () => {
		const [letter, newer] = [storedLetter(), { table: "events", id: 'a"b' }];
		const of = { topic: "orders", partition: 1, offset: 9 };
		const met = { letter, failure: null, isLeft: false, newer: null };
		expect(wordsOf(met)).toEqual({ error: null, words: "replayed" });
		expect(wordsOf({ ...met, isLeft: true })).toMatchObject({
			error: expect.stringContaining("finishedTo"),
			words: expect.stringMatching(/^still unfinished: /),
		});
		const failure = { ...letter, ...replayFailure, error: "out\nof range" } as never;
		expect(wordsOf({ ...met, failure })).toEqual({ error: "out\nof range", words: "still fails: out of range" });
		expect(wordsOf({ ...met, newer: { ...newer, of } as never })).toEqual({
			...{ error: null, words: 'replayed: events "a\\"b" keeps the newer row of orders/1 offset 9', newer_row: true, row_of: of },
		});
		expect(wordsOf({ ...met, newer: { ...newer, of: null } as never }).words).toBe('replayed: events "a\\"b" keeps the newer row');
	});

	/** Replays letters of which none may be: no handler is loaded. */
	async function refused(filter: LetterFilter, environment: Record<string, string> = {}, asJson = false) {
		const { context, said } = playedContext();
		const { config } = loadConfig({ environment: { ...playedEnvironment, ...environment }, cwd: "/nowhere" });
		const settled: LetterFate[] = [];
		const played = {
			count: async () => countsOf({}),
			read: () => store.read({}),
			settle: async (fates: LetterFate[]) => settled.push(...fates),
		};
		const tools = { config, store: played as unknown as LetterStore, database: () => ({}) as never };
		await replay(tools, filter, { all: true, isDryRun: false, asJson }, context);
		return { ...(await said()), settled };
	}

	it("leaves letters alone that lack a part of their message, and says which", async () => {
		letters = [
			storedLetter({ omitted: { value: { bytes: 9, sha256: "ab" } } }),
			storedLetter({ offset: 8, topicId: "b", omitted: { key: { bytes: 8, sha256: "cd" } } }),
		];
		const { code, stdout, settled } = await refused({});
		expect([code, settled]).toEqual([1, []]);
		expect(stdout.split("\n")).toEqual([
			"orders/2 offset 7: still fails: it was too large for deadLetters, and is stored without its value (9 bytes, SHA-256 ab)",
			"orders/2 offset 8 of the log b: still fails: it was too large for deadLetters, and is stored without its key (8 bytes, SHA-256 cd)",
			"0 replayed, 2 still fail.",
			"",
		]);
		const json = await refused({}, {}, true);
		expect(
			json.stdout
				.trim()
				.split("\n")
				.map((line) => JSON.parse(line)),
		).toMatchObject([
			{ topic: "orders", partition: 2, offset: 7, topicId: null, replayed: false, error: expect.stringContaining("too large") },
			{ offset: 8, topicId: "b" },
		]);
	});

	it("leaves a message alone that ended a process, unless it is named", async () => {
		const of = (over: object) => [storedLetter({ reason: "process_died", ...over })];
		letters = of({});
		const words = "orders/2 offset 7: still fails: it ended the daemon's process: to try it nevertheless, name it";
		for (const filter of [
			{},
			{ topic: "orders", partition: 2 },
			{ topic: "orders", offset: 7 },
			{ partition: 2, offset: 7 },
			{ reason: "poison" },
		])
			expect((await refused(filter)).stdout).toContain(words);
		letters = of({ omitted: { value: { bytes: 9, sha256: "ab" } } });
		for (const filter of [{ topic: "orders", partition: 2, offset: 7 }, { reason: "process_died" }])
			expect((await refused(filter)).stdout).toContain("it was too large");
	});

	it("leaves letters of an earlier log alone where offsets decide", async () => {
		playKafka({ ids: { orders: "now" } });
		letters = [storedLetter({ topicId: "before" }), storedLetter({ topic: "payments", topicId: "gone" })];
		const environment = { POCKAFFE_CAS_VERSION: "offset" };
		expect((await refused({}, environment)).stdout.split("\n").slice(0, 2)).toEqual([
			expect.stringMatching(/^orders\/2 offset 7: still fails: it is of an earlier log of the topic: table events decides by offsets/),
			expect.stringMatching(/^payments\/2 offset 7: still fails: it may be of an earlier log of the topic \(Kafka could not be asked\)/),
		]);
	});
});

describe("the progress of a replay", () => {
	it("is a line every ten seconds, and the sum at the end", async () => {
		const { context, said } = playedContext();
		const clock = context.clock as ManualClock;
		await clock.advance(1_000);
		using progress = new LetterProgress(2_000, context);
		for (let count = 1; count <= 1_500; count++) {
			await clock.advance(count === 1_200 ? 10_000 : count === 1_300 ? 9_999 : 0);
			progress.told(count > 2, count > 1_490);
		}
		expect((await said()).stderr).toBe("1,200 of 2,000 letters: 1,198 replayed, 2 still fail; 120 a second\n");
		expect(progress.words).toBe("1,498 replayed (10 of them left a newer row as it is), 2 still fail.");
		using other = new LetterProgress(1, context);
		other.told(false, false);
		expect(other.words).toBe("0 replayed, 1 still fails.");
	});
});
