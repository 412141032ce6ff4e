import { EventEmitter } from "eventemitter3";
import { describe, expect, it } from "vitest";
import type { TopicPartition, TopicPartitionOffset } from "../../../../src/core/messages/message.ts";
import type { StoredNote } from "../../../../src/core/offsets/position-note.ts";
import type { GroupClient } from "../../../../src/kafka/client/group-client.ts";
import { KafkaError, kafkaErrors } from "../../../../src/kafka/client/kafka-error.ts";
import { Assignment } from "../../../../src/kafka/group/assignment.ts";
import { FirstStart } from "../../../../src/kafka/starts/first-start.ts";
import { ManualClock, settle } from "../../../support/fakes/manual-clock.ts";

const { assignPartitions, revokePartitions } = kafkaErrors;
const at = (...partitions: number[]): TopicPartition[] => partitions.map((partition) => ({ topic: "t", partition }));
const names = (partitions: readonly TopicPartition[]) => partitions.map(({ partition }) => partition).join(" ");

/** Takes answers as librdkafka does: only the last callback's kind counts, and what it hasn't got can't be taken from it. */
class StrictClient extends EventEmitter {
	readonly assignment = new Set<number>();
	state: "steady" | "wait-assign-call" | "wait-unassign-call" = "steady";
	/** Partitions whose watermarks can't be asked for. */
	readonly unknown = new Set<number>();
	unknownCode: number = kafkaErrors.unknownTopicOrPartition;

	assign(partitions: readonly TopicPartitionOffset[], incremental: boolean): void {
		if (!incremental) this.assignment.clear();
		for (const { partition } of partitions) {
			if (this.assignment.has(partition)) throw new KafkaError("already in the current assignment", -186);
			this.assignment.add(partition);
		}
		if (this.state === "wait-assign-call") this.state = "steady";
	}

	unassign(partitions: readonly TopicPartition[], incremental: boolean): void {
		if (!incremental) this.assignment.clear();
		else {
			for (const { partition } of partitions) {
				if (!this.assignment.delete(partition)) throw new KafkaError("not in the current assignment", -186);
			}
		}
		if (this.state === "wait-unassign-call" || !incremental) this.state = "steady";
	}

	async watermarks({ partition }: TopicPartition): Promise<{ low: number; high: number }> {
		if (this.unknown.has(partition)) throw new KafkaError("unknown", this.unknownCode);
		return { low: 0, high: 9 };
	}

	seek: (position: TopicPartitionOffset) => void = () => {};
	pause = () => {};

	offsetForTime = async () => null;
	topicIds = async (topics: readonly string[]) => new Map(topics.map((topic) => [topic, "id"]));
}

