/** A verification's report as people read it: what is told, and what is left out where there is nothing to tell. */
import { describe, expect, it } from "vitest";
import type { CoveredPartition } from "../../../src/audit/log/log-coverage.ts";
import type { VerificationReport } from "../../../src/audit/verification/verification-report.ts";
import { reportLines } from "../../../src/commands/audit/verification-text.ts";

const range: CoveredPartition = {
	...{ topic: "orders", partition: 3, hasBegun: false, topicId: "id", start: 10, startIs: "recorded", low: 10, high: 90 },
	...{ committed: 70, isNoted: false, from: 10, to: 70, skipped: [], disbelieved: [] },
};
const none = {
	...{ matched: 0, purged: 0, ahead: 0, unchecked: 0, lettered: 0, missing: 0, older: 0, newer: 0, different: 0, extra: 0 },
	...{ unwritable: 0, failed: 0, beyond: 0 },
};
const stored = { topic: "orders", partition: 3, offset: 17, timestamp: 99, deleted: false };
const found = { table: "events", id: 'a"b', expected: null, stored: null, columns: [], sqlstate: null };

function reportOf({ counts, ...over }: Partial<VerificationReport> = {}): VerificationReport {
	return {
		...{ group: "g", partitions: [range], messages: 1, recordsLeftOut: false, behind: 0, absentOffsets: 0, passedOver: 0, letters: {} },
		...{ lettersOfOtherLogs: 0, lettersMissing: null, lookedAt: { ids: 1_234, of: 5_678 } as VerificationReport["lookedAt"], begunOnly: 0 },
		...{ differences: [], verified: true, unmet: [], counts: { ...none, ...counts } },
		...over,
	};
}

const lines = (over: Partial<VerificationReport> = {}) => [...reportLines(reportOf(over))];
const verdict = (over: Partial<VerificationReport>) => lines(over).at(-1);
const ofCounts = (counts: Partial<VerificationReport["counts"]>) => ({ counts: { ...none, ...counts } });

describe("a report", () => {
	it("where all is well is short", () => {
		expect(lines()).toEqual([
			"group g: 1 message read, in 1 partition",
			"  orders/3  offsets 10 to 70",
			"not looked at: 0 messages after the committed offsets",
			"dead letters, left out: 0 open, 0 discarded, 0 skipped",
			"rows: 0 as the log says, 0 deleted and purged, 0 ahead (newer than the committed offsets), 0 of dead letters",
			"unchecked: 0 offsets that the log doesn't hold, 0 rows of messages that were not read",
			"differences: 0 missing, 0 older, 0 newer, 0 different, 0 extra, 0 unwritable, 0 failed, 0 beyond",
			"verified 1,234 of 5,678 ids: the tables are what the log says",
		]);
	});

	it("has each count in its place", () => {
		const counts = {
			...{ matched: 1, purged: 2, ahead: 3, unchecked: 4, lettered: 5, missing: 6, older: 7, newer: 8, different: 9, extra: 10 },
			...{ unwritable: 11, failed: 12, beyond: 13 },
		};
		const over = {
			...{ counts, verified: false, behind: 14, begunOnly: 15, absentOffsets: 16, passedOver: 17, lettersOfOtherLogs: 18 },
			...{ letters: { open: 19, discarded: 20, skipped: 21 }, lettersMissing: "table dead", recordsLeftOut: true },
		};
		expect(lines(over).slice(2)).toEqual([
			"not looked at: 14 messages after the committed offsets; in 15 partitions a daemon began, and nothing is committed",
			"records that the handler produces: left out, only rows are compared",
			"dead letters, left out: 19 open, 20 discarded, 21 skipped",
			"  and 18 of earlier logs of these topics, which were deleted and created again: they explain nothing here",
			"  there is no table dead: if the daemon stores letters elsewhere, their messages count as lost here (is deadLetters the daemon's?)",
			"rows: 1 as the log says, 2 deleted and purged, 3 ahead (newer than the committed offsets), 5 of dead letters",
			"passed over unread: 17 offsets; no rows are expected of them",
			"unchecked: 16 offsets that the log doesn't hold, 4 rows of messages that were not read",
			"differences: 6 missing, 7 older, 8 newer, 9 different, 10 extra, 11 unwritable, 12 failed, 13 beyond",
			"  … and 76 more (--limit)",
			"NOT verified: 76 differences, 1,234 of 5,678 ids compared; 3 ids are ahead; 4 are of messages that were not read; 5 are of dead letters; 14 messages are unread; 19 dead letters are open; 17 offsets were passed over. Find out why; then pockaffe reprocess writes missing and older rows again.",
		]);
	});

	it("says of one what it says of several", () => {
		const over = {
			...ofCounts({ missing: 1, ahead: 1, unchecked: 1, lettered: 1 }),
			verified: false,
			behind: 1,
			letters: { open: 1 },
			passedOver: 1,
		};
		expect(verdict(over)).toBe(
			"NOT verified: 1 difference, 1,234 of 5,678 ids compared; 1 id is ahead; 1 is of a message that was not read; 1 is of a dead letter; 1 message is unread; 1 dead letter is open; 1 offset was passed over. Find out why; then pockaffe reprocess writes missing and older rows again.",
		);
	});

	it.each<[what: string, over: Partial<VerificationReport>, verdict: string]>([
		["nothing could be compared", { ...ofCounts({}), verified: false }, "NOT verified: 1,234 of 5,678 ids, so nothing is known"],
		[
			"less holds than was asked for",
			{ unmet: ["share 0.2 of 1", "behind 3"] },
			"NOT as required (share 0.2 of 1; behind 3): verified 1,234 of 5,678 ids: the tables are what the log says",
		],
	])("says so where %s", (_, over, expected) => {
		expect(verdict(over)).toBe(expected);
	});

	it.each(["newer", "different", "extra"] as const)("says what may be harmless where rows are only %s", (kind) => {
		expect(verdict({ ...ofCounts({ [kind]: 1 }), verified: false })).toContain("After a change of the handler: pockaffe reprocess");
		for (const lost of ["missing", "older", "beyond"] as const)
			expect(verdict({ ...ofCounts({ [kind]: 1, [lost]: 1 }), verified: false })).not.toContain("After a change of the handler");
	});

	it("says what may be harmless where the handler only fails now, for which reprocess does nothing", () => {
		const words = verdict({ ...ofCounts({ failed: 1 }), verified: false });
		expect([words?.includes("differs without anything being lost"), words?.includes("reprocess")]).toEqual([true, false]);
	});

	it.each(["missing", "older"] as const)("says how %s rows come back, once the reason is found", (kind) => {
		expect(verdict({ ...ofCounts({ [kind]: 1 }), verified: false })).toContain("Find out why; then pockaffe reprocess writes");
	});

	it.each(["unwritable", "failed", "beyond"] as const)("does not advise what does not help where something is %s", (kind) => {
		expect(verdict({ ...ofCounts({ [kind]: 1 }), verified: false })).not.toContain("reprocess");
		expect(verdict({})).not.toContain("reprocess");
	});

	it("counts what it does not print", () => {
		const differences = [{ ...found, kind: "missing" as const }];
		expect(lines({ ...ofCounts({ missing: 1 }), differences })).not.toContainEqual(expect.stringContaining("--limit"));
		expect(lines({ ...ofCounts({ missing: 3 }), differences })).toContain("  … and 2 more (--limit)");
	});
});

