import { describe, expect, it } from "vitest";
import type { TopicPartition } from "../../../src/core/messages/message.ts";
import { packMessages } from "../../../src/core/messages/message-codec.ts";
import type { PackedBatch } from "../../../src/core/messages/packed-batch.ts";
import type { SkipAnswer } from "../../../src/core/messages/skip-outcome.ts";
import { OffsetLedger } from "../../../src/kafka/offsets/offset-ledger.ts";
import { GroupSupervisor } from "../../../src/supervisor/group-supervisor.ts";
import type { ChildSpec } from "../../../src/supervisor/supervisor-parts.ts";
import { ManualClock, settle } from "../../support/fakes/manual-clock.ts";

const DRAIN_TIMEOUT_MS = 5_000;

class FakeChild {
	readonly queue = { queued: 0, handed: 0, handedTo: 0, underway: 0, bytes: 0 };
	readonly delivered: number[] = [];
	readonly calls: string[] = [];
	drained: () => void = () => {};
	readonly spec: ChildSpec;

	/** Until its handler's terminate has ended. */
	terminates: Promise<void> = Promise.resolve();

	constructor(spec: ChildSpec) {
		this.spec = spec;
	}

	deliver({ offsets, bytes }: PackedBatch): void {
		this.delivered.push(...offsets);
		this.queue.queued += offsets.length;
		this.queue.bytes += bytes.length;
	}

	readToEnd(offset: number): void {
		this.calls.push(`read to ${offset}`);
	}

	handlerChanged(): void {
		this.calls.push("handlerChanged");
	}

	pause(): void {
		this.calls.push("pause");
	}

	resume(): void {
		this.calls.push("resume");
	}

	restart(): void {
		this.calls.push("restart");
	}

	async skip(offset: number, why: string): Promise<SkipAnswer> {
		this.calls.push(`skip ${offset} ${why}`);
		return "skipped";
	}

	drain(reason: string): Promise<void> {
		this.calls.push(`drain ${reason}`);
		return new Promise((resolve) => (this.drained = resolve));
	}

	nudge(): void {
		this.calls.push("nudge");
	}

	stop(reason: string): Promise<void> {
		this.calls.push(`stop ${reason}`);
		return this.terminates;
	}

	async kill(): Promise<void> {
		this.calls.push("kill");
	}
}

function supervise({ maxQueuedMessages = 100, maxQueuedBytes = 1_000_000, commit = true } = {}) {
	const given: number[] = [];
	const facts: object[] = [];
	const log: string[] = [];
	const ledger = new OffsetLedger();
	const clock = new ManualClock();
	const name = (partitions: readonly TopicPartition[]) => partitions.map(({ partition }) => partition).join(" ");
	const supervisor = new GroupSupervisor<FakeChild>({
		offsets: ledger,
		createChild: (spec) => new FakeChild(spec),
		valve: { pause: (partitions) => log.push(`pause ${name(partitions)}`), resume: (partitions) => log.push(`resume ${name(partitions)}`) },
		commit: async (partitions, timeoutMs) => {
			given.push(timeoutMs);
			log.push(`commit ${partitions.map((each) => `${each.partition}@${ledger.of(each)?.committable}`).join(" ")}`);
			return commit;
		},
		decideAgain: ({ partition }) => log.push(`decide again ${partition}`),
		rowsBlocked: () => false,
		clock,
		limits: { maxQueuedMessages, maxQueuedBytes, drainTimeoutMs: DRAIN_TIMEOUT_MS },
		listener: {
			received: ({ topic: _, ...fact }) => facts.push(fact),
			rewound: ({ partition, offset, from }) => log.push(`rewound ${partition} ${from}->${offset}`),
			positionParked: ({ partition, code }) => log.push(`parked ${partition} ${code}`),
			positionUnparked: ({ partition, offset }) => log.push(`unparked ${partition} at ${offset}`),
			drained: ({ timedOut, committed }) => log.push(`drained${timedOut ? " too late" : ""}${committed ? "" : ", not committed"}`),
		},
	});
	const child = (partition: number) => supervisor.children.get(`t/${partition}`)?.child as FakeChild;
	return { supervisor, ledger, clock, log, child, given, facts };
}

/** Of ten bytes each. */
function messages(...offsets: number[]): PackedBatch {
	return messagesOf(offsets.map((offset) => [offset, 0]));
}

/** With these timestamps, of ten bytes each. */
function messagesOf(all: readonly (readonly [offset: number, timestamp: number])[]): PackedBatch {
	const value = Buffer.alloc(10);
	return packMessages(all.map(([offset, timestamp]) => ({ topic: "t", partition: 0, offset, timestamp, key: null, value, headers: [] })));
}

function range(from: number, count: number): number[] {
	return Array.from({ length: count }, (_, index) => from + index);
}

const assigned = (partition: number, offset = 0) => ({ topic: "t", partition, offset, committed: offset });