function open({ incremental = true, committed = [] as number[] } = {}) {
	const client = new StrictClient();
	const clock = new ManualClock();
	const stopped = new AbortController();
	const told: string[] = [];
	/** Why starts could not be had, or wait for a person. */
	const words: string[] = [];
	let drained: () => void = () => {};
	let begun: () => void = () => {};
	const holds = { drain: false, begin: false };
	const stored: number[] = [];
	/** A poll is under way: what waits for its end. */
	let poll: (() => void)[] | null = null;
	/** What was noted and stored, in order; and what had been noted before. */
	const steps: string[] = [];
	const noted = new Map<string, StoredNote>();
	client.seek = ({ offset }) => void told.push(`fetched from ${offset}`);
	const assignment = new Assignment({
		client: client as unknown as GroupClient,
		member: {
			isCrowded: false,
			assignmentsReceived: (partitions) => {
				told.push(`received ${names(partitions)}`);
				words.push(...partitions.flatMap(({ parked }) => (parked ? `${parked.code}: ${parked.message}` : [])));
			},
			assignmentsRevoked: (partitions) => {
				told.push(`revoked ${names(partitions)}`);
				return holds.drain ? new Promise<void>((resolve) => (drained = resolve)) : Promise.resolve();
			},
			assignmentsLost: (partitions) => void told.push(`lost ${names(partitions)}`),
			messagesReceived: () => {},
			messagesNotTaken: () => {},
			endOfPartition: () => {},
			refetched: (partitions) => void told.push(`refetched ${names(partitions)}`),
		},
		offsets: {
			keptIn: "kafka",
			goOn: async (starts) => void steps.push(`copied ${names(starts)}`),
			claim: async (partitions) => partitions.map((each) => ({ ...each, offset: committed.includes(each.partition) ? 5 : null })),
			begin: async (starts) => {
				if (holds.begin) await new Promise<void>((resolve) => (begun = resolve));
				stored.push(...starts.map(({ partition }) => partition));
				steps.push(`stored ${names(starts)}`);
				return starts;
			},
		},
		notes: {
			owner: "me",
			read: async () => noted,
			begin: async (changes) => {
				if (changes.length > 0) steps.push(`noted ${names(changes)} in ${changes[0]?.note.log.id}`);
			},
		},
		firstStart: new FirstStart(clock, 10_000),
		startFrom: "earliest",
		onOffsetOutOfRange: "park",
		incremental,
		betweenPolls: async (act) => {
			if (poll) await new Promise<void>((resolve) => poll?.push(resolve));
			return act();
		},
		isLost: () => false,
		clock,
		stopped: stopped.signal,
		listener: {
			rebalanced: () => {},
			joined: () => {},
			startResolved: () => {},
			offsetSet: ({ partition, committed, to, again, passedOver }) =>
				void told.push(`set ${partition} from ${committed} to ${to} (${again} again, ${passedOver} passed over)`),
			startFailed: ({ partition, failures, message }) => {
				told.push(`no start for ${partition} (${failures})`);
				words.push(message);
			},
			unassigned: (partitions) => void told.push(`gave ${names(partitions)} away`),
			answerRefused: (message) => void told.push(`refused: ${message}`),
			assignmentOutdated: () => void told.push("outdated"),
		},
	});
	const change = async (code: number, ...partitions: number[]) => {
		client.state = code === assignPartitions ? "wait-assign-call" : "wait-unassign-call";
		assignment.rebalanced(code, at(...partitions));
		await settle();
	};
	const polls = {
		begin: () => {
			poll = [];
		},
		end: async () => {
			const waiting = poll ?? [];
			poll = null;
			for (const resolve of waiting) resolve();
			await settle();
		},
	};
	return {
		client,
		clock,
		stopped,
		told,
		words,
		holds,
		stored,
		steps,
		noted,
		assignment,
		change,
		polls,
		drained: () => drained(),
		begun: () => begun(),
	};
}

