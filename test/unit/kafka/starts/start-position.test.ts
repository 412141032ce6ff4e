import { describe, expect, it } from "vitest";
import type { TopicPartition } from "../../../../src/core/messages/message.ts";
import type { LogId, LogIdentity } from "../../../../src/core/offsets/log-identity.ts";
import type { PositionNote } from "../../../../src/core/offsets/position-note.ts";
import { KafkaError, kafkaErrors } from "../../../../src/kafka/client/kafka-error.ts";
import { FirstStart } from "../../../../src/kafka/starts/first-start.ts";
import {
	resolveStartPositions,
	type StartFrom,
	type StartQueries,
	type StartResolution,
} from "../../../../src/kafka/starts/start-position.ts";
import { ManualClock } from "../../../support/fakes/manual-clock.ts";

const partition = { topic: "t", partition: 0 };

interface Scene {
	readonly startFrom?: StartFrom;
	readonly committed?: number | null;
	/** The log that the table says its offset is of. */
	readonly log?: LogIdentity;
	readonly elsewhere?: number | null;
	readonly keptIn?: "kafka" | "table";
	readonly noted?: Partial<PositionNote>;
	readonly logId?: LogId;
	readonly firstStart?: FirstStart;
	readonly policy?: "park" | "earliest" | "latest";
	readonly queries?: Partial<StartQueries>;
}

/** The log has offsets 5 to 99. */
function resolution({
	startFrom = "earliest",
	committed = null,
	log,
	elsewhere,
	keptIn = "kafka",
	noted,
	logId = "now",
	firstStart = present(),
	policy = "park",
	queries = {},
}: Scene): StartResolution & { asked: string[] } {
	const asked: string[] = [];
	const note = { start: 5, assumed: false, log: { id: logId, witness: null }, reached: null, skipped: [], ...noted };
	const all = (offset: number | null) => async (partitions: readonly TopicPartition[]) =>
		partitions.map((each) => ({ ...each, offset, ...(log ? { log } : {}) }));
	return {
		asked,
		startFrom,
		onOffsetOutOfRange: policy,
		firstStart,
		queries: {
			topicIds: async (topics) => new Map(topics.map((topic) => [topic, logId])),
			watermarks: async () => {
				asked.push("bounds");
				return { low: 5, high: 99 };
			},
			offsetForTime: async () => 42,
			recordAt: async () => null,
			...queries,
		},
		store: { keptIn, claim: all(committed), ...(elsewhere === undefined ? {} : { elsewhere: all(elsewhere) }) },
		notes: { owner: "me", read: async () => new Map(noted ? [["t/0", { note, version: "1" }]] : []) },
	};
}

async function resolved(scene: Scene) {
	const { starts, failed } = await resolveStartPositions([partition], resolution(scene));
	expect(failed).toEqual([]);
	return starts[0] as NonNullable<(typeof starts)[0]>;
}

/** What is noted of an assignment that begins at `offset`, with nobody to suspect. */
function begun(offset: number) {
	return { by: "me", began: offset, held: null, deaths: [] };
}

const SESSION_MS = 10_000;

function firstStartOf(clock = new ManualClock(), unseen: readonly string[] = []): FirstStart {
	const first = new FirstStart(clock, SESSION_MS);
	for (const topic of unseen) first.unseen(topic);
	return first;
}

function present(clock?: ManualClock): FirstStart {
	const first = firstStartOf(clock);
	first.seen([{ ...partition, offset: null }]);
	return first;
}

