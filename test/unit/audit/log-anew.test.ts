/** Which part of a log a reprocessing handles again, by partition, and which messages belong to it. */
import { afterAll, expect, it } from "vitest";
import type { CoveredPartition } from "../../../src/audit/log/log-coverage.ts";
import { LogAnew } from "../../../src/audit/rows-anew/log-anew.ts";
import type { LogRange, LogReader } from "../../../src/kafka/log-reader.ts";
import { auditedConfig } from "../../support/fakes/audited-log.ts";
import { ManualClock } from "../../support/fakes/manual-clock.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const folder = await temporaryFolder();
afterAll(() => folder[Symbol.asyncDispose]());
const config = await auditedConfig(folder.path);

const range = (topic: string, partition: number, over: Partial<CoveredPartition> = {}): CoveredPartition => ({
	...{ topic, partition, topicId: null, start: 10, startIs: "recorded", low: 0, high: 60, isNoted: false, committed: 50 },
	...{ from: 10, to: 50, skipped: [], disbelieved: [], ...over },
});

function anew(stretch: readonly LogRange[], covered: readonly CoveredPartition[], reader: Partial<LogReader> = {}): LogAnew {
	const parts = { config, stretch, clock: new ManualClock(), random: () => 0.5, signal: new AbortController().signal, progress: () => {} };
	return new LogAnew(parts, { reader: reader as LogReader, folder: folder.path, covered, letters: [] });
}

/** The offsets of a partition that are meant. */
function meant(log: LogAnew, topic: string, partition: number): number[] {
	return Array.from({ length: 70 }, (_, offset) => offset).filter((offset) => log.isMeant({ topic, partition, offset }));
}

const upTo = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index);

it("a stretch is of its own partition and topic alone", () => {
	const covered = [range("orders", 0), range("orders", 1), range("others", 1)];
	const log = anew([{ topic: "orders", partition: 1, from: 20, to: 25 }], covered);
	expect(covered.map(({ topic, partition }) => meant(log, topic, partition))).toEqual([[], upTo(20, 25), []]);
	expect(meant(log, "none", 1)).toEqual([]);
});

it("a stretch ends where the covered part does, and begins with it", () => {
	const log = anew([{ topic: "orders", partition: 0, from: 0, to: 99 }], [range("orders", 0)]);
	expect(meant(log, "orders", 0)).toEqual(upTo(10, 50));
	expect(meant(anew([{ topic: "orders", partition: 0, from: 60, to: 70 }], [range("orders", 0)]), "orders", 0)).toEqual([]);
});

it("a message before the stretch of any partition may have made a row of the same id", () => {
	const place = { topic: "orders", partition: 0, offset: 30, timestamp: 1 };
	const covered = [range("orders", 0), range("orders", 1)];
	const whole = covered.map(({ topic, partition, from, to }) => ({ topic, partition, from, to }));
	expect(anew(whole, covered).beginsBefore(place)).toBe(false);
	expect(anew([whole[0] as LogRange, { topic: "orders", partition: 1, from: 11, to: 50 }], covered).beginsBefore(place)).toBe(true);
	expect(anew(whole.slice(0, 1), covered).beginsBefore({ ...place, topic: "none" })).toBe(false);
});

it("where the group began matters only where the stretch begins there", () => {
	const covered = [range("orders", 0, { startIs: "unknown" }), range("orders", 1)];
	const unknown = (from: number, to: number) =>
		anew(
			[0, 1].map((partition) => ({ topic: "orders", partition, from, to })),
			covered,
		).unknownStart;
	expect(unknown(0, 50)).toEqual([{ topic: "orders", partition: 0 }]);
	expect(unknown(10, 11)).toEqual([{ topic: "orders", partition: 0 }]);
	expect([unknown(11, 50), unknown(10, 10)]).toEqual([[], []]);
});

it("a row is an orphan if the log still has the very message that it names, also one without a timestamp", async () => {
	const read: LogRange[] = [];
	const reader: Partial<LogReader> = {
		async *read(ranges) {
			read.push(...ranges);
			const message = { topic: "orders", partition: 0, key: null, value: null, headers: [] };
			yield [
				{ topic: "orders", partition: 0 },
				[
					{ ...message, offset: 20, timestamp: -1 },
					{ ...message, offset: 21, timestamp: 7 },
					{ ...message, offset: 22, timestamp: 7 },
				],
			];
		},
	};
	const covered = [range("orders", 0, { skipped: [{ from: 22, to: 23, reason: "offsets_set" }] })];
	const candidate = (id: string, offset: number, timestamp: number) => ({
		...{ id, row: null, stored: { topic: null, partition: 0, offset, timestamp, deleted: false } },
	});
	const candidates = [
		candidate("without", 20, 0),
		candidate("its", 21, 7),
		candidate("another log's", 21, 8),
		candidate("passed over", 22, 7),
	];
	const orphaned = await anew([], covered, reader).orphaned(candidates);
	expect(orphaned.map(({ id }) => id)).toEqual(["without", "its"]);
	expect(read).toEqual([{ topic: "orders", partition: 0, from: 20, to: 23 }]);
});
