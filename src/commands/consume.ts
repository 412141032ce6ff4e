/** `consume`: a JSON line per message, following until interrupted; commits exactly what it printed. */
import type { Command } from "commander";
import { ExitError, exitCodes } from "../core/errors.ts";
import { partitionName, type ReceivedMessage, type TopicPartition } from "../core/messages/message.ts";
import { missingTopicHint } from "../core/text/missing-topic.ts";
import { kafkaClientSettings } from "../kafka/client/client-settings.ts";
import { ConsumerClient } from "../kafka/client/consumer-client.ts";
import { KafkaError, kafkaErrors } from "../kafka/client/kafka-error.ts";
import { connectOrExplain } from "../kafka/connecting/connect.ts";
import { absentTopic } from "../kafka/watches/absent-topic.ts";
import { withRight } from "../kafka/watches/rights.ts";
import { type CommandContext, print } from "./command-context.ts";
import { kafkaOf } from "./configured.ts";
import { shownBytes } from "./terminal/shown-bytes.ts";

/** The group whose offsets are used, and when to end. */
export interface ConsumeOptions {
	readonly group: string;
	readonly number?: number;
	readonly exitAtEnd?: boolean;
}

const TIMEOUT_MS = 10_000;
const POLL = { count: 500, timeoutMs: 50 };
/** Time between two commits. Each costs a round trip, and limits what is printed again after a kill. Only the last one is awaited. */
const COMMIT_EVERY_MS = 1_000;
const regrouping: readonly number[] = [kafkaErrors.illegalGeneration, kafkaErrors.unknownMember, kafkaErrors.rebalanceInProgress];
const fatalCodes: readonly number[] = [
	kafkaErrors.groupAuthorizationFailed,
	kafkaErrors.topicAuthorizationFailed,
	kafkaErrors.unknownTopicOrPartition,
	kafkaErrors.fatal,
];

/** Follows the topic. Resolves when interrupted, or when everything that was asked for is printed. */
export async function consume(topic: string, options: ConsumeOptions, command: Command, context: CommandContext): Promise<void> {
	const { kafka } = await kafkaOf(command, context);
	const settings = {
		...kafkaClientSettings(kafka),
		"group.id": options.group,
		"enable.auto.commit": false,
		"enable.auto.offset.store": false,
		"enable.partition.eof": true,
		"fetch.wait.max.ms": 100,
	};
	const client = new ConsumerClient(settings, { "auto.offset.reset": "earliest" }, context.clock);
	const { topics } = await connectOrExplain(client.raw, kafka, TIMEOUT_MS);
	try {
		if (!topics.some(({ name, partitions }) => name === topic && partitions.length > 0))
			throw await absentTopic({ client, kafka, wanted: "Read" }, topic, `: ${missingTopicHint(topic)}`);
		const explain = (error: KafkaError) => withRight({ ...kafka, group: options.group }, { group: "Read", topic: ["Read", topic] }, error);
		await new Follower(client, options, context, explain).follow(topic);
	} finally {
		await client.close();
	}
}

/** Prints messages until it should end; answers assignments; commits what was printed. */
export class Follower {
	readonly #client: ConsumerClient;
	readonly #options: ConsumeOptions;
	readonly #context: CommandContext;
	readonly #explain: (error: KafkaError) => KafkaError;
	readonly #printed = new Map<string, TopicPartition & { offset: number }>();
	readonly #unread = new Set<string>();
	/** A commit that was not answered yet. */
	#underway: Promise<void> | null = null;
	#failure: unknown = null;
	#nextCommitAt = 0;
	#assigned = false;
	#count = 0;

	constructor(client: ConsumerClient, options: ConsumeOptions, context: CommandContext, explain: (error: KafkaError) => KafkaError) {
		this.#explain = explain;
		this.#client = client;
		this.#options = options;
		this.#context = context;
		client.on("rebalance", ({ code, partitions }) => {
			if (code !== kafkaErrors.assignPartitions) {
				void this.#giveAway(partitions);
				return;
			}
			for (const partition of partitions) this.#unread.add(partitionName(partition));
			this.#assigned = true;
			client.assignStored(partitions);
			// A failure here does no harm.
			void this.#tellJumps(partitions).catch(() => {});
		});
	}