describe("the group supervisor", () => {
	it("starts a child per assigned partition and gives each its own messages", () => {
		const { supervisor, child } = supervise();
		supervisor.assignmentsReceived([assigned(0), assigned(1, 5)]);
		supervisor.messagesReceived({ topic: "t", partition: 1 }, messages(...range(5, 2)));
		supervisor.messagesReceived({ topic: "t", partition: 9 }, messages(...range(0, 2)));
		expect([child(0).delivered, child(1).delivered]).toEqual([[], [5, 6]]);
	});

	it("tells what it received: how much, from when, and how often time went back, also from one delivery to the next", () => {
		const { supervisor, facts } = supervise();
		const partition = { topic: "t", partition: 1 };
		supervisor.assignmentsReceived([assigned(1, 5)]);
		const { length, bytes } = messages(5, 6, 8);
		const first: [number, number][] = [
			[5, 700],
			[6, 700],
			[8, 900],
		];
		supervisor.messagesReceived(partition, messagesOf(first));
		supervisor.messagesReceived(
			partition,
			messagesOf([
				[9, 800],
				[10, 850],
				[11, 900],
				[12, 899],
			]),
		);
		expect(facts).toEqual([
			{ partition: 1, count: length, bytes: bytes.byteLength, timestampRegressions: 0, nextOffset: 9, firstTimestamp: 700 },
			{ partition: 1, count: 4, bytes: expect.any(Number), timestampRegressions: 3, nextOffset: 13, firstTimestamp: 800 },
		]);
	});

	it("nudges those that are drained, and nobody else", () => {
		const { supervisor, child } = supervise();
		supervisor.assignmentsReceived([assigned(0), assigned(1)]);
		void supervisor.assignmentsRevoked([{ topic: "t", partition: 0 }]);
		supervisor.nudge();
		expect([child(0).calls, child(1).calls]).toEqual([["drain revoked", "nudge"], []]);
	});

	it("has given nothing away in time where one of two drains is late", async () => {
		const { supervisor, child, clock } = supervise();
		supervisor.assignmentsReceived([assigned(0), assigned(1)]);
		void supervisor.assignmentsRevoked([{ topic: "t", partition: 0 }]);
		child(0).queue.handed = 3;
		const [late, inTime] = [child(0), child(1)];
		const both = supervisor.shutdown();
		inTime.drained();
		await clock.advance(DRAIN_TIMEOUT_MS);
		expect([await both, late.calls, inTime.calls]).toEqual([false, ["drain revoked", "kill"], ["drain shutdown", "stop shutdown"]]);
	});

	it("on revocation drains, commits what is finished, and only then forgets; the others are not touched", async () => {
		const { supervisor, child, log, ledger } = supervise();
		supervisor.assignmentsReceived([assigned(0), assigned(1)]);
		supervisor.messagesReceived({ topic: "t", partition: 0 }, messages(...range(0, 3)));
		const [released, kept] = [child(0), child(1)];
		const revoked = supervisor.assignmentsRevoked([{ topic: "t", partition: 0 }]);
		await settle();
		expect(log).toEqual([]);
		released.spec.finished(0);
		released.spec.finished(1);
		released.drained();
		expect(await revoked).toBe(true);
		expect(log).toEqual(["commit 0@2", "drained"]);
		expect(released.calls).toEqual(["drain revoked", "stop revoked"]);
		expect(kept.calls).toEqual([]);
		expect(ledger.of({ topic: "t", partition: 0 })).toBeUndefined();
		expect(child(1)).toBe(kept);
	});

	it("hands a draining child nothing more", async () => {
		const { supervisor, child } = supervise();
		supervisor.assignmentsReceived([assigned(0)]);
		const released = child(0);
		void supervisor.assignmentsRevoked([{ topic: "t", partition: 0 }]);
		supervisor.messagesReceived({ topic: "t", partition: 0 }, messages(...range(0, 1)));
		expect(released.delivered).toEqual([]);
	});

	it("gives the partitions away at the drain's deadline, kills what hangs, and commits what is finished all the same", async () => {
		const { supervisor, child, log, clock } = supervise();
		supervisor.assignmentsReceived([assigned(0)]);
		supervisor.messagesReceived({ topic: "t", partition: 0 }, messages(...range(0, 2)));
		const released = child(0);
		released.spec.finished(0);
		const revoked = supervisor.assignmentsRevoked([{ topic: "t", partition: 0 }]);
		await clock.advance(DRAIN_TIMEOUT_MS);
		expect(await revoked).toBe(false);
		expect(log).toEqual(["commit 0@1", "drained too late"]);
		expect(released.calls).toEqual(["drain revoked", "kill"]);
		// What still comes back belongs to an epoch that is over.
		released.spec.finished(1);
		supervisor.assignmentsReceived([assigned(0, 1)]);
		expect(child(0)).not.toBe(released);
	});

	it("has drained in time where only a terminate is cut off at the deadline, and kills that thread", async () => {
		const { supervisor, child, log, clock } = supervise();
		supervisor.assignmentsReceived([assigned(0), assigned(1)]);
		supervisor.messagesReceived({ topic: "t", partition: 0 }, messages(...range(0, 1)));
		const [hanging, other] = [child(0), child(1)];
		hanging.terminates = new Promise(() => {});
		const revoked = supervisor.assignmentsRevoked([assigned(0), assigned(1)]);
		hanging.spec.finished(0);
		hanging.drained();
		other.drained();
		await clock.advance(DRAIN_TIMEOUT_MS - 1);
		expect(log).toEqual([]);
		await clock.advance(1);
		expect([await revoked, log]).toEqual([true, ["commit 0@1 1@0", "drained"]]);
		expect(hanging.calls).toEqual(["drain revoked", "stop revoked", "kill"]);
	});

	it("commits nothing of partitions that were lost", () => {
		const { supervisor, child, log } = supervise();
		supervisor.assignmentsReceived([assigned(0)]);
		supervisor.messagesReceived({ topic: "t", partition: 0 }, messages(...range(0, 2)));
		const lost = child(0);
		lost.spec.finished(0);
		supervisor.assignmentsLost([{ topic: "t", partition: 0 }]);
		expect([lost.calls, log, supervisor.children.size]).toEqual([["kill"], [], 0]);
	});

	it("pauses a partition above its share of the queue and resumes it below half of that", async () => {
		const { supervisor, child, log } = supervise({ maxQueuedMessages: 20 });
		supervisor.assignmentsReceived([assigned(0), assigned(1)]);
		supervisor.messagesReceived({ topic: "t", partition: 0 }, messages(...range(0, 9)));
		expect(log).toEqual([]);
		supervisor.messagesReceived({ topic: "t", partition: 0 }, messages(...range(9, 1)));
		expect(log).toEqual(["pause 0"]);
		for (let offset = 0; offset < 5; offset++) child(0).spec.finished(offset);
		await settle();
		expect(log).toEqual(["pause 0"]);
		child(0).spec.finished(5);
		await settle();
		expect(log).toEqual(["pause 0", "resume 0"]);
	});

	it("pauses by bytes too", () => {
		const { supervisor, log } = supervise({ maxQueuedBytes: 50 });
		supervisor.assignmentsReceived([assigned(0)]);
		supervisor.messagesReceived({ topic: "t", partition: 0 }, messages(...range(0, 5)));
		expect(log).toEqual(["pause 0"]);
	});

	it("pauses again after an assignment, which resumes everything", () => {
		const { supervisor, log } = supervise({ maxQueuedMessages: 4 });
		supervisor.assignmentsReceived([assigned(0)]);
		supervisor.messagesReceived({ topic: "t", partition: 0 }, messages(...range(0, 4)));
		supervisor.assignmentsReceived([assigned(1)]);
		expect(log).toEqual(["pause 0", "pause 0"]);
	});

	it("keeps a partition that a person paused paused, whatever its queue and the next assignment", async () => {
		const { supervisor, child, log } = supervise({ maxQueuedMessages: 8 });
		supervisor.assignmentsReceived([assigned(0)]);
		expect(supervisor.control({ topic: "t", partition: 0 }, "pause")).toBe(true);
		supervisor.messagesReceived({ topic: "t", partition: 0 }, messages(...range(0, 8)));
		for (let offset = 0; offset < 8; offset++) child(0).spec.finished(offset);
		await settle();
		supervisor.assignmentsReceived([assigned(1)]);
		expect(log).toEqual(["pause 0", "pause 0", "pause 0"]);
		supervisor.control({ topic: "t", partition: 0 }, "resume");
		supervisor.control({ topic: "t", partition: 0 }, "restart");
		expect(log.at(-1)).toBe("resume 0");
		expect(child(0).calls).toEqual(["pause", "resume", "restart"]);
		expect(supervisor.control({ topic: "t", partition: 7 }, "pause")).toBe(false);
	});

	const t0 = { topic: "t", partition: 0 };
	/** Paused by a person, and given away. */
	async function pausedAndGiven() {
		const supervised = supervise();
		const give = async () => {
			const given = supervised.supervisor.assignmentsRevoked([t0]);
			supervised.child(0).drained();
			await given;
		};
		supervised.supervisor.assignmentsReceived([assigned(0)]);
		supervised.supervisor.control(t0, "pause");
		await give();
		return { ...supervised, give };
	}

	it("pauses a partition again that an eager rebalance gives back at once, however long that takes", async () => {
		const { supervisor, child, clock, log } = await pausedAndGiven();
		await clock.advance(600_000);
		supervisor.partitionsGivenBack([t0], false);
		supervisor.assignmentsReceived([assigned(0)]);
		expect([child(0).calls, supervisor.children.get("t/0")?.pausedByHand, log.at(-1)]).toEqual([["pause"], true, "pause 0"]);
	});

	it("ends the pause of a partition that another member had", async () => {
		const { supervisor, child } = await pausedAndGiven();
		supervisor.partitionsGivenBack([], false);
		supervisor.partitionsGivenBack([t0], false);
		supervisor.assignmentsReceived([assigned(0)]);
		expect([child(0).calls, supervisor.children.get("t/0")?.pausedByHand]).toEqual([[], false]);
	});

	it("keeps what a person paused where this member joins anew by itself, also what it lost before", async () => {
		const { supervisor, child } = supervise();
		const [t1, t2] = [1, 2].map((partition) => ({ topic: "t", partition })) as [typeof t0, typeof t0];
		supervisor.assignmentsReceived([assigned(0), assigned(1), assigned(2)]);
		for (const partition of [t0, t1, t2]) supervisor.control(partition, "pause");
		supervisor.rejoins();
		supervisor.assignmentsLost([t0]);
		const given = supervisor.assignmentsRevoked([t1, t2]);
		child(1).drained();
		child(2).drained();
		await given;
		// A cooperative member may be given nothing at first.
		supervisor.partitionsGivenBack([], true);
		supervisor.partitionsGivenBack([t0, t1], true);
		supervisor.assignmentsReceived([assigned(0), assigned(1)]);
		expect([0, 1].map((partition) => supervisor.children.get(`t/${partition}`)?.pausedByHand)).toEqual([true, true]);
		// The third one is another member's by now.
		supervisor.partitionsGivenBack([t2], true);
		supervisor.assignmentsReceived([assigned(2)]);
		expect(supervisor.children.get("t/2")?.pausedByHand).toBe(false);
	});

	it("ends the pause of what an incremental rebalance gives back: another member had it", async () => {
		const { supervisor, child } = await pausedAndGiven();
		supervisor.partitionsGivenBack([t0], true);
		supervisor.assignmentsReceived([assigned(0)]);
		expect([child(0).calls, supervisor.children.get("t/0")?.pausedByHand]).toEqual([[], false]);
	});

	it("ends a pause for good that a person ends, also between two assignments and during the drain", async () => {
		const { supervisor, child, give } = await pausedAndGiven();
		expect(supervisor.control(t0, "resume")).toBe(false);
		supervisor.assignmentsReceived([assigned(0)]);
		expect(child(0).calls).toEqual([]);
		supervisor.control(t0, "pause");
		const given = give();
		expect(supervisor.control(t0, "resume")).toBe(false);
		await given;
		supervisor.assignmentsReceived([assigned(0)]);
		expect(child(0).calls).toEqual([]);
	});

	it("keeps a partition paused whose log went back", () => {
		const { supervisor, ledger } = supervise();
		supervisor.assignmentsReceived([assigned(0)]);
		supervisor.messagesReceived(t0, messages(...range(0, 3)));
		supervisor.control(t0, "pause");
		supervisor.endOfPartition(t0, 0);
		expect([ledger.of(t0)?.position, supervisor.children.get("t/0")?.pausedByHand]).toEqual([0, true]);
	});

	it("begins anew also below what is only received, and where an end tells that the log went back", () => {
		const { supervisor, child, log } = supervise();
		supervisor.assignmentsReceived([assigned(0, 2)]);
		supervisor.messagesReceived({ topic: "t", partition: 0 }, messages(...range(2, 2)));
		supervisor.messagesReceived({ topic: "t", partition: 0 }, messages(...range(2, 4)));
		expect(child(0).delivered).toEqual([2, 3, 4, 5]);
		supervisor.endOfPartition({ topic: "t", partition: 0 }, 6);
		supervisor.endOfPartition({ topic: "t", partition: 0 }, 0);
		expect(log).toEqual(["rewound 0 4->2", "rewound 0 6->0"]);
	});

	it.each<[by: string, told: (supervisor: ReturnType<typeof supervise>["supervisor"]) => void]>([
		["a message that comes twice", (supervisor) => supervisor.messagesReceived({ topic: "t", partition: 0 }, messages(...range(3, 3)))],
		[
			"a poll that brings one twice",
			(supervisor) => supervisor.messagesReceived({ topic: "t", partition: 0 }, messages(...range(4, 1), ...range(4, 2))),
		],
		["an end", (supervisor) => supervisor.endOfPartition({ topic: "t", partition: 0 }, 3)],
	])("leaves out nothing that is unfinished where the log seems to have gone back behind it, by %s", async (_, told) => {
		const { supervisor, child, clock, ledger, log } = supervise();
		const partition = { topic: "t", partition: 0 };
		supervisor.assignmentsReceived([{ ...assigned(0), logId: "id" }]);
		supervisor.messagesReceived(partition, messages(...range(0, 4)));
		child(0).spec.finished(0);
		told(supervisor);
		supervisor.messagesReceived(partition, messages(...range(6, 1)));
		expect(ledger.of(partition)).toMatchObject({ position: 1, committable: 1, unfinished: 0, logId: "id" });
		expect(log).toEqual(["parked 0 not_taken", "pause 0", expect.stringMatching(/^rewound 0 [45]->[34]$/)]);
		// As often as it takes: a broker that is away gives no answer.
		await clock.advance(20_000);
		expect(log.slice(3)).toEqual(["decide again 0", "decide again 0"]);
		const { epoch } = supervisor.children.get("t/0") as { epoch: number };
		expect(supervisor.goOn({ ...partition, epoch }, 1)).toBe(1);
		await clock.advance(20_000);
		expect(log.slice(5)).toEqual(["unparked 0 at 1"]);
		supervisor.messagesReceived(partition, messages(...range(1, 6)));
		expect(child(0).delivered).toEqual([1, 2, 3, 4, 5, 6]);
	});

	it("fetches again what is not finished of a partition whose messages came and are gone, and commits nothing beyond", async () => {
		const { supervisor, child, clock, ledger, log } = supervise();
		const partition = { topic: "t", partition: 0 };
		supervisor.assignmentsReceived([assigned(0), assigned(1)]);
		supervisor.messagesReceived(partition, messages(...range(0, 4)));
		child(0).spec.finished(0);
		supervisor.messagesNotTaken(partition, "no memory");
		// What is behind them: taken, it would be committed past them.
		supervisor.endOfPartition(partition, 9);
		supervisor.messagesReceived(partition, messages(...range(6, 1)));
		expect(ledger.of(partition)).toMatchObject({ position: 1, committable: 1, unfinished: 0 });
		expect(supervisor.children.get("t/0")?.parked?.message).toMatch(/^no memory; they are fetched again/);
		await clock.advance(10_000);
		expect(log).toEqual(["parked 0 not_taken", "pause 0", "decide again 0"]);
		expect(child(1).calls).toEqual([]);
	});

	it("leaves a partition that waits for a decision as it is where messages of it are gone, and one that is not its own", () => {
		const { supervisor, log } = supervise();
		supervisor.assignmentsReceived([assigned(0)]);
		supervisor.park({ topic: "t", partition: 0, epoch: 1 }, { code: "out_of_range", message: "" });
		for (const partition of [0, 7]) supervisor.messagesNotTaken({ topic: "t", partition }, "no memory");
		expect(log).toEqual(["parked 0 out_of_range", "pause 0"]);
	});

	it.each<[by: string, told: (supervisor: ReturnType<typeof supervise>["supervisor"]) => void]>([
		["its first message", (supervisor) => supervisor.messagesReceived({ topic: "t", partition: 0 }, messages(...range(0, 2)))],
		["its end", (supervisor) => supervisor.endOfPartition({ topic: "t", partition: 0 }, 1)],
	])("commits nothing of a partition whose log went back while it was drained, as told by %s", async (_, told) => {
		const { supervisor, child, log, ledger } = supervise();
		supervisor.assignmentsReceived([assigned(0, 100)]);
		supervisor.messagesReceived({ topic: "t", partition: 0 }, messages(...range(100, 2)));
		const drained = child(0);
		const stopped = supervisor.shutdown();
		told(supervisor);
		drained.spec.finished(100);
		drained.drained();
		expect(await stopped).toBe(true);
		expect(ledger.due()).toEqual([]);
		expect(log).toEqual([expect.stringMatching(/^rewound 0 102->[01]$/), "commit 0@undefined", "drained"]);
	});

	it("begins anew, with an epoch of its own, where the log itself went back", () => {
		const { supervisor, child, log, ledger } = supervise();
		supervisor.assignmentsReceived([assigned(0, 100)]);
		const former = child(0);
		supervisor.messagesReceived({ topic: "t", partition: 0 }, messages(...range(0, 2)));
		expect(log).toEqual(["rewound 0 100->0"]);
		expect([former.calls, child(0).delivered]).toEqual([["kill"], [0, 1]]);
		former.spec.finished(0);
		expect(ledger.of({ topic: "t", partition: 0 })?.committable).toBe(0);
	});

	it("begins anew, told, where the log goes back within what one poll brought: what is finished is committed again", () => {
		const { supervisor, ledger, child, log } = supervise();
		supervisor.assignmentsReceived([assigned(0, 10)]);
		const before = child(0);
		supervisor.messagesReceived({ topic: "t", partition: 0 }, messages(...range(10, 3), ...range(2, 2), ...range(2, 4)));
		expect([before.delivered, before.calls]).toEqual([[10, 11, 12], ["kill"]]);
		expect(log).toEqual(["rewound 0 13->2", "rewound 0 4->2"]);
		expect(child(0).delivered).toEqual([2, 3, 4, 5]);
		for (const offset of [2, 3, 4, 5]) child(0).spec.finished(offset);
		before.spec.finished(12);
		expect(ledger.of({ topic: "t", partition: 0 })).toMatchObject({ position: 6, committable: 6, unfinished: 0 });
	});

	it("begins one partition anew, from what is not finished, where its messages can't be taken in; the others don't notice", async () => {
		const { supervisor, ledger, clock, child, log } = supervise();
		supervisor.assignmentsReceived([assigned(0), assigned(1)]);
		const [broken, other] = [child(0), child(1)];
		supervisor.messagesReceived({ topic: "t", partition: 0 }, messages(...range(0, 3)));
		broken.spec.finished(0);
		broken.deliver = () => {
			throw new RangeError("Array buffer allocation failed");
		};
		supervisor.messagesReceived({ topic: "t", partition: 0 }, messages(...range(3, 2)));
		supervisor.messagesReceived({ topic: "t", partition: 1 }, messages(...range(0, 2)));
		expect([other.delivered, other.calls, broken.calls]).toEqual([[0, 1], [], ["kill"]]);
		expect(log).toEqual(["parked 0 not_taken", "pause 0"]);
		const { parked } = supervisor.children.get("t/0") as { parked: { message: string } };
		expect(parked.message).toContain("messages from offset 3 on can't be taken in: Array buffer allocation failed");
		// What was fetched behind them comes to nothing, and is no position to commit.
		supervisor.messagesReceived({ topic: "t", partition: 0 }, messages(...range(5, 2)));
		broken.spec.finished(2);
		expect(ledger.of({ topic: "t", partition: 0 })).toMatchObject({ position: 1, committable: 1, unfinished: 0 });
		await clock.advance(10_000);
		expect(log.at(-1)).toBe("decide again 0");
		const { epoch } = supervisor.children.get("t/0") as { epoch: number };
		expect(supervisor.goOn({ topic: "t", partition: 0, epoch }, 1)).toBe(1);
		supervisor.messagesReceived({ topic: "t", partition: 0 }, messages(...range(1, 4)));
		expect(child(0).delivered).toEqual([1, 2, 3, 4]);
	});

	it("keeps what it knows of a partition that begins anew: its log, a person's pause, and what it is suspected of", async () => {
		const { supervisor, ledger, child, clock } = supervise();
		const partition = { topic: "t", partition: 0 };
		const suspicion = { held: null, deaths: [[3, 1]], until: 9 } as never;
		const epoch = () => ledger.of(partition)?.epoch ?? 0;
		const known = () => [supervisor.children.get("t/0")?.pausedByHand, ledger.of(partition)?.logId, child(0).spec.suspicion];
		const begins = [epoch()];
		supervisor.assignmentsReceived([{ ...assigned(0), logId: "id", suspicion }]);
		supervisor.control(partition, "pause");
		expect(known()).toEqual([true, "id", suspicion]);
		begins.push(epoch());
		supervisor.messagesNotTaken(partition, "no memory");
		expect(known()).toEqual([true, "id", suspicion]);
		begins.push(epoch());
		const since = supervisor.children.get("t/0")?.parked?.sinceMs;
		await clock.advance(3_000);
		supervisor.park({ ...partition, epoch: epoch() }, { code: "out_of_range", message: "gone" });
		expect(supervisor.children.get("t/0")?.parked).toEqual({ code: "out_of_range", message: "gone", sinceMs: since });
		supervisor.goOn({ ...partition, epoch: epoch() }, 0);
		supervisor.messagesReceived(partition, messages(...range(0, 4)));
		supervisor.goOn({ ...partition, epoch: epoch() }, 2);
		expect(known()).toEqual([true, "id", suspicion]);
		begins.push(epoch());
		expect(new Set(begins).size).toBe(begins.length);
	});

	it("says that a partition is parked no more only where it was", () => {
		const { supervisor, log } = supervise();
		supervisor.assignmentsReceived([assigned(0)]);
		supervisor.goOn({ topic: "t", partition: 0, epoch: 1 }, 20);
		expect(log).toEqual([]);
	});

	it("waits for a person where what was to be fetched again is not in the log any more", async () => {
		const { supervisor, clock, log } = supervise();
		supervisor.assignmentsReceived([assigned(0)]);
		supervisor.messagesReceived({ topic: "t", partition: 0 }, messages(...range(0, 4)));
		supervisor.messagesReceived({ topic: "t", partition: 0 }, messages(...range(2, 1)));
		const { epoch } = supervisor.children.get("t/0") as { epoch: number };
		supervisor.park({ topic: "t", partition: 0, epoch }, { code: "out_of_range", message: "gone" });
		log.length = 0;
		await clock.advance(60_000);
		expect(log).toEqual([]);
	});

	it("does not look again after a partition that has gone meanwhile", async () => {
		const { supervisor, clock, child, log } = supervise();
		supervisor.assignmentsReceived([assigned(0)]);
		child(0).deliver = () => {
			throw new Error("no");
		};
		supervisor.messagesReceived({ topic: "t", partition: 0 }, messages(...range(0, 1)));
		supervisor.assignmentsLost([{ topic: "t", partition: 0 }]);
		await clock.advance(60_000);
		expect(log).toEqual(["parked 0 not_taken", "pause 0"]);
	});

	it("says so where what is finished can't be committed, within what is left of the deadline, at least a second", async () => {
		const { supervisor, child, log, clock, given } = supervise({ commit: false });
		supervisor.assignmentsReceived([assigned(0), assigned(1)]);
		const children = [child(0), child(1)];
		const first = supervisor.assignmentsRevoked([{ topic: "t", partition: 0 }]);
		await clock.advance(100);
		children[0]?.drained();
		expect(await first).toBe(false);
		const second = supervisor.assignmentsRevoked([{ topic: "t", partition: 1 }]);
		await clock.advance(DRAIN_TIMEOUT_MS);
		expect(await second).toBe(false);
		expect(log).toEqual(["commit 0@0", "drained, not committed", "commit 1@0", "drained too late, not committed"]);
		expect(given).toEqual([4_900, 1_000]);
	});

	it("drains nobody twice where a stop meets a revocation", async () => {
		const { supervisor, child, log } = supervise();
		supervisor.assignmentsReceived([assigned(0), assigned(1)]);
		const children = [child(0), child(1)];
		const revoked = supervisor.assignmentsRevoked([{ topic: "t", partition: 0 }]);
		const ended = supervisor.shutdown();
		children[1]?.drained();
		await settle();
		expect(log).toEqual(["commit 1@0", "drained"]);
		children[0]?.drained();
		expect(await Promise.all([revoked, ended])).toEqual([true, true]);
		expect(children.map(({ calls }) => calls)).toEqual([
			["drain revoked", "stop revoked"],
			["drain shutdown", "stop shutdown"],
		]);
	});

	it("drains everybody on shutdown and takes no assignment any more", async () => {
		const { supervisor, child } = supervise();
		supervisor.assignmentsReceived([assigned(0), assigned(1)]);
		const children = [child(0), child(1)];
		const ended = supervisor.shutdown();
		for (const each of children) each.drained();
		expect(await ended).toBe(true);
		expect(children.map(({ calls }) => calls)).toEqual([
			["drain shutdown", "stop shutdown"],
			["drain shutdown", "stop shutdown"],
		]);
		supervisor.assignmentsReceived([assigned(2)]);
		expect(supervisor.children.size).toBe(0);
	});
});