describe("an assignment", () => {
	it("is answered at once; a partition is fetched when its start is stored", async () => {
		const { client, change, told, holds, begun, stored } = open({ committed: [1] });
		holds.begin = true;
		await change(assignPartitions, 0, 1);
		expect([client.state, [...client.assignment], told]).toEqual(["steady", [], []]);
		begun();
		await settle();
		expect([[...client.assignment], told, stored]).toEqual([[0, 1], ["received 0 1"], [0]]);
	});

	it("tells what is read apart from what waits for its start, is given away, or was taken away with its client", async () => {
		const { client, change, assignment, holds } = open();
		client.unknown.add(2);
		await change(assignPartitions, 0, 1, 2);
		expect([assignment.fetched, assignment.partitions]).toEqual([at(0, 1), at(0, 1, 2)]);
		holds.drain = true;
		await change(revokePartitions, 0);
		expect([assignment.fetched, assignment.partitions]).toEqual([at(1), at(0, 1, 2)]);
		assignment.abandon();
		expect([assignment.fetched, assignment.partitions]).toEqual([[], []]);
	});

	it.each([
		[kafkaErrors.unknownTopicOrPartition, "unknown (it was deleted?)"],
		[kafkaErrors.unknownPartition, "unknown (it was deleted?)"],
		[kafkaErrors.timedOut, "unknown"],
	])("says of a partition that is not there that it may have been deleted (%i)", async (code, said) => {
		const { client, change, words } = open();
		client.unknown.add(0);
		client.unknownCode = code;
		await change(assignPartitions, 0);
		expect(words).toEqual([said]);
	});

	it("is begun behind the poll that is under way: what that brings is of before", async () => {
		const { client, change, told, polls } = open();
		polls.begin();
		await change(assignPartitions, 0, 1);
		expect([client.state, [...client.assignment], told]).toEqual(["steady", [], []]);
		await polls.end();
		expect([[...client.assignment], told]).toEqual([[0, 1], ["received 0 1"]]);
	});

	it("is not begun where it was given away while a poll was waited for", async () => {
		const { client, change, told, polls, assignment } = open();
		polls.begin();
		await change(assignPartitions, 0, 1);
		await change(revokePartitions, 1);
		await polls.end();
		expect([[...client.assignment], told]).toEqual([[0], ["revoked 1", "gave 1 away", "received 0"]]);
		expect(assignment.partitions).toEqual(at(0));
	});

	it("as a whole is answered behind the poll that is under way", async () => {
		const { client, change, told, polls } = open({ incremental: false });
		polls.begin();
		await change(assignPartitions, 0, 1);
		expect([client.state, told]).toEqual(["wait-assign-call", []]);
		await polls.end();
		expect([client.state, [...client.assignment], told]).toEqual(["steady", [0, 1], ["received 0 1"]]);
	});

	it("goes on partition by partition: one that can't be resolved holds up nobody else, and comes when it can be", async () => {
		const { client, clock, change, told, assignment } = open();
		client.unknown.add(1);
		await change(assignPartitions, 0, 1, 2);
		expect([client.state, told]).toEqual(["steady", ["no start for 1 (1)", "received 0 2"]]);
		expect(assignment.partitions).toEqual(at(0, 1, 2));
		client.unknown.clear();
		await clock.advance(200);
		expect(told.slice(2)).toEqual(["received 1"]);
		expect([...client.assignment]).toEqual([0, 2, 1]);
	});

	it("takes a revocation that comes before its start is resolved, also of a topic that was deleted", async () => {
		const { client, clock, change, told, assignment } = open();
		client.unknown.add(1);
		await change(assignPartitions, 0, 1);
		await change(revokePartitions, 1);
		expect([client.state, assignment.partitions, [...client.assignment]]).toEqual(["steady", at(0), [0]]);
		await clock.advance(60_000);
		expect(told).toEqual(["no start for 1 (1)", "received 0", "revoked 1", "gave 1 away"]);
	});

	it("answers every revocation, also one that another came on top of while it was drained", async () => {
		const { client, change, told, holds, drained, assignment } = open({ committed: [0, 1, 2] });
		await change(assignPartitions, 0, 1, 2);
		holds.drain = true;
		await change(revokePartitions, 0);
		await change(revokePartitions, 1);
		expect([...client.assignment]).toEqual([0, 1, 2]);
		drained();
		await settle();
		drained();
		await settle();
		expect([client.state, assignment.partitions, [...client.assignment]]).toEqual(["steady", at(2), [2]]);
		await change(assignPartitions, 0);
		expect(told).toEqual(["received 0 1 2", "revoked 0", "gave 0 away", "revoked 1", "gave 1 away", "received 0"]);
	});

	it("gives nothing away while its start is being stored: it would land on the next owner's commits", async () => {
		const { client, change, told, holds, begun, stored } = open();
		holds.begin = true;
		await change(assignPartitions, 0);
		await change(revokePartitions, 0);
		expect([client.state, told]).toEqual(["wait-unassign-call", []]);
		begun();
		await settle();
		expect([client.state, stored, told]).toEqual(["steady", [0], ["revoked 0", "gave 0 away"]]);
	});

	it.each([true, false])(
		"gives nothing away while its start is being stored, a daemon that stops neither (incremental: %s)",
		async (incremental) => {
			const { client, change, stopped, told, holds, begun, clock } = open({ incremental });
			holds.begin = true;
			await change(assignPartitions, 0);
			stopped.abort(new Error("stopping"));
			if (incremental) await change(revokePartitions, 0);
			else await settle();
			expect([client.state, told]).toEqual([incremental ? "wait-unassign-call" : "wait-assign-call", []]);
			begun();
			await settle();
			expect([client.state, told]).toEqual(["steady", incremental ? ["revoked 0", "gave 0 away"] : []]);
			expect(clock.pending).toEqual([]);
		},
	);

	it("waits no longer than a second for a store that doesn't answer when the daemon stops", async () => {
		const { client, change, clock, stopped, told, holds } = open();
		holds.begin = true;
		await change(assignPartitions, 0);
		await change(revokePartitions, 0);
		stopped.abort(new Error("stopping"));
		await clock.advance(999);
		expect(client.state).toBe("wait-unassign-call");
		await clock.advance(1);
		expect([client.state, told]).toEqual(["steady", ["revoked 0", "gave 0 away"]]);
	});

	it("is resolved anew where it was given away and came back", async () => {
		const { client, clock, change, told } = open();
		client.unknown.add(0);
		await change(assignPartitions, 0);
		await change(revokePartitions, 0);
		await change(assignPartitions, 0);
		client.unknown.clear();
		await clock.advance(10_000);
		expect(told.filter((each) => each.startsWith("received"))).toEqual(["received 0"]);
		expect([...client.assignment]).toEqual([0]);
	});

	it("is answered and resolved no more when the daemon stops", async () => {
		const { client, clock, change, stopped, told, assignment } = open();
		client.unknown.add(0);
		await change(assignPartitions, 0);
		stopped.abort(new Error("stopping"));
		await change(revokePartitions, 0);
		await clock.advance(60_000);
		expect([client.state, assignment.partitions, told]).toEqual(["steady", [], ["no start for 0 (1)", "revoked 0", "gave 0 away"]]);
		expect(clock.pending).toEqual([]);
	});

	it("of a client that is given up is lost, and its last callbacks are only answered", async () => {
		const { client, change, told, assignment } = open({ committed: [0] });
		await change(assignPartitions, 0);
		assignment.abandon();
		expect(assignment.partitions).toEqual([]);
		await change(assignPartitions, 1);
		await change(revokePartitions, 0);
		expect([client.state, [...client.assignment]]).toEqual(["steady", []]);
		expect(told).toEqual(["received 0", "lost 0"]);
	});
});

