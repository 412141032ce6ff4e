import { EventEmitter } from "eventemitter3";
import { describe, expect, it } from "vitest";
import type { ReceivedMessage, TopicPartition } from "../../../../src/core/messages/message.ts";
import type { Consumed } from "../../../../src/kafka/client/consumer-client.ts";
import type { GroupClientEvents } from "../../../../src/kafka/client/group-client.ts";
import { KafkaError } from "../../../../src/kafka/client/kafka-error.ts";
import { type LogClient, LogReader } from "../../../../src/kafka/log-reader.ts";
import { ManualClock } from "../../../support/fakes/manual-clock.ts";

const partition = { topic: "t", partition: 0 };
const transport = () => new KafkaError("Local: Broker transport failure", -195);

/** A client whose polls and answers the test plays; each poll takes its timeout. */
class PlayedClient extends EventEmitter<GroupClientEvents> implements LogClient {
	readonly clock = new ManualClock();
	/** What the next polls come to; nothing when there is none left. */
	polls: (ReceivedMessage[] | Error)[] = [];
	failures: Error[] = [];
	asked = 0;
	readonly interrupt = new AbortController();
	/** First offsets of each assignment. */
	readonly assigned: number[][] = [];
	/** Nothing is fetched from these assignments on, by their number. */
	readonly dropped = new Set<number>();

	#isAssigned = false;

	assign(partitions: readonly { readonly offset: number }[]): void {
		this.assigned.push(partitions.map(({ offset }) => offset));
		this.#isAssigned = !this.dropped.has(this.assigned.length);
	}
	unassign(): void {
		this.#isAssigned = false;
	}
	async close(): Promise<boolean> {
		return true;
	}

	async consume(_: number, timeoutMs: number): Promise<Consumed> {
		const poll = this.#isAssigned ? this.polls.shift() : undefined;
		if (poll instanceof Error) throw poll;
		if (!poll) await this.clock.sleep(timeoutMs || 1);
		return { messages: poll ?? [], ends: [] };
	}

	async watermarks(): Promise<{ low: number; high: number }> {
		this.#answer();
		return { low: 1, high: 9 };
	}

	async committed(partitions: readonly TopicPartition[]): Promise<(TopicPartition & { offset: number })[]> {
		this.#answer();
		return partitions.map((each) => ({ ...each, offset: 7 }));
	}

	async topicIds(topics: readonly string[]): Promise<ReadonlyMap<string, string | null>> {
		this.#answer();
		return new Map(topics.map((topic) => [topic, `id of ${topic}`]));
	}

	#answer(): void {
		this.asked++;
		const failure = this.failures.shift();
		if (failure) throw failure;
	}
}

function messages(from: number, to: number): ReceivedMessage[] {
	return Array.from({ length: to - from }, (_, i) => ({
		...partition,
		offset: from + i,
		timestamp: 1,
		key: null,
		value: null,
		headers: [],
	}));
}

/** Moves the clock while something waits for it. */
async function played<T>(client: PlayedClient, work: Promise<T>): Promise<T> {
	let done = false;
	const settled = work.finally(() => {
		done = true;
	});
	settled.catch(() => {});
	while (!done) await client.clock.advance(100);
	return settled;
}

function readerOver(client: PlayedClient): LogReader {
	return new LogReader(client, { brokers: [], topics: [] }, client.clock, client.interrupt.signal);
}

async function offsetsRead(client: PlayedClient, to: number, each: () => Promise<void> = async () => {}): Promise<number[]> {
	const reader = readerOver(client);
	const offsets: number[] = [];
	for await (const [, group] of reader.read([{ ...partition, from: 0, to }])) {
		offsets.push(...group.map(({ offset }) => offset));
		await each();
	}
	return offsets;
}

