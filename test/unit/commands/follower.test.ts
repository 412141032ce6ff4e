/** What `consume` prints and commits, of a client that the test plays: each commit's result comes with the polls that it was told. */
import { PassThrough } from "node:stream";
import { EventEmitter } from "eventemitter3";
import { expect, it } from "vitest";
import type { CommandContext } from "../../../src/commands/command-context.ts";
import { Follower } from "../../../src/commands/consume.ts";
import type { ReceivedMessage } from "../../../src/core/messages/message.ts";
import type { Consumed } from "../../../src/kafka/client/consumer-client.ts";
import { KafkaError, kafkaErrors } from "../../../src/kafka/client/kafka-error.ts";

type Poll = Partial<Consumed> | Error;

class PlayedClient extends EventEmitter {
	readonly committed = async () => [];
	readonly assignStored = () => {};
	readonly commits: number[] = [];
	readonly #polls: Poll[];
	/** For each commit, what comes while it is waited for. */
	readonly #meanwhile: Poll[][];
	#serves: Poll[] = [];
	#settle: () => void = () => {};

	constructor(polls: Poll[], meanwhile: Poll[][]) {
		super();
		this.#polls = polls;
		this.#meanwhile = meanwhile;
	}

	subscribe(): void {
		this.emit("rebalance", { code: kafkaErrors.assignPartitions, partitions: [{ topic: "t", partition: 0 }] });
	}

	async consume(): Promise<Consumed> {
		return consumed(this.#polls.shift() ?? new Error("there is nothing more"));
	}

	commit([position]: { offset: number }[]): Promise<void> {
		this.commits.push((position as { offset: number }).offset);
		this.#serves = this.#meanwhile.shift() ?? [];
		return new Promise((resolve) => (this.#settle = resolve));
	}

	async serveEvents(): Promise<Consumed> {
		const poll = this.#serves.shift();
		if (this.#serves.length === 0) this.#settle();
		return consumed(poll ?? {});
	}
}

function consumed(poll: Poll): Consumed {
	if (poll instanceof Error) throw poll;
	return { messages: [], ends: [], ...poll };
}

function messages(...offsets: number[]): { messages: ReceivedMessage[] } {
	return {
		messages: offsets.map((offset) => ({ topic: "t", partition: 0, offset, timestamp: 0, key: null, value: null, headers: [] })),
	};
}

const end = { ends: [{ topic: "t", partition: 0, offset: 0 }] };

/** The offsets that are printed, and those that are committed. */
async function follow(options: { number?: number; exitAtEnd?: boolean }, polls: Poll[], meanwhile: Poll[][] = []) {
	const client = new PlayedClient(polls, meanwhile);
	const stdout = new PassThrough();
	const context = { stdout, interrupted: new AbortController().signal } as unknown as CommandContext;
	await new Follower(client as never, { group: "g", ...options }, context, (error) => error).follow("t");
	const lines = String(stdout.read() ?? "").split("\n");
	return { printed: lines.filter((line) => line !== "").map((line) => JSON.parse(line).offset), commits: client.commits };
}

it("what comes while a commit is waited for is printed next, also behind the end", async () => {
	const meanwhile = [[messages(2), {}, { ...messages(3), ...end }], [{}]];
	const followed = await follow({ exitAtEnd: true }, [messages(0, 1)], meanwhile);
	expect(followed).toEqual({ printed: [0, 1, 2, 3], commits: [2, 4] });
});

it("of what comes while a commit is waited for no more is printed, or committed, than -n says", async () => {
	const meanwhile = [[messages(2), messages(3), messages(4)]];
	expect(await follow({ number: 4 }, [messages(0, 1), messages(9)], meanwhile)).toEqual({ printed: [0, 1, 2, 3], commits: [2, 4] });
});

it("an error that passes is not told; messages that are gone end it, for it would commit past them", async () => {
	const passing = new KafkaError("the broker is away", kafkaErrors.transport);
	expect(await follow({ number: 1 }, [passing, messages(0)])).toEqual({ printed: [0], commits: [1] });
	await expect(follow({ number: 2 }, [messages(0), new Error("gone"), messages(2)])).rejects.toThrow("gone");
});