describe("a start", () => {
	const note = { start: 5, assumed: false, log: { id: "then", witness: null }, reached: 5, skipped: [] };

	it("is noted before it is stored, so that a crash in between can't choose again", async () => {
		const { change, steps } = open();
		await change(assignPartitions, 0);
		expect(steps).toEqual(["noted 0 in id", "stored 0", "copied 0"]);
	});

	it("in a log that took another's place is stored before it is noted: a late commit of the old one may lie there until then", async () => {
		const { change, steps, noted } = open({ committed: [0] });
		noted.set("t/0", { note, version: "1" });
		await change(assignPartitions, 0);
		expect(steps).toEqual(["stored 0", "noted 0 in id", "copied 0"]);
	});

	it("that is kept is noted, and copied not before it is known to be of this log", async () => {
		const { change, steps, noted } = open({ committed: [0] });
		noted.set("t/0", { note: { ...note, log: { id: "id", witness: null } }, version: "1" });
		await change(assignPartitions, 0);
		expect(steps).toEqual(["noted 0 in id", "copied 0"]);
	});

	it("outside its log waits for a person, who is told what to choose from; one inside does not", async () => {
		const { change, words, noted } = open();
		const beyond = { ...note, log: { id: "id", witness: null }, reached: 20 };
		noted.set("t/0", { note: beyond, version: "1" }).set("t/1", { note: { ...beyond, reached: 7 }, version: "1" });
		await change(assignPartitions, 0, 1);
		expect(words).toEqual([expect.stringMatching(/^out_of_range: offset 20 is out of range \(the log has 0 to 9\): .* --partition 0 /)]);
	});
});

describe("a partition that goes on elsewhere", () => {
	it("is fetched from there, and paused as before", async () => {
		const { change, assignment, told } = open({ committed: [0] });
		await change(assignPartitions, 0);
		await assignment.refetch({ topic: "t", partition: 0 }, () => 9);
		expect(told).toEqual(["received 0", "fetched from 9", "refetched 0"]);
	});

	it("is left as it is where nothing is to be fetched anew by then", async () => {
		const { change, assignment, told } = open({ committed: [0] });
		await change(assignPartitions, 0);
		await assignment.refetch({ topic: "t", partition: 0 }, () => null);
		expect(told).toEqual(["received 0"]);
	});

	it("waits for a change that is not answered yet, and is left alone where that takes it away", async () => {
		const { change, assignment, told, holds, drained } = open({ committed: [0] });
		await change(assignPartitions, 0);
		holds.drain = true;
		await change(revokePartitions, 0);
		const refetched = assignment.refetch({ topic: "t", partition: 0 }, () => 9);
		drained();
		await refetched;
		expect(told).toEqual(["received 0", "revoked 0", "gave 0 away"]);
	});

	it("of an eager group joins anew", async () => {
		const { change, assignment, told } = open({ incremental: false, committed: [0] });
		await change(assignPartitions, 0);
		await assignment.refetch({ topic: "t", partition: 0 }, () => 9);
		expect(told).toEqual(["received 0", "outdated"]);
	});
});

