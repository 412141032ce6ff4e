/** What `consume` prints and commits, of a client that the test plays: each commit's result comes with a later poll. */
import { PassThrough } from "node:stream";
import { EventEmitter } from "eventemitter3";
import { expect, it } from "vitest";
import type { CommandContext } from "../../../src/commands/command-context.ts";
import { Follower } from "../../../src/commands/consume.ts";
import type { ReceivedMessage } from "../../../src/core/messages/message.ts";
import type { Consumed } from "../../../src/kafka/client/consumer-client.ts";
import { KafkaError, kafkaErrors } from "../../../src/kafka/client/kafka-error.ts";
import { ManualClock } from "../../support/fakes/manual-clock.ts";

/** What a poll brings; a number: nothing, for so many milliseconds; `revoke`: the group takes the partition away. */
type Poll = Partial<Consumed> | Error | number | "revoke";

interface Played {
	readonly meanwhile?: Poll[];
	readonly answerAfter?: number;
	readonly refusal?: Error;
}

class PlayedClient extends EventEmitter {
	readonly committed = async () => [];
	readonly assignStored = () => {};
	readonly commits: (number | "given away")[] = [];
	readonly unassign = () => void this.commits.push("given away");
	readonly #polls: Poll[];
	/** What comes with the polls that only wait for commits. */
	readonly #meanwhile: Poll[];
	/** So many polls bring a commit's answer. */
	readonly #answerAfter: number;
	readonly #refusal: Error | undefined;
	readonly #clock: ManualClock;
	#unanswered: { settle: () => void; left: number }[] = [];

	constructor(polls: Poll[], { meanwhile = [], answerAfter = 1, refusal }: Played, clock: ManualClock) {
		super();
		this.#polls = polls;
		this.#meanwhile = meanwhile;
		this.#answerAfter = answerAfter;
		this.#refusal = refusal;
		this.#clock = clock;
	}

	subscribe(): void {
		this.emit("rebalance", { code: kafkaErrors.assignPartitions, partitions: [{ topic: "t", partition: 0 }] });
	}

	async consume(): Promise<Consumed> {
		await this.#answer();
		const poll = this.#polls.shift() ?? new Error("there is nothing more");
		if (poll === "revoke") {
			this.emit("rebalance", { code: kafkaErrors.revokePartitions, partitions: [{ topic: "t", partition: 0 }] });
			return consumed({});
		}
		if (typeof poll !== "number") return consumed(poll);
		await this.#clock.advance(poll);
		return consumed({});
	}

	commit([position]: { offset: number }[]): Promise<void> {
		this.commits.push((position as { offset: number }).offset);
		return new Promise((resolve, reject) => {
			const settle = () => (this.#refusal ? reject(this.#refusal) : resolve());
			this.#unanswered.push({ settle, left: this.#answerAfter });
		});
	}

	async serveEvents(): Promise<Consumed> {
		await this.#answer();
		const poll = this.#meanwhile.shift() ?? {};
		return typeof poll === "number" || poll === "revoke" ? consumed({}) : consumed(poll);
	}

	async #answer(): Promise<void> {
		for (const each of this.#unanswered) if (--each.left === 0) each.settle();
		this.#unanswered = this.#unanswered.filter(({ left }) => left > 0);
		await new Promise((resolve) => setImmediate(resolve));
	}
}

function consumed(poll: Partial<Consumed> | Error): Consumed {
	if (poll instanceof Error) throw poll;
	return { messages: [], ends: [], ...poll };
}

function messages(...offsets: number[]): { messages: ReceivedMessage[] } {
	return {
		messages: offsets.map((offset) => ({ topic: "t", partition: 0, offset, timestamp: 0, key: null, value: null, headers: [] })),
	};
}

const end = { ends: [{ topic: "t", partition: 0, offset: 0 }] };

/** The offsets that are printed, those that are committed, and what it ended with. */
async function follow(options: { number?: number; exitAtEnd?: boolean }, polls: Poll[], played: Played = {}) {
	const clock = new ManualClock();
	const client = new PlayedClient(polls, played, clock);
	const stdout = new PassThrough();
	const context = { stdout, clock, interrupted: new AbortController().signal } as unknown as CommandContext;
	const follower = new Follower(client as never, { group: "g", ...options }, context, (error) => error);
	const error = await follower.follow("t").then(
		() => null,
		(reason: Error) => reason.message,
	);
	const lines = String(stdout.read() ?? "").split("\n");
	return { printed: lines.filter((line) => line !== "").map((line) => JSON.parse(line).offset), commits: client.commits, error };
}

it("what is printed is committed: the first at once, then once a second, and the rest at the end", async () => {
	const polls = [messages(0), messages(1), messages(2, 3), 999, messages(4), 1, messages(5, 6), { ...messages(7), ...end }];
	const followed = await follow({ exitAtEnd: true }, polls);
	expect(followed).toEqual({ printed: [0, 1, 2, 3, 4, 5, 6, 7], commits: [1, 5, 8], error: null });
});

it("one commit is under way at a time, however long its answer takes", async () => {
	const polls = [messages(0), 1_000, messages(1), 5_000, messages(2), end];
	expect(await follow({ exitAtEnd: true }, polls, { answerAfter: 9 })).toEqual({ printed: [0, 1, 2], commits: [1, 3], error: null });
});

it("what comes while the last commits are waited for is neither printed nor committed", async () => {
	const meanwhile = [messages(2), messages(3), messages(4)];
	const followed = await follow({ number: 2 }, [messages(0), messages(1), messages(9)], { meanwhile, answerAfter: 3 });
	expect(followed).toEqual({ printed: [0, 1], commits: [1, 2], error: null });
});

it("an error that passes is not told; messages that are gone end it, with what was printed committed", async () => {
	const passing = new KafkaError("the broker is away", kafkaErrors.transport);
	expect(await follow({ number: 1 }, [passing, messages(0)])).toEqual({ printed: [0], commits: [1], error: null });
	const gone = await follow({ number: 9 }, [messages(0), messages(1), new Error("gone"), messages(2)]);
	expect(gone).toEqual({ printed: [0, 1], commits: [1, 2], error: "gone" });
});

it("a commit that is refused ends it", async () => {
	const refusal = new Error("not allowed");
	expect(await follow({ number: 9 }, [messages(0), {}, messages(1)], { refusal })).toMatchObject({ commits: [1], error: "not allowed" });
	expect(await follow({ number: 1 }, [messages(0)], { refusal })).toMatchObject({ printed: [0], error: "not allowed" });
});

it("what was printed of a partition that is taken away is committed before it is given away, and never behind it", async () => {
	const polls = [messages(0), messages(1), "revoke", {}, {}, {}, 5_000, messages(2)] as const;
	const followed = await follow({ number: 3 }, [...polls]);
	expect(followed).toMatchObject({ printed: [0, 1, 2], commits: [1, 2, "given away", 3] });
	const slow = await follow({ number: 2 }, [messages(0), "revoke", {}, {}, {}, {}, {}, {}, messages(1)], { answerAfter: 4 });
	expect(slow).toMatchObject({ commits: [1, "given away", 2] });
});

it("a commit that meets a rebalance does not end it", async () => {
	const refusal = new KafkaError("the group is rebalancing", kafkaErrors.rebalanceInProgress);
	const followed = await follow({ number: 2 }, [messages(0), "revoke", {}, {}, messages(1)], { refusal });
	expect(followed).toEqual({ printed: [0, 1], commits: [1, "given away", 2], error: null });
});