describe("a partition's line", () => {
	it.each<[over: Partial<CoveredPartition>, words: string]>([
		[
			{ startIs: "new_log" },
			"the topic was created again, and the committed offset belongs to the earlier log: nothing of this one is committed",
		],
		[{ committed: null }, "nothing is committed"],
		[{ committed: null, hasBegun: true }, "nothing is committed, though a daemon began here: not looked at"],
		[{ low: 13, from: 13 }, "offsets 13 to 70; offsets 10 to 12 are no longer in the log"],
		[{ start: 20, from: 20 }, "offsets 20 to 70; the group began at 20: what the log holds before it is not looked at"],
		[
			{ startIs: "assumed" },
			"offsets 10 to 70; the group had committed before its first note: its offset then, 10, is taken for its beginning",
		],
		[{ startIs: "unknown", start: 0, low: 0 }, "offsets 10 to 70; where the group began is not recorded: 0 is assumed"],
		[{ isNoted: true }, "offsets 10 to 70; Kafka has no offset of the group: its note says how far it came"],
		[{ skipped: [{ from: 30, to: 40, reason: "offsets_set" }] }, "offsets 10 to 70; 30 to 39 were passed over (offsets_set)"],
		[
			{ disbelieved: [{ from: 50, to: 52, reason: "log_begins_after" }] },
			"offsets 10 to 70; 50 to 51 are noted as passed over (log_begins_after), but the log has them: they are looked at",
		],
	])("of %o", (over, words) => {
		expect(lines({ partitions: [{ ...range, ...over }] })[1]).toBe(`  orders/3  ${words}`);
	});
});

describe("a difference's line", () => {
	const line = (difference: VerificationReport["differences"][number]) => lines({ differences: [difference] })[7];
	const expected = { ...stored, offset: 18, deleted: true };

	it.each<[difference: VerificationReport["differences"][number], words: string]>([
		[
			{ kind: "failed", topic: "orders", partition: 3, offset: 5, reason: "poison", error: `no\n\tsuch ${"x".repeat(300)}` },
			`failed     orders/3@5: poison, and there is no dead letter of it: no such ${"x".repeat(192)}`,
		],
		[
			{ kind: "beyond", topic: "orders", partition: 3, offset: 95, high: 90 },
			"beyond     orders/3@95 is committed, and the log ends at 90: it lost its end, or somebody set the offset",
		],
		[{ ...found, kind: "missing", expected }, 'missing    events "a\\"b" · expected orders/3@18 (timestamp 99, a delete)'],
		[{ ...found, kind: "older", stored }, 'older      events "a\\"b" · stored orders/3@17 (timestamp 99)'],
		[{ ...found, kind: "extra", stored: { ...stored, topic: null } }, 'extra      events "a\\"b" · stored partition 3@17 (timestamp 99)'],
		[
			{ ...found, kind: "different", columns: ["n", "deleted"] },
			'different  events "a\\"b" · stored without coordinates · columns n, deleted',
		],
		[{ ...found, kind: "newer" }, 'newer      events "a\\"b" · stored without coordinates'],
		[{ ...found, kind: "unwritable", sqlstate: "22003" }, 'unwritable events "a\\"b" · SQLSTATE 22003'],
	])("of %o", (difference, words) => {
		expect(line(difference)).toBe(`  ${words}`);
	});
});