describe("the start position", () => {
	it.each([
		["earliest", 5, "earliest"],
		["latest", 99, "latest"],
		[1_700_000_000_000, 42, "timestamp"],
	] as const)("is resolved to a number where nothing is kept or noted: %s", async (startFrom, offset, from) => {
		const start = await resolved({ startFrom });
		expect(start).toMatchObject({ ...partition, offset, committed: null, from, logId: "now" });
		expect(start.note.note).toEqual({
			start: offset,
			assumed: false,
			log: { id: "now", witness: null },
			reached: offset,
			skipped: [],
			hand: begun(offset),
		});
	});

	it("is the end where no message is as young as the timestamp", async () => {
		const start = await resolved({ startFrom: 1_700_000_000_000, queries: { offsetForTime: async () => null } });
		expect(start).toMatchObject({ offset: 99, from: "timestamp" });
	});

	it("is the committed offset wherever there is one, and nothing more is asked", async () => {
		const scene = resolution({ startFrom: "latest", committed: 17, noted: { reached: 17 } });
		const { starts } = await resolveStartPositions([partition], scene);
		expect(starts).toMatchObject([{ offset: 17, committed: 17, from: "committed", kept: null }]);
		expect(scene.asked).toEqual([]);
	});

	it("of a group that had committed before it was met is taken for its beginning", async () => {
		const start = await resolved({ committed: 17 });
		expect(start.note).toEqual({
			...partition,
			note: { start: 17, assumed: true, log: { id: "now", witness: null }, reached: 17, skipped: [], hand: begun(17) },
			replaces: null,
		});
	});

	it("set back before the group's beginning is its beginning from then on, and what was passed over behind it is read again", async () => {
		const skipped = [{ from: 20, to: 60, reason: "log_begins_after" as const }];
		const start = await resolved({ committed: 30, noted: { start: 40, reached: 70, skipped } });
		expect(start.note.note).toMatchObject({ start: 30, assumed: false, reached: 30, skipped: [{ ...skipped[0], to: 30 }] });
	});

	it("is the beginning for a partition that appeared later", async () => {
		expect(await resolved({ startFrom: "latest", firstStart: firstStartOf() })).toMatchObject({ offset: 5, from: "beginning" });
	});

	it.each([
		["had committed others before", { ...partition, partition: 1, offset: 3 }, []],
		["had noted others before", { ...partition, partition: 1, offset: null }, ["t/1"]],
	])("is the beginning for partitions of a topic of which the group %s", async (_, other, noted) => {
		const firstStart = firstStartOf();
		firstStart.seen([other, { ...partition, offset: null }], new Set(noted));
		expect(await resolved({ startFrom: "latest", firstStart })).toMatchObject({ offset: 5, from: "beginning" });
	});

	it("of a topic that could not be seen before is as configured, once for each partition; of one that is added later its beginning", async () => {
		const clock = new ManualClock();
		const firstStart = firstStartOf(clock);
		const added = { ...partition, partition: 7 };
		firstStart.unseen(partition.topic);
		firstStart.begun({ topic: "another", partition: 0 });
		await clock.advance(3 * SESSION_MS);
		expect(await resolved({ startFrom: "latest", firstStart })).toMatchObject({ offset: 99, from: "latest" });
		firstStart.begun(partition);
		expect(await resolved({ startFrom: "latest", firstStart })).toMatchObject({ offset: 5, from: "beginning" });
		await clock.advance(2 * SESSION_MS - 1);
		expect(firstStart.has(added)).toBe(true);
		await clock.advance(1);
		expect(firstStart.has(added)).toBe(false);
	});

	it("is as configured also while the member closes: what is looked up then is stored, and counts at the next start", async () => {
		const clock = new ManualClock();
		const firstStart = present(clock);
		firstStart.close();
		expect(await resolved({ startFrom: "latest", firstStart })).toMatchObject({ offset: 99, from: "latest" });
	});

	it.each([
		["that was seen", present],
		["that could not be seen", (clock: ManualClock) => firstStartOf(clock, [partition.topic])],
	])("of a topic %s stays as configured however long the close takes", async (_, firstOf) => {
		const clock = new ManualClock();
		const firstStart = firstOf(clock);
		firstStart.begun({ ...partition, partition: 7 });
		firstStart.close();
		await clock.advance(2 * SESSION_MS);
		expect(await resolved({ startFrom: "latest", firstStart })).toMatchObject({ offset: 99, from: "latest" });
	});

	it("is the beginning of a topic that was made again after every first start: two sessions behind this member's first", async () => {
		const clock = new ManualClock();
		const firstStart = present(clock);
		firstStart.begun({ ...partition, partition: 7 });
		await clock.advance(2 * SESSION_MS - 1);
		expect(await resolved({ startFrom: "latest", firstStart })).toMatchObject({ offset: 99, from: "latest" });
		await clock.advance(1);
		expect(await resolved({ startFrom: "latest", firstStart })).toMatchObject({ offset: 5, from: "beginning" });
		expect(clock.pending).toEqual([]);
	});

	it("of a partition that has begun and of which nothing is kept any more is the beginning, whatever it was at first", async () => {
		const firstStart = present();
		firstStart.begun(partition);
		const scene: Scene = { startFrom: "latest", firstStart, keptIn: "table", elsewhere: 80 };
		expect(await resolved(scene)).toMatchObject({ offset: 5, committed: null, from: "beginning" });
	});

	it("is never the end where Kafka forgot and the note knows: the group goes on where it was", async () => {
		const start = await resolved({ startFrom: "latest", noted: { reached: 40 } });
		expect(start).toMatchObject({ offset: 40, committed: null, from: "noted" });
		expect(start.note).toMatchObject({ note: { start: 5, reached: 40 }, replaces: { version: "1" } });
	});

	it.each([
		["Kafka, by the note", { committed: 50, noted: { reached: 50, log: { id: "then", witness: null } } }],
		["the table, by its row", { keptIn: "table", committed: 50, log: { id: "then", witness: null } }],
		["nobody but the note", { noted: { reached: 50, log: { id: "then", witness: null } } }],
	] as const)("of a log that took another's place is its beginning, whatever is kept by %s", async (_, scene) => {
		const start = await resolved({ startFrom: "latest", ...scene });
		expect(start).toMatchObject({ offset: 5, committed: null, from: "new_log", kept: 50 });
		expect(start.note.note).toMatchObject({ start: 5, assumed: false, log: { id: "now", witness: null }, skipped: [] });
		// A table of offsets is its own note.
		expect(start.note.note.reached).toBe("keptIn" in scene ? null : 5);
	});

	it("of a new log is stored also where the old one's offset is the same number", async () => {
		const start = await resolved({ committed: 5, noted: { reached: 5, log: { id: "then", witness: null } } });
		expect(start).toMatchObject({ offset: 5, committed: null, from: "new_log" });
	});

	describe("where no id tells the logs apart", () => {
		const witness = { offset: 30, timestamp: 1_700 };
		const log = { id: null, witness };

		it.each([
			["the same timestamp", { offset: 30, timestamp: 1_700 }, { offset: 50, from: "committed" }],
			["another timestamp", { offset: 30, timestamp: 1_800 }, { offset: 5, from: "new_log" }],
			["no record any more (compacted)", { offset: 31, timestamp: 1_701 }, { offset: 50, from: "committed" }],
		])("is judged by a record that was read: it has %s", async (_, record, expected) => {
			const scene: Scene = { logId: null, keptIn: "table", committed: 50, elsewhere: 50, log, queries: { recordAt: async () => record } };
			expect(await resolved(scene)).toMatchObject(expected);
		});

		it("asks for the record at its offset, and for none that the log has not", async () => {
			const asked: number[] = [];
			const queries = {
				recordAt: async ({ offset }: { offset: number }) => {
					asked.push(offset);
					return witness;
				},
			};
			for (const offset of [30, 4, 99]) {
				await resolved({ logId: null, committed: 50, log: { id: null, witness: { offset, timestamp: 1_700 } }, queries });
			}
			expect(asked).toEqual([30]);
		});

		it("is the log's beginning where Kafka forgot and nothing tells", async () => {
			const start = await resolved({ startFrom: "latest", logId: null, noted: { reached: 40 } });
			expect(start).toMatchObject({ offset: 5, from: "new_log" });
		});
	});

	it("behind which the log begins is noted with what was passed over", async () => {
		const start = await resolved({ noted: { reached: 2, start: 0 }, policy: "earliest" });
		expect(start).toMatchObject({ offset: 5, committed: null, from: "out_of_range", kept: 2, outOfRange: { kind: "jump" } });
		expect(start.note.note).toMatchObject({ start: 0, reached: 5, skipped: [{ from: 2, to: 5, reason: "log_begins_after" }] });
	});

	it("waits where it is for a decision, if nobody chose", async () => {
		const start = await resolved({ noted: { reached: 2, start: 0 } });
		expect(start).toMatchObject({ offset: 2, from: "out_of_range", outOfRange: { kind: "park", log: { low: 5, high: 99 } } });
		expect(start.note.note).toMatchObject({ reached: 2, skipped: [] });
	});

	it.each([
		["latest", 20, 20, "kafka"],
		["latest", 200, 99, "latest"],
		["earliest", 20, 5, "earliest"],
	] as const)("under %s with %i in Kafka, where the table has none, is the lower one", async (startFrom, elsewhere, offset, from) => {
		const start = await resolved({ startFrom, keptIn: "table", elsewhere });
		expect(start).toMatchObject({ offset, from, committed: null });
		// Where the group began is not known, if it has a position already.
		expect(start.note.note).toMatchObject({ start: offset, assumed: from === "kafka" });
	});

	it("in Kafka, where the table has none, is out of range as any other", async () => {
		const scene: Scene = { startFrom: "latest", keptIn: "table", elsewhere: 2 };
		expect(await resolved(scene)).toMatchObject({ offset: 2, from: "out_of_range", outOfRange: { kind: "park" } });
		expect(await resolved({ ...scene, policy: "earliest" })).toMatchObject({ offset: 5, from: "out_of_range" });
	});

	it("of one partition that the broker can't be asked about doesn't keep the others", async () => {
		const watermarks = async ({ partition: number }: TopicPartition) => {
			if (number === 1) throw new Error("no leader");
			return { low: 5, high: 99 };
		};
		const both = [partition, { topic: "t", partition: 1 }];
		const { starts, failed } = await resolveStartPositions(both, resolution({ queries: { watermarks } }));
		expect([starts.map((each) => each.partition), failed.map((each) => each.partition.partition)]).toEqual([[0], [1]]);
	});

	it("of a topic that isn't there can't be had", async () => {
		const { starts, failed } = await resolveStartPositions([partition], resolution({ queries: { topicIds: async () => new Map() } }));
		expect([starts, failed]).toMatchObject([[], [{ partition, error: { kafkaCode: kafkaErrors.unknownTopicOrPartition } }]]);
	});

	it("is not guessed when the broker can't be asked", async () => {
		const timedOut = new KafkaError("timed out", -185);
		const broken = { watermarks: () => Promise.reject(timedOut) };
		const { starts, failed } = await resolveStartPositions([partition], resolution({ startFrom: "latest", queries: broken }));
		expect([starts, failed]).toEqual([[], [{ partition, error: timedOut }]]);
		const noIds = { topicIds: () => Promise.reject(timedOut) };
		expect(await resolveStartPositions([partition], resolution({ queries: noIds }))).toEqual({
			starts: [],
			failed: [{ partition, error: timedOut }],
		});
	});
});