	/** Commits what was printed of these partitions while they are still this member's: later it would undo their next owner's commits. */
	async #giveAway(partitions: readonly TopicPartition[]): Promise<void> {
		await this.#underway;
		this.#commit();
		await this.#underway;
		for (const partition of partitions) {
			this.#printed.delete(partitionName(partition));
			this.#unread.delete(partitionName(partition));
		}
		this.#client.unassign(partitions, false);
	}

	/** Reports partitions whose committed offset is outside the log: printing begins at the log's beginning. */
	async #tellJumps(partitions: readonly TopicPartition[]): Promise<void> {
		for (const { topic, partition, offset } of await this.#client.committed(partitions)) {
			if (offset === null) continue;
			const { low, high } = await this.#client.watermarks({ topic, partition });
			if (offset >= low && offset <= high) continue;
			const words = `the group's offset ${offset} is out of range (the log has ${low} to ${high}): goes on at ${low}`;
			print(this.#context.stderr, `${partitionName({ topic, partition })}: ${words}`);
		}
	}

	async follow(topic: string): Promise<void> {
		this.#client.subscribe([topic]);
		try {
			while (!this.#isDone()) {
				const left = this.#options.number === undefined ? POLL.count : Math.min(POLL.count, this.#options.number - this.#count);
				this.#print(await this.#consume(left));
				this.#commitNowAndThen();
			}
		} catch (error) {
			// What was printed is committed, whatever happened after it; the first error is the reason for the end.
			if (!(error instanceof ExitError)) await this.#commitRest().catch(() => {});
			throw error;
		}
		await this.#commitRest();
	}

	/** Consumes. Returns nothing if the client fails with an error after which it tries again by itself. */
	async #consume(count: number): Promise<readonly ReceivedMessage[]> {
		try {
			const { messages, ends } = await this.#client.consume(count, POLL.timeoutMs);
			this.#metEnds(ends);
			return messages;
		} catch (error) {
			if (!(error instanceof KafkaError)) throw error;
			if (!fatalCodes.includes(error.kafkaCode)) return [];
			throw new ExitError(exitCodes.fatalKafka, error.code, this.#explain(error).message, { cause: error });
		}
	}

	#metEnds(ends: readonly TopicPartition[]): void {
		for (const end of ends) this.#unread.delete(partitionName(end));
	}

	#isDone(): boolean {
		const { number, exitAtEnd } = this.#options;
		if (this.#context.interrupted.aborted || this.#context.stdout.destroyed) return true;
		if (number !== undefined && this.#count >= number) return true;
		return exitAtEnd === true && this.#assigned && this.#unread.size === 0;
	}

	#print(messages: readonly ReceivedMessage[]): void {
		for (const { topic, partition, offset, timestamp, key, value, headers } of messages) {
			const shown = {
				key: shownBytes(key),
				message: shownBytes(value),
				partition,
				offset,
				timestamp,
				headers: headers.map(([name, content]) => [name, shownBytes(content)]),
			};
			print(this.#context.stdout, JSON.stringify(shown));
			this.#printed.set(partitionName({ topic, partition }), { topic, partition, offset: offset + 1 });
			this.#count++;
		}
	}

	/** Starts a commit if it is due and none is under way: its result arrives with later polls. Throws if the last one failed. */
	#commitNowAndThen(): void {
		if (this.#failure !== null) throw this.#failure;
		const now = this.#context.clock.monotonic();
		if (this.#underway !== null || now < this.#nextCommitAt) return;
		this.#nextCommitAt = now + COMMIT_EVERY_MS;
		this.#commit();
	}

	#commit(): void {
		const offsets = [...this.#printed.values()];
		if (offsets.length === 0) return;
		this.#printed.clear();
		this.#underway = this.#client
			.commit(offsets)
			.catch((error: unknown) => {
				// The group is rebalancing. Partitions that stay with this member are committed with the next commit.
				if (error instanceof KafkaError && regrouping.includes(error.kafkaCode)) return;
				this.#failure = error;
			})
			.finally(() => {
				this.#underway = null;
			});
	}

	/** Commits everything printed. Messages that arrive meanwhile are neither printed nor committed. */
	async #commitRest(): Promise<void> {
		for (let isLast = false; ; isLast = true) {
			while (this.#underway !== null) await this.#client.serveEvents();
			if (this.#failure !== null) throw this.#failure;
			if (isLast) return;
			this.#commit();
		}
	}
}
