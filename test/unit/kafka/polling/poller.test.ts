/** Polls of a client that the test plays: what they bring is handed on whole, and what must not happen during one waits for its end. */
import { EventEmitter } from "eventemitter3";
import { describe, expect, it } from "vitest";
import type { ReceivedMessage, TopicPartition } from "../../../../src/core/messages/message.ts";
import type { PackedBatch } from "../../../../src/core/messages/packed-batch.ts";
import type { Polled } from "../../../../src/kafka/client/group-client.ts";
import { KafkaError, kafkaErrors } from "../../../../src/kafka/client/kafka-error.ts";
import { Assignment } from "../../../../src/kafka/group/assignment.ts";
import { packedByPartition } from "../../../../src/kafka/polling/plain-polls.ts";
import { Poller } from "../../../../src/kafka/polling/poller.ts";
import { FirstStart } from "../../../../src/kafka/starts/first-start.ts";
import { ManualClock, settle } from "../../../support/fakes/manual-clock.ts";

function messages(partition: number, ...offsets: number[]): ReceivedMessage[] {
	return offsets.map((offset) => ({ topic: "t", partition, offset, timestamp: 0, key: null, value: null, headers: [] }));
}

class PlayedClient extends EventEmitter {
	answer: (messages: readonly ReceivedMessage[] | Error, beside?: Partial<Polled>) => Promise<void> = async () => {};
	polls = 0;
	/** By the poll under way. */
	readonly wakes: number[] = [];

	wake(): void {
		this.wakes.push(this.polls);
	}

	poll(): Promise<Polled> {
		this.polls++;
		return new Promise((resolve, reject) => {
			this.answer = (brought, beside = {}) => {
				if (brought instanceof Error) reject(brought);
				else resolve({ ...packedByPartition(brought), ends: [], errors: [], ...beside });
				return settle();
			};
		});
	}
}

async function open() {
	const client = new PlayedClient();
	const clock = new ManualClock();
	const ended = new AbortController();
	const told: string[] = [];
	const member = {
		isCrowded: false,
		messagesReceived: ({ partition }: TopicPartition, batch: PackedBatch) => {
			told.push(`${partition}: ${batch.offsets.join(" ")}`);
		},
		messagesNotTaken: ({ partition }: TopicPartition, reason: string) => void told.push(`${partition}: ${reason}`),
		endOfPartition: ({ partition }: TopicPartition, offset: number) => void told.push(`${partition} ends at ${offset}`),
	};
	const poller = new Poller({
		client: client as never,
		member,
		clock,
		ended: ended.signal,
		isCurrent: () => true,
		listener: {
			polling: () => {},
			polled: () => {},
			failed: ({ message, code }) => void told.push(`failed: ${message}${code === -1 ? "" : ` (${code})`}`),
		},
	});
	void poller.run();
	await settle();
	return { client, clock, ended, told, poller, member };
}

describe("what happens between polls", () => {
	it("waits for the poll that is under way, and comes behind what it brought and before the next", async () => {
		const { client, told, poller } = await open();
		let polls = 0;
		const done = poller.betweenPolls(() => {
			told.push("between");
			polls = client.polls;
			return "its result";
		});
		await settle();
		expect(told).toEqual([]);
		await client.answer(messages(0, 10, 11));
		expect([told, polls, client.polls, await done]).toEqual([["0: 10 11", "between"], 1, 2, "its result"]);
	});

	it("comes also behind a poll that failed, and tells what it throws to whoever asked", async () => {
		const { client, told, poller } = await open();
		const done = poller.betweenPolls(() => {
			throw new Error("refused");
		});
		void client.answer(new Error("no poll"));
		await expect(done).rejects.toThrow("refused");
		expect(told).toEqual(["failed: no poll"]);
	});

	it("of which Kafka's code is told", async () => {
		const { client, told } = await open();
		await client.answer(new KafkaError("the client is closing", -172));
		expect(told).toEqual(["failed: the client is closing (-172)"]);
	});

	it("comes at once where no poll is under way", async () => {
		const { client, clock, ended, poller } = await open();
		ended.abort(new Error("closing"));
		await client.answer([]);
		await clock.advance(1_000);
		expect([await poller.betweenPolls(() => client.polls), client.wakes]).toEqual([1, []]);
	});

	it("has the poll that is under way wait no longer: in a rebalance nothing may come to end it", async () => {
		const { client, poller } = await open();
		await client.answer([]);
		void poller.betweenPolls(() => {});
		expect(client.wakes).toEqual([2]);
	});
});