describe("reading the log", () => {
	it("takes no offence at a caller who takes its time", async () => {
		const client = new PlayedClient();
		client.polls = [messages(0, 2), [], messages(2, 3), [], messages(3, 5)];
		const read = offsetsRead(client, 5, () => client.clock.advance(40_000));
		expect(await played(client, read)).toEqual([0, 1, 2, 3, 4]);
	});

	it("goes on in a partition that it had read to an end", async () => {
		const client = new PlayedClient();
		const reader = readerOver(client);
		const read = async (from: number, to: number) => {
			client.polls = [messages(from, to)];
			const offsets: number[] = [];
			for await (const [, group] of reader.read([{ ...partition, from, to }])) offsets.push(...group.map(({ offset }) => offset));
			return offsets;
		};
		expect(await played(client, read(0, 2))).toEqual([0, 1]);
		expect(await played(client, read(2, 4))).toEqual([2, 3]);
	});

	it("goes on behind errors that pass", async () => {
		const client = new PlayedClient();
		client.polls = [messages(0, 2), ...Array.from({ length: 20 }, transport), messages(2, 3)];
		expect(await played(client, offsetsRead(client, 3))).toEqual([0, 1, 2]);
	});

	it.each([
		["between polls", [messages(0, 4), messages(1, 3)]],
		["before the first message", [messages(0, 4)]],
	])("ends where a log goes back %s: it is another one by then", async (_, polls) => {
		const client = new PlayedClient();
		client.polls = polls;
		const reader = readerOver(client);
		const read = async () => {
			for await (const _group of reader.read([{ ...partition, from: polls.length === 1 ? 2 : 0, to: 9 }]));
		};
		await expect(played(client, read())).rejects.toThrow(/t\/0 went back to offset \d while it was read: the topic was made again/);
	});

	it("ends when nothing comes for half a minute, with what the client said last", async () => {
		const client = new PlayedClient();
		client.polls = [messages(0, 2), ...Array.from({ length: 1_000 }, transport)];
		const silence = "t/0 can't be read up to offset 3: nothing came for 30000 ms";
		await expect(played(client, offsetsRead(client, 3))).rejects.toThrow(`${silence}; the last error: Local: Broker transport failure`);
		expect(client.clock.monotonic()).toBeGreaterThan(30_000);
		const quiet = new PlayedClient();
		await expect(played(quiet, offsetsRead(quiet, 3))).rejects.toThrow(new RegExp(`^${silence}$`));
		// What was said before the last record has passed.
		const recovered = new PlayedClient();
		recovered.polls = [transport(), messages(0, 2)];
		await expect(played(recovered, offsetsRead(recovered, 3))).rejects.toThrow(new RegExp(`^${silence}$`));
	});

	it("fetches anew, once, what does not come for ten seconds, from where it had come to: a start may have been dropped", async () => {
		const client = new PlayedClient();
		client.polls = [messages(0, 2), ...Array.from({ length: 20 }, transport), messages(2, 3)];
		client.dropped.add(1);
		expect(await played(client, offsetsRead(client, 3))).toEqual([0, 1, 2]);
		expect([client.assigned, client.clock.monotonic() < 20_000]).toEqual([[[0], [0]], true]);
		const late = new PlayedClient();
		late.polls = [messages(0, 2), ...Array.from({ length: 1_000 }, transport)];
		await expect(played(late, offsetsRead(late, 9))).rejects.toThrow("t/0 can't be read up to offset 9: nothing came for 30000 ms");
		expect(late.assigned).toEqual([[0], [2]]);
		// Once each time.
		const twice = new PlayedClient();
		twice.polls = [messages(0, 2), ...Array.from({ length: 50 }, transport), messages(2, 3)];
		twice.dropped.add(1);
		expect(await played(twice, offsetsRead(twice, 3))).toEqual([0, 1, 2]);
		expect(twice.assigned).toEqual([[0], [0], [2]]);
	});

	it("ends at once at what time doesn't mend", async () => {
		const client = new PlayedClient();
		client.polls = [new KafkaError("Broker: Topic authorization failed", 29), messages(0, 3)];
		await expect(offsetsRead(client, 3)).rejects.toThrow("Topic authorization failed");
	});

	it("asks again for ends, committed offsets and ids, but not for ever", async () => {
		const client = new PlayedClient();
		const reader = readerOver(client);
		client.failures = [transport(), transport()];
		expect(await played(client, reader.watermarks(partition))).toEqual({ low: 1, high: 9 });
		client.failures = [transport()];
		expect(await played(client, reader.committed([partition]))).toEqual([{ ...partition, offset: 7 }]);
		client.failures = [transport()];
		expect(await played(client, reader.topicIds(["t"]))).toEqual(new Map([["t", "id of t"]]));
		expect(client.asked).toBe(7);
		client.failures = Array.from({ length: 1_000 }, transport);
		await expect(played(client, reader.watermarks(partition))).rejects.toThrow("Broker transport failure");
		client.failures = [new KafkaError("Broker: Group authorization failed", 30)];
		await expect(reader.committed([partition])).rejects.toThrow("Group authorization failed");
	});

	it("ends as soon as it is interrupted, whatever it waits for", async () => {
		const interrupted = new Error("SIGINT");
		const waitingFor = async (prepare: (client: PlayedClient) => Promise<unknown>) => {
			const client = new PlayedClient();
			const waiting = prepare(client);
			waiting.catch(() => {});
			await client.clock.advance(1_000);
			client.interrupt.abort(interrupted);
			await client.clock.advance(100);
			const came = await Promise.race([waiting.catch((error) => error), client.clock.advance(0).then(() => "still waiting")]);
			expect(came).toBe(interrupted);
		};
		// A message that doesn't come; a broker that is away; an answer that doesn't come.
		await waitingFor((client) => offsetsRead(client, 3));
		await waitingFor((client) => {
			client.polls = Array.from({ length: 1_000 }, transport);
			return offsetsRead(client, 3);
		});
		await waitingFor((client) => {
			client.failures = Array.from({ length: 1_000 }, transport);
			return readerOver(client).watermarks(partition);
		});
		await waitingFor((client) => {
			client.committed = () => new Promise(() => {});
			return readerOver(client).committed([partition]);
		});
	});
});