describe("a partition whose offset a person sets", () => {
	const note = { start: 0, assumed: false, log: { id: "id", witness: null }, reached: 5, skipped: [] };
	const to = (partition: number, offset: number) => ({ topic: "t", partition, to: offset });

	it("is drained, stored and fetched from there; what it means is told", async () => {
		const { client, change, assignment, told, steps, noted } = open({ committed: [0, 1] });
		noted.set("t/0", { note, version: "1" }).set("t/1", { note, version: "1" });
		await change(assignPartitions, 0, 1);
		steps.length = told.length = 0;
		expect(await assignment.move([to(0, 2), to(1, 7)])).toEqual([
			{ topic: "t", partition: 0, to: 2, committed: 5, again: 3, passedOver: 0 },
			{ topic: "t", partition: 1, to: 7, committed: 5, again: 0, passedOver: 2 },
		]);
		expect(told).toEqual([
			"revoked 0 1",
			"set 0 from 5 to 2 (3 again, 0 passed over)",
			"set 1 from 5 to 7 (0 again, 2 passed over)",
			"fetched from 2",
			"fetched from 7",
			"received 0 1",
			"refetched 0 1",
		]);
		// Killed in between, a note behind what is stored would look like a database that was put back; a stretch too much is cut at the start.
		expect(steps).toEqual(["noted 1 in id", "stored 0 1", "noted 0 in id", "copied 0 1"]);
		expect([client.state, [...client.assignment]]).toEqual(["steady", [0, 1]]);
	});

	it("is tried on where it can't be stored, and its drain is over", async () => {
		const { client, clock, change, assignment, told } = open({ committed: [0] });
		await change(assignPartitions, 0);
		client.unknown.add(0);
		const moved = assignment.move([to(0, 9)]);
		await settle();
		expect(told).toEqual(["received 0", "revoked 0", "no start for 0 (1)"]);
		client.unknown.clear();
		await clock.advance(200);
		expect(await moved).toMatchObject([{ to: 9, passedOver: 4 }]);
		expect(told.slice(3)).toEqual(["set 0 from 5 to 9 (0 again, 4 passed over)", "fetched from 9", "received 0", "refetched 0"]);
	});

	it("is given away as ever while that is under way, and is not set then", async () => {
		const { client, clock, change, assignment, told } = open({ committed: [0] });
		await change(assignPartitions, 0);
		client.unknown.add(0);
		const moved = assignment.move([to(0, 9)]);
		await settle();
		await change(revokePartitions, 0);
		await clock.advance(1_000);
		expect(await moved).toEqual([]);
		expect([client.state, [...client.assignment], told.slice(3)]).toEqual(["steady", [], ["revoked 0", "gave 0 away"]]);
	});

	it("waits for a change that is not answered, and answers nothing in its place", async () => {
		const { client, change, assignment, told, holds, drained } = open({ committed: [0, 1] });
		await change(assignPartitions, 0, 1);
		holds.drain = true;
		await change(revokePartitions, 1);
		const moved = assignment.move([to(0, 9)]);
		await settle();
		expect([client.state, told]).toEqual(["wait-unassign-call", ["received 0 1", "revoked 1"]]);
		drained();
		await settle();
		drained();
		expect(await moved).toMatchObject([{ to: 9 }]);
		expect(told.slice(2, 4)).toEqual(["gave 1 away", "revoked 0"]);
	});

	it("is left alone where one of them is not fetched, or the client is given up in the drain", async () => {
		const { change, assignment, told, holds, drained } = open({ committed: [0] });
		await change(assignPartitions, 0);
		expect(await assignment.move([to(0, 9), to(1, 9)])).toBeNull();
		expect(told).toEqual(["received 0"]);
		holds.drain = true;
		const moved = assignment.move([to(0, 9)]);
		await settle();
		assignment.abandon();
		drained();
		expect(await moved).toBeNull();
		expect(told).toEqual(["received 0", "revoked 0", "lost 0"]);
	});

	it("of an eager group is stored, and joins anew", async () => {
		const { change, assignment, told, steps } = open({ incremental: false, committed: [0] });
		await change(assignPartitions, 0);
		expect(await assignment.move([to(0, 9)])).toMatchObject([{ to: 9, passedOver: 4 }]);
		expect(told).toEqual(["received 0", "revoked 0", "set 0 from 5 to 9 (0 again, 4 passed over)", "outdated"]);
		expect(steps).toContain("stored 0");
	});
});

describe("an eager assignment", () => {
	it("is assigned as a whole, without what can't be resolved; that comes with another one", async () => {
		const { client, clock, change, told } = open({ incremental: false });
		client.unknown.add(1);
		await change(assignPartitions, 0, 1);
		expect([client.state, [...client.assignment], told]).toEqual(["steady", [0], ["no start for 1 (1)", "received 0"]]);
		client.unknown.clear();
		await clock.advance(400);
		expect(told.at(-1)).toBe("outdated");
		await change(revokePartitions, 0, 1);
		await change(assignPartitions, 0, 1);
		expect([[...client.assignment], told.at(-1)]).toEqual([[0, 1], "received 0 1"]);
	});

	it("is answered where a newer change comes while its starts are stored", async () => {
		const { client, change, told, holds, begun } = open({ incremental: false });
		holds.begin = true;
		await change(assignPartitions, 0);
		await change(revokePartitions, 0);
		begun();
		await settle();
		expect([client.state, [...client.assignment], told]).toEqual(["steady", [], ["revoked 0", "gave 0 away"]]);
	});
});