describe("a crowded supervisor", () => {
	it("is one whose flowing partitions each have half of what they may in hand", () => {
		const { supervisor, child } = supervise({ maxQueuedMessages: 100 });
		expect(supervisor.isCrowded).toBe(false);
		supervisor.assignmentsReceived([assigned(0), assigned(1)]);
		supervisor.messagesReceived({ topic: "t", partition: 0 }, messages(...range(0, 40)));
		supervisor.messagesReceived({ topic: "t", partition: 1 }, messages(...range(0, 24)));
		expect(supervisor.isCrowded).toBe(false);
		supervisor.messagesReceived({ topic: "t", partition: 1 }, messages(...range(24, 1)));
		expect(supervisor.isCrowded).toBe(true);
		child(1).spec.finished(0);
		expect(supervisor.isCrowded).toBe(false);
	});

	it("is none while one has room, however many others stand still", () => {
		const { supervisor } = supervise({ maxQueuedMessages: 100 });
		supervisor.assignmentsReceived([0, 1, 2, 3].map((partition) => assigned(partition)));
		for (const partition of [0, 1, 2]) supervisor.messagesReceived({ topic: "t", partition }, messages(...range(0, 20)));
		expect(supervisor.isCrowded).toBe(false);
		supervisor.messagesReceived({ topic: "t", partition: 3 }, messages(...range(0, 5)));
		expect(supervisor.isCrowded).toBe(false);
	});

	it("is none where what is in hand waits for more messages", () => {
		const { supervisor, child } = supervise({ maxQueuedMessages: 100 });
		supervisor.assignmentsReceived([assigned(0)]);
		supervisor.messagesReceived({ topic: "t", partition: 0 }, messages(...range(0, 60)));
		expect(supervisor.isCrowded).toBe(true);
		Object.assign(child(0).queue, { queued: 0, handed: 60, underway: 0 });
		expect(supervisor.isCrowded).toBe(false);
	});

	it("doesn't count partitions that are paused: one that stands still holds up nobody", () => {
		const { supervisor, log } = supervise({ maxQueuedMessages: 100 });
		supervisor.assignmentsReceived([assigned(0), assigned(1)]);
		supervisor.messagesReceived({ topic: "t", partition: 0 }, messages(...range(0, 60)));
		expect([log, supervisor.isCrowded]).toEqual([["pause 0"], false]);
		supervisor.messagesReceived({ topic: "t", partition: 1 }, messages(...range(0, 25)));
		expect(supervisor.isCrowded).toBe(true);
		supervisor.control({ topic: "t", partition: 1 }, "pause");
		expect(supervisor.isCrowded).toBe(false);
	});

	it("counts bytes as well as messages", () => {
		const { supervisor } = supervise({ maxQueuedBytes: 100 });
		supervisor.assignmentsReceived([assigned(0)]);
		supervisor.messagesReceived({ topic: "t", partition: 0 }, messages(...range(0, 5)));
		expect(supervisor.isCrowded).toBe(true);
	});

	it("is none while partitions are given away: their results come by polls", () => {
		const { supervisor } = supervise({ maxQueuedMessages: 10 });
		supervisor.assignmentsReceived([assigned(0)]);
		supervisor.messagesReceived({ topic: "t", partition: 0 }, messages(...range(0, 8)));
		expect(supervisor.isCrowded).toBe(true);
		void supervisor.assignmentsRevoked([{ topic: "t", partition: 0 }]);
		expect(supervisor.isCrowded).toBe(false);
	});

	describe("whose partition may not go on from where it stands", () => {
		const reason = { code: "out_of_range", message: "offset 7 is out of range" };

		it("takes nothing of it, whatever comes, and finishes what it has in hand", () => {
			const { supervisor, ledger, child, log } = supervise();
			supervisor.assignmentsReceived([assigned(0)]);
			supervisor.messagesReceived({ topic: "t", partition: 0 }, messages(...range(0, 3)));
			expect(supervisor.park({ topic: "t", partition: 0, epoch: 1 }, reason)).toBe(true);
			supervisor.messagesReceived({ topic: "t", partition: 0 }, messages(...range(3, 3)));
			supervisor.endOfPartition({ topic: "t", partition: 0 }, 90);
			child(0).spec.finished(0);
			expect([child(0).delivered, ledger.of({ topic: "t", partition: 0 })]).toMatchObject([[0, 1, 2], { position: 3, committable: 1 }]);
			expect(log).toEqual(["parked 0 out_of_range", "pause 0"]);
			// Nothing but a decision lets it go on.
			supervisor.control({ topic: "t", partition: 0 }, "resume");
			expect(log).toHaveLength(2);
			expect(supervisor.children.get("t/0")?.parked).toMatchObject(reason);
		});

		it("begins so where its start is such", () => {
			const { supervisor, child, log } = supervise();
			supervisor.assignmentsReceived([{ ...assigned(0, 7), parked: reason }, assigned(1)]);
			supervisor.messagesReceived({ topic: "t", partition: 0 }, messages(...range(7, 1)));
			expect([log, child(0).delivered]).toEqual([["parked 0 out_of_range", "pause 0"], []]);
		});

		it("goes on behind what was passed over, and commits it once all before is finished", () => {
			const { supervisor, ledger, child, log } = supervise();
			const partition = { topic: "t", partition: 0 };
			supervisor.assignmentsReceived([assigned(0)]);
			supervisor.messagesReceived(partition, messages(...range(0, 2)));
			supervisor.park({ ...partition, epoch: 1 }, reason);
			expect(supervisor.goOn({ ...partition, epoch: 1 }, 50)).toBe(50);
			expect(log.at(-1)).toBe("unparked 0 at 50");
			expect(ledger.of(partition)).toMatchObject({ epoch: 1, position: 50, committable: 0 });
			supervisor.messagesReceived(partition, messages(...range(50, 1)));
			child(0).spec.finished(0);
			child(0).spec.finished(1);
			expect(ledger.of(partition)?.committable).toBe(50);
			expect(child(0).delivered).toEqual([0, 1, 50]);
		});

		it("goes back to its first unfinished message at the latest, in a child of its own, and to the same log", () => {
			const { supervisor, ledger, child } = supervise();
			const partition = { topic: "t", partition: 0 };
			supervisor.assignmentsReceived([{ ...assigned(0, 60), logId: "id" }]);
			supervisor.messagesReceived(partition, messages(...range(60, 40)));
			const former = child(0);
			expect(supervisor.goOn({ ...partition, epoch: 1 }, 80)).toBe(60);
			expect(former.calls).toEqual(["kill"]);
			expect(ledger.of(partition)).toMatchObject({ position: 60, committed: null, logId: "id" });
			supervisor.messagesReceived(partition, messages(...range(60, 2)));
			expect(child(0).delivered).toEqual([60, 61]);
		});

		it("is nobody's business once it was given away", () => {
			const { supervisor } = supervise();
			const partition = { topic: "t", partition: 0 };
			supervisor.assignmentsReceived([assigned(0)]);
			supervisor.assignmentsReceived([assigned(0)]);
			expect(supervisor.park({ ...partition, epoch: 1 }, reason)).toBe(false);
			expect(supervisor.goOn({ ...partition, epoch: 1 }, 50)).toBe(null);
			void supervisor.assignmentsRevoked([partition]);
			expect(supervisor.goOn({ ...partition, epoch: 2 }, 50)).toBe(null);
		});

		it("is paused or not as it is meant to be when it is fetched anew", () => {
			const { supervisor, log } = supervise();
			supervisor.assignmentsReceived([assigned(0), assigned(1)]);
			supervisor.control({ topic: "t", partition: 1 }, "pause");
			log.length = 0;
			supervisor.refetched([
				{ topic: "t", partition: 0 },
				{ topic: "t", partition: 1 },
			]);
			expect(log).toEqual(["resume 0", "pause 1"]);
		});
	});
});