describe("what a reader does with what comes", () => {
	const other = { topic: "t", partition: 1 };
	const of = (where: TopicPartition, from: number, to: number) => messages(from, to).map((each) => ({ ...each, ...where }));

	/** Reads these, and says what was given on and what the client was told. */
	async function read(ranges: Parameters<LogReader["read"]>[0], ...polls: Consumed[]) {
		const client = new PlayedClient();
		const told: string[] = [];
		client.assign = (partitions) => void told.push(`assign ${partitions.map(({ offset }) => offset)}`);
		Object.assign(client, {
			unassign: ([where]: TopicPartition[], incremental: boolean) => told.push(`unassign ${where?.partition} ${incremental}`),
			consume: async () => {
				await client.clock.sleep(1);
				return polls.shift() ?? { messages: [], ends: [] };
			},
		});
		const given: string[] = [];
		const reading = async () => {
			for await (const [{ partition }, group] of readerOver(client).read(ranges))
				given.push(`${partition}: ${group.map(({ offset }) => offset)}`);
		};
		await played(client, reading());
		return { given, told, left: polls.length };
	}

	it("nothing is fetched where no range has an offset", async () => {
		expect(
			await read([
				{ ...partition, from: 3, to: 3 },
				{ ...other, from: 5, to: 4 },
			]),
		).toEqual({ given: [], told: [], left: 0 });
	});

	it("partitions come as they arrive, and each is given back by itself where its range ends; what comes of it later is passed over", async () => {
		const ranges = [
			{ ...partition, from: 2, to: 5 },
			{ ...other, from: 7, to: 9 },
			{ topic: "t", partition: 2, from: 4, to: 4 },
		];
		const { given, told, left } = await read(
			ranges,
			{ messages: [...of(other, 7, 8), ...of(partition, 2, 4)], ends: [] },
			{ messages: of(partition, 4, 8), ends: [] },
			{ messages: [...of(partition, 8, 9), ...of({ topic: "t", partition: 2 }, 4, 6)], ends: [] },
			{ messages: of(other, 8, 9), ends: [] },
			{ messages: of(other, 9, 10), ends: [] },
		);
		expect(given).toEqual(["1: 7", "0: 2,3", "0: 4", "1: 8"]);
		expect([told, left]).toEqual([["assign 2,7", "unassign 0 true", "unassign 1 true"], 1]);
	});

	it("a range whose last messages are gone ends behind it, and at the end of the log, but at no earlier end", async () => {
		const beyond = await read([{ ...partition, from: 2, to: 5 }], { messages: of(partition, 6, 8), ends: [] });
		expect(beyond).toMatchObject({ given: [], told: ["assign 2", "unassign 0 true"] });
		const ended = await read(
			[{ ...partition, from: 2, to: 5 }],
			{ messages: of(partition, 2, 3), ends: [{ ...partition, offset: 4 }] },
			{ messages: [], ends: [{ ...other, offset: 9 }] },
			{ messages: [], ends: [{ ...partition, offset: 5 }] },
			{ messages: of(partition, 3, 4), ends: [] },
		);
		expect(ended).toMatchObject({ given: ["0: 2"], left: 1 });
	});
});

describe("a reader that gets nothing", () => {
	const silence = "t/0 can't be read up to offset 3: nothing came for 30000 ms";

	it("says what its broker said last", async () => {
		const client = new PlayedClient();
		const read = offsetsRead(client, 3);
		client.emit("broker:error", { message: "k1:9092 is down", code: -195 });
		await expect(played(client, read)).rejects.toMatchObject({ message: `${silence}; the last error: k1:9092 is down`, kafkaCode: -1 });
	});

	it("needs no right to the group, which is only a name, but says that it was refused", async () => {
		const client = new PlayedClient();
		const refused = () => new KafkaError("Broker: Group authorization failed", 30);
		client.polls = [refused(), messages(0, 3)];
		expect(await played(client, offsetsRead(client, 3))).toEqual([0, 1, 2]);
		const silent = new PlayedClient();
		silent.polls = [refused()];
		await expect(played(silent, offsetsRead(silent, 3))).rejects.toThrow(`${silence}; the last error: Broker: Group authorization failed`);
	});

	it.each([
		["a client that gave up", new KafkaError("Local: Fatal error", -150)],
		["an error that is not Kafka's", new Error("t/0: can't be packed")],
	])("ends at once at %s", async (_, error) => {
		const client = new PlayedClient();
		client.polls = [error, messages(0, 3)];
		await expect(offsetsRead(client, 3)).rejects.toBe(error);
		client.failures = [error];
		await expect(readerOver(client).watermarks(partition)).rejects.toBe(error);
	});

	it("waits a quarter of a second between two attempts, and half a minute in all", async () => {
		const client = new PlayedClient();
		client.failures = Array.from({ length: 1_000 }, transport);
		await expect(played(client, readerOver(client).watermarks(partition))).rejects.toThrow("transport failure");
		expect([client.asked, client.clock.monotonic() >= 30_250]).toEqual([122, true]);
	});
});