describe("what a poll brought", () => {
	it("of one partition is handed on whatever another's comes to grief with", async () => {
		const { client, told, member } = await open();
		const take = member.messagesReceived;
		member.messagesReceived = (partition, batch) => {
			if (partition.partition === 1) throw new Error("no room");
			take(partition, batch);
		};
		await client.answer([...messages(0, 1), ...messages(1, 1), ...messages(2, 1)]);
		expect(told).toEqual(["0: 1", "failed: no room", "2: 1"]);
	});

	it("and is gone is told of each partition by itself, before its end", async () => {
		const { client, told, member } = await open();
		const tell = member.messagesNotTaken;
		member.messagesNotTaken = (partition, reason) => {
			if (partition.partition === 1) throw new Error("no room");
			tell(partition, reason);
		};
		const notTaken = [1, 2].map((partition) => ({ topic: "t", partition, reason: "no memory" }));
		await client.answer(messages(0, 1), { notTaken, ends: [{ topic: "t", partition: 2, offset: 9 }] });
		expect(told).toEqual(["0: 1", "failed: no room", "2: no memory", "2 ends at 9"]);
	});

	it("is handed on with what went wrong beside it, and ends behind it; one that messages lie behind is none any more", async () => {
		const { client, clock, told } = await open();
		const ends = [0, 1].map((partition) => ({ topic: "t", partition, offset: 3 }));
		const errors = [new KafkaError("one", 1), new KafkaError("two", 2)];
		await client.answer(messages(0, 2, 5), { ends, errors });
		expect(told.splice(0)).toEqual(["0: 2 5", "1 ends at 3", "failed: one (1)", "failed: two (2)"]);
		// It goes on at once, but not where errors are all there is.
		expect(client.polls).toBe(2);
		await client.answer([], { errors });
		expect(client.polls).toBe(2);
		await clock.advance(100);
		expect(client.polls).toBe(3);
		// An end right behind the messages that came with it is one.
		told.length = 0;
		await client.answer(messages(0, 6, 7), { ends: [{ topic: "t", partition: 0, offset: 8 }] });
		expect(told).toEqual(["0: 6 7", "0 ends at 8"]);
	});
});

describe("messages that a poll gathered under an assignment that is over", () => {
	it("come before the partition is assigned again, when nobody has it", async () => {
		const { client, clock, ended, told, poller, member } = await open();
		const assignment = new Assignment({
			client: Object.assign(client, {
				assign: () => {},
				unassign: () => {},
				watermarks: async () => ({ low: 0, high: 99 }),
				topicIds: async () => new Map([["t", "id"]]),
			}) as never,
			member: {
				...member,
				assignmentsReceived: (partitions) => void told.push(`has ${partitions.map(({ partition, offset }) => `${partition}@${offset}`)}`),
				assignmentsRevoked: async () => void told.push("gave away"),
				assignmentsLost: () => {},
				refetched: () => {},
			},
			offsets: {
				keptIn: "kafka",
				claim: async (partitions) => partitions.map((each) => ({ ...each, offset: 5 })),
				begin: async (starts) => starts,
				goOn: async () => {},
			},
			notes: { owner: "me", read: async () => new Map(), begin: async () => {} },
			firstStart: new FirstStart(clock, 10_000),
			startFrom: "earliest",
			onOffsetOutOfRange: "park",
			incremental: true,
			betweenPolls: (act) => poller.betweenPolls(act),
			isLost: () => false,
			clock,
			stopped: ended.signal,
			listener: {
				rebalanced: () => {},
				joined: () => {},
				startResolved: () => {},
				startFailed: () => {},
				offsetSet: () => {},
				unassigned: () => {},
				answerRefused: () => {},
				assignmentOutdated: () => {},
			},
		});
		const partitions = [{ topic: "t", partition: 0 }];
		assignment.rebalanced(kafkaErrors.assignPartitions, partitions);
		await settle();
		await client.answer(messages(0, 5, 6));
		await client.answer(messages(0, 7));
		// One poll: it has popped 8 and 9, then it tells that the partition goes, and that it comes back.
		assignment.rebalanced(kafkaErrors.revokePartitions, partitions);
		await settle();
		assignment.rebalanced(kafkaErrors.assignPartitions, partitions);
		await settle();
		await client.answer(messages(0, 8, 9));
		await client.answer(messages(0, 5));
		expect(told).toEqual(["0: 5 6", "has 0@5", "0: 7", "gave away", "0: 8 9", "has 0@5", "0: 5"]);
	});
});

