/** What a verification comes to: when it says that all is well, and when it may not. */
import { expect, it } from "vitest";
import { LogCoverage } from "../../../src/audit/log/log-coverage.ts";
import { Findings } from "../../../src/audit/verification/findings.ts";
import { requirementsOf } from "../../../src/audit/verification/requirements.ts";
import { reportOf } from "../../../src/audit/verification/verification-report.ts";
import type { RowFinding } from "../../../src/sink/comparison/table-comparison.ts";

const partition = {
	topic: "t",
	topicId: null,
	start: 0,
	startIs: "recorded" as const,
	low: 0,
	isNoted: false,
	skipped: [],
	disbelieved: [],
};
const ranges = [
	{ ...partition, partition: 0, high: 60, committed: 50, from: 0, to: 50, hasBegun: false },
	{ ...partition, partition: 1, high: 7, committed: null, from: 0, to: 0, hasBegun: true },
];

function reportAfter(find: (findings: Findings) => void, requirements = "") {
	const coverage = new LogCoverage(ranges, []);
	const findings = new Findings({ coverage, onlyTopic: "t", maxDifferences: 10 });
	find(findings);
	const wanted = requirements === "" ? [] : requirementsOf(requirements);
	return reportOf({ group: "g", messages: 50, recordsLeftOut: false, lettersMissing: null, coverage, findings, requirements: wanted });
}

function row(kind: RowFinding["kind"], offset: number): RowFinding {
	const stored = { topic: null, partition: 0, offset, timestamp: 1, deleted: false };
	return { kind, table: "events", id: `row of ${offset}`, expected: null, stored, columns: [], sqlstate: null };
}

it("is verified where all matched, and where nothing was there at all", () => {
	expect(reportAfter((findings) => findings.count("matched", "events", ["a", "b"]))).toMatchObject({
		verified: true,
		lookedAt: { ids: 2, of: 2, share: 1 },
		messages: 50,
		begunOnly: 1,
	});
	expect(reportAfter(() => {}).verified).toBe(true);
});

it("is not verified by one difference among many matches: a row too many alone", () => {
	const report = reportAfter((findings) => {
		findings.count("matched", "events", ["a", "b"]);
		findings.found(row("extra", 3));
	});
	expect(report).toMatchObject({ verified: false, counts: { matched: 2, extra: 1 }, differences: [{ id: "row of 3" }] });
});

it("is not verified where ids were met, all of them ahead, and none could be compared", () => {
	const report = reportAfter((findings) => findings.found(row("newer", 55)));
	expect([report.verified, report.counts.ahead, report.differences]).toEqual([false, 1, []]);
	const mixed = reportAfter((findings) => {
		findings.found(row("newer", 55));
		findings.count("purged", "events", ["a"]);
	});
	expect(mixed.verified).toBe(true);
});

it("tells the requirements that don't hold beside it", () => {
	const report = reportAfter((findings) => findings.found(row("newer", 55)), "ahead=0,unread=17");
	expect(report.unmet).toEqual(["ahead is 1, not 0"]);
});
