import { expect, it } from "vitest";
import type { StoredLetter } from "../../../../src/core/dead-letters/dead-letter.ts";
import type { LetterRecord } from "../../../../src/kafka/dead-letters/dead-letter-record.ts";
import { LetterFold } from "../../../../src/kafka/dead-letters/letter-fold.ts";

const place = { topic: "orders", partition: 5, offset: 7 };
const log = { topicId: "A", timestamp: 1_000 };
const MINUTE = 60_000;

/** A letter's record at a time in minutes, in a partition of the letters' topic. */
function letter(minute: number, over: Partial<StoredLetter> & { home?: number; receivedMinute?: number } = {}): LetterRecord {
	const { home = 1, receivedMinute = minute, ...said } = over;
	const stored = { ...place, ...log, error: `of minute ${minute}`, state: "open", ...said } as StoredLetter;
	const times = { recordedAtMs: minute * MINUTE, receivedAtMs: receivedMinute * MINUTE };
	return { type: "letter", consumerGroup: "g", partition: home, offset: minute, letter: stored, ...times };
}

function mark(minute: number, state: "replayed" | "discarded" = "replayed", over: object = {}, home = 1): LetterRecord {
	return {
		type: "mark",
		consumerGroup: "g",
		partition: home,
		offset: minute,
		recordedAtMs: minute * MINUTE,
		of: { ...place, ...log, ...over },
		state,
	};
}

function folded(...records: readonly LetterRecord[]) {
	const fold = new LetterFold(({ error }) => error);
	for (const record of records) fold.take(record);
	return [...fold.letters()].map(({ topicId, timestamp, state, content, homes }) => ({
		log: `${topicId} ${timestamp}`,
		state,
		content,
		homes: homes.map(({ partition }) => partition),
	}));
}

const states = (...records: readonly LetterRecord[]) => folded(...records).map(({ state }) => state);

it("the newest record of a message holds, and a mark says what became of it", () => {
	expect(folded(letter(1), letter(2))).toEqual([{ log: "A 1000", state: "open", content: "of minute 2", homes: [1] }]);
	expect(states(letter(1), mark(2))).toEqual(["replayed"]);
	expect(states(letter(1), mark(2, "discarded"))).toEqual(["discarded"]);
	expect(states(letter(1), mark(2, "discarded"), mark(3))).toEqual(["replayed"]);
	expect(states(letter(1), mark(2), mark(3, "discarded"))).toEqual(["replayed"]);
	expect(states(letter(1, { state: "skipped" }), letter(2))).toEqual(["open"]);
	expect(states(letter(1), letter(2, { state: "skipped" }))).toEqual(["open"]);
});

it("letters of several logs of a topic are several letters, known by the topic's id or by the timestamp", () => {
	expect(folded(letter(1), letter(2, { topicId: "B", timestamp: 2_000 }), mark(3)).map((each) => [each.log, each.state])).toEqual([
		["A 1000", "replayed"],
		["B 2000", "open"],
	]);
	// Each tells them apart by itself.
	const other = { topicId: "B" };
	expect(folded(letter(1), letter(2, other), mark(3, "replayed", other)).map((each) => [each.log, each.state])).toEqual([
		["A 1000", "open"],
		["B 1000", "replayed"],
	]);
	const nameless = { topicId: null };
	expect(folded(letter(1, nameless), letter(2, { ...nameless, timestamp: 2_000 })).map(({ log: name }) => name)).toEqual([
		"null 1000",
		"null 2000",
	]);
	// Who knew the id and who didn't speak of the same.
	expect(folded(letter(1, nameless), letter(2))).toMatchObject([{ log: "A 1000", content: "of minute 2" }]);
	expect(states(letter(1), mark(2, "replayed", nameless))).toEqual(["replayed"]);
	// An earlier version told the place alone.
	expect(states(letter(1, nameless), mark(2, "replayed", { topicId: null, timestamp: null }))).toEqual(["replayed"]);
});

it("a message that is delivered anew and fails opens its letter again; a late letter of an older attempt does not", () => {
	for (const state of ["replayed", "discarded"] as const) {
		expect(states(letter(1), mark(10, state), letter(12, { receivedMinute: 11 }))).toEqual(["open"]);
		expect(folded(letter(1), mark(10, state), letter(12, { receivedMinute: 9 }))).toMatchObject([{ state, content: "of minute 1" }]);
		// Clocks of two machines may be apart by as much.
		expect(states(letter(1), mark(10, state), letter(12, { receivedMinute: 9.9 }))).toEqual(["open"]);
		// What came late changes nothing of what comes behind it.
		expect(states(letter(1), mark(10, state), letter(12, { receivedMinute: 9 }), letter(14, { receivedMinute: 11 }))).toEqual(["open"]);
	}
});

it("where the topic got more partitions a letter is open while it is in one of them, in whatever order they are read", () => {
	const before = [letter(1, { home: 1 }), mark(2, "replayed", {}, 1)];
	const behind = [letter(30, { home: 2 })];
	for (const records of [
		[...before, ...behind],
		[...behind, ...before],
	]) {
		expect(folded(...records)).toMatchObject([{ state: "open", content: "of minute 30" }]);
		expect(states(...records, mark(40, "replayed", {}, 2))).toEqual(["replayed"]);
	}
	// A mark that went to another partition than its letter says nothing.
	expect(states(mark(2, "replayed", {}, 2), letter(1, { home: 1 }))).toEqual(["open"]);
});

it("a letter came first when its message was first received, whichever record says so, and last when its newest was written", () => {
	const fold = new LetterFold(() => null);
	for (const record of [letter(5, { receivedMinute: 4 }), letter(7, { receivedMinute: 2, home: 0 }), letter(6, { receivedMinute: 3 })])
		fold.take(record);
	expect([...fold.letters()]).toMatchObject([{ firstAtMs: 2 * MINUTE, lastAtMs: 7 * MINUTE }]);
});