describe("a start that a person set", () => {
	const setTo = async (to: number, scene: Scene) => {
		const { starts } = await resolveStartPositions([partition], { ...resolution(scene), set: new Map([["t/0", to]]) });
		return starts[0];
	};

	it("is where it was set, to be stored, whatever is kept; with how much is read again or passed over", async () => {
		const back = await setTo(30, { committed: 50, noted: { reached: 50 } });
		expect(back).toMatchObject({
			...{ ...partition, offset: 30, committed: null, from: "set", kept: 50, outOfRange: null, logId: "now" },
			counts: { again: 20, passedOver: 0 },
			note: { note: { reached: 30, hand: begun(30) }, replaces: { version: "1" } },
		});
		expect(await setTo(70, { committed: 50, noted: { reached: 50 } })).toMatchObject({
			offset: 70,
			kept: 50,
			counts: { again: 0, passedOver: 20 },
		});
	});

	it("at the offset that is kept differs from nothing", async () => {
		expect(await setTo(50, { committed: 50, noted: { reached: 50 } })).toMatchObject({ offset: 50, committed: null, kept: null });
	});

	it("is for its own partition alone", async () => {
		const set = new Map([["t/1", 30]]);
		const { starts } = await resolveStartPositions([partition], { ...resolution({ committed: 50, noted: { reached: 50 } }), set });
		expect(starts).toMatchObject([{ offset: 50, from: "committed" }]);
	});
});

it("no partitions have no starts, and nobody is asked for them", async () => {
	const scene = resolution({});
	const refuse = () => Promise.reject(new Error("asked"));
	const asked = { ...scene, notes: { owner: "me", read: refuse }, store: { ...scene.store, claim: refuse } };
	expect(await resolveStartPositions([], asked)).toEqual({ starts: [], failed: [] });
});

describe("a member that is slow to look up a start", () => {
	it("replaces no note that another one made meanwhile", async () => {
		const given = resolution({ committed: 0, noted: { reached: 0 } });
		const before = await given.notes.read();
		let notes = before;
		const { starts } = await resolveStartPositions([partition], {
			...given,
			notes: { ...given.notes, read: async () => notes },
			store: {
				...given.store,
				claim: async (partitions) => {
					const answer = await given.store.claim(partitions);
					// The answer took a while, and the next owner began.
					notes = new Map([["t/0", { note: { ...(before.get("t/0")?.note as PositionNote), reached: 57 }, version: "2" }]]);
					return answer;
				},
			},
		});
		expect(starts[0]?.note.replaces?.version).toBe("1");
	});
});