describe("a poller tells", () => {
	/** Each poll takes as long as it is said, and brings that; when there is none left, the poller ends. */
	async function polling(polls: readonly { ms: number; brings?: ReceivedMessage[]; errors?: KafkaError[]; crowded?: boolean }[]) {
		const clock = new ManualClock();
		const ended = new AbortController();
		const told: string[] = [];
		const member = {
			isCrowded: false,
			messagesNotTaken: () => {},
			endOfPartition: () => {},
			messagesReceived: () => told.push("received"),
		};
		const state = { isCurrent: true };
		const left = [...polls];
		const poller = new Poller({
			client: {
				wake: () => {},
				poll: async (count, timeoutMs) => {
					told.push(`asks for ${count} within ${timeoutMs} at ${clock.monotonic()}`);
					const next = left.shift();
					member.isCrowded = left[0]?.crowded ?? false;
					if (left.length === 0) ended.abort(new Error("the last one"));
					if (next && next.ms > 0) await clock.sleep(next.ms);
					return { ...packedByPartition(next?.brings ?? []), ends: [], errors: next?.errors ?? [] };
				},
			},
			...{ member, clock, ended: ended.signal, isCurrent: () => state.isCurrent },
			listener: {
				polling: () => told.push(`begins at ${clock.monotonic()}`),
				polled: ({ messages: count, busyMs }) => told.push(`polled ${count} in ${busyMs}`),
				failed: ({ message }) => told.push(`failed: ${message}`),
			},
		});
		const running = poller.run();
		return { clock, told, running, state, ended };
	}

	const error = new KafkaError("no", -195);

	it("when a poll begins and what it brought; nothing of one that brought only an error", async () => {
		const { clock, told, running } = await polling([
			{ ms: 10, brings: messages(0, 1, 2) },
			{ ms: 5 },
			{ ms: 5, errors: [error], brings: messages(0, 3) },
			{ ms: 100, errors: [error] },
			{ ms: 0 },
		]);
		await clock.advance(1_000);
		await running;
		expect(told).toEqual([
			...["begins at 0", "asks for 1000 within 100 at 0", "received", "polled 2 in 0"],
			...["begins at 10", "asks for 1000 within 100 at 10", "polled 0 in 0"],
			...["begins at 15", "asks for 1000 within 100 at 15", "received", "polled 1 in 0", "failed: no"],
			// This one took its time: no wait is added.
			...["begins at 20", "asks for 1000 within 100 at 20", "failed: no"],
			...["begins at 120", "asks for 1000 within 100 at 120", "polled 0 in 0"],
		]);
	});

	it("nothing sooner than a tenth of a second after a poll that failed at once", async () => {
		const { clock, told, running } = await polling([{ ms: 99, errors: [error] }, { ms: 0 }]);
		await clock.advance(1_000);
		await running;
		expect(told.filter((each) => each.startsWith("begins"))).toEqual(["begins at 0", "begins at 199"]);
	});

	it("its client while too much is in hand: it waits a little, and then asks for one message without waiting for it", async () => {
		const { clock, told, running } = await polling([{ ms: 0 }, { ms: 0, crowded: true }, { ms: 0 }]);
		await clock.advance(1_000);
		await running;
		expect(told.filter((each) => each.startsWith("asks"))).toEqual([
			"asks for 1000 within 100 at 0",
			"asks for 1 within 0 at 100",
			"asks for 1000 within 100 at 100",
		]);
	});

	it("nobody of messages that came once another client is current, and ends", async () => {
		const { clock, told, running, state } = await polling([{ ms: 10, brings: messages(0, 1) }, { ms: 0 }]);
		state.isCurrent = false;
		await clock.advance(1_000);
		await running;
		expect(told).toEqual(["begins at 0", "asks for 1000 within 100 at 0", "polled 1 in 0"]);
	});
});
