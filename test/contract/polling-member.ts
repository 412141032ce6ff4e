/** A member of a group as the group client's contract needs it: it polls, answers what it is told, and remembers all of it in order. */
import type { ReceivedMessage, TopicPartition, TopicPartitionOffset } from "../../src/core/messages/message.ts";
import { unpackMessages } from "../../src/core/messages/message-codec.ts";
import type { GroupClient } from "../../src/kafka/client/group-client.ts";
import { type KafkaError, kafkaErrors } from "../../src/kafka/client/kafka-error.ts";
import type { GroupScene } from "./group-scene.ts";

/** A change of the assignment that was not answered. */
export interface Unanswered {
	readonly kind: "assign" | "revoke";
	readonly partitions: readonly number[];
	answer(): void;
}

/** How a member joins. */
export interface MemberOptions {
	/** Polls by itself; otherwise by `pollTimes` alone. Default true. */
	readonly polls?: boolean;
	/** Answers at once; otherwise `unanswered` gives what there is to answer. Default true. */
	readonly answers?: boolean;
	/** Where a partition begins; 0 by default. */
	readonly startAt?: (partition: number) => number;
}

/** Polls in which what must not come would have come. */
export const QUIET_POLLS = 15;

const POLL_COUNT = 50;
const POLL_MS = 20;
/** librdkafka's code of a client that closes or was closed. */
const DISCONNECTED = -172;

/** See the file's header. */
export class Member {
	readonly client: GroupClient;
	/** `assign 0 1`, `revoke 1`, `failed -147`, in order; an empty assignment is `assign `. */
	readonly told: string[] = [];
	readonly messages: ReceivedMessage[] = [];
	readonly ends: TopicPartitionOffset[] = [];
	answers: boolean;
	readonly #scene: GroupScene;
	readonly #startAt: (partition: number) => number;
	readonly #assigned = new Set<number>();
	readonly #revoked: number[] = [];
	#unanswered: Unanswered | null = null;
	#polling: Promise<void> | null = null;
	#polls = 0;
	#isToPoll = false;
	/** What is assigned while the client closes is given back. */
	#isClosing = false;

	private constructor(scene: GroupScene, client: GroupClient, { answers = true, startAt = () => 0 }: MemberOptions) {
		this.#scene = scene;
		this.client = client;
		this.answers = answers;
		this.#startAt = startAt;
		client.on("rebalance", ({ code, partitions }) =>
			this.#rebalanced(code === kafkaErrors.assignPartitions ? "assign" : "revoke", partitions),
		);
	}

	/** A client that has not joined. */
	static async connect(scene: GroupScene, options: MemberOptions = {}): Promise<Member> {
		return new Member(scene, await scene.connect(), options);
	}

	static async join(scene: GroupScene, options: MemberOptions = {}): Promise<Member> {
		const member = await Member.connect(scene, options);
		member.subscribe();
		if (options.polls ?? true) member.poll();
		return member;
	}

	/** What it has now. */
	get assigned(): number[] {
		return [...this.#assigned].sort();
	}

	/** All that was ever taken from it, in order. */
	get revoked(): number[] {
		return [...this.#revoked];
	}

	offsets(partition: number): number[] {
		return this.messages.filter((message) => message.partition === partition).map(({ offset }) => offset);
	}

	endsOf(partition: number): number[] {
		return this.ends.filter((end) => end.partition === partition).map(({ offset }) => offset);
	}

	subscribe(): void {
		this.client.subscribe([this.#scene.topic]);
	}

	unsubscribe(): void {
		this.client.unsubscribe();
	}

	/** Polls from now on. */
	poll(): void {
		if (this.#isToPoll) return;
		this.#isToPoll = true;
		this.#polling = this.#pollOn();
	}

	async stopPolling(): Promise<void> {
		this.#isToPoll = false;
		if (this.#polling) await this.#scene.settled(this.#polling);
		this.#polling = null;
	}

	/** So many polls, its own going on or not. */
	async pollTimes(count: number, messages = POLL_COUNT): Promise<void> {
		if (this.#isToPoll) {
			const enough = this.#polls + count;
			return this.#scene.until(`${count} polls`, () => this.#polls >= enough);
		}
		for (let i = 0; i < count; i++) await this.#scene.settled(this.#pollOnce(messages));
	}

	async untilAssigned(partitions: readonly number[]): Promise<void> {
		await this.#scene.until(`partitions ${partitions}`, () => this.assigned.join() === partitions.join());
	}

	/** Waits for a change of this kind with partitions in it; others are answered. */
	async unanswered(kind: Unanswered["kind"]): Promise<Unanswered> {
		let found: Unanswered | null = null;
		await this.#scene.until(`a change to answer: ${kind}`, () => {
			const unanswered = this.#unanswered;
			if (unanswered && unanswered.kind === kind && unanswered.partitions.length > 0) found = unanswered;
			else unanswered?.answer();
			return found !== null;
		});
		return found as unknown as Unanswered;
	}

	pause(partition: number): void {
		this.client.pause([this.#at(partition)]);
	}

	resume(partition: number): void {
		this.client.resume([this.#at(partition)]);
	}

	seek(partition: number, offset: number): void {
		this.client.seek({ ...this.#at(partition), offset });
	}

	async recordAt(partition: number, offset: number): Promise<{ offset: number; timestamp: number } | null> {
		const record = await this.#scene.settled(this.client.recordAt({ ...this.#at(partition), offset }));
		return record && { offset: record.offset, timestamp: record.timestamp };
	}

	commit(partition: number, offset: number): Promise<void> {
		return this.#scene.settled(this.client.commit([{ ...this.#at(partition), offset }]));
	}

	/** What is committed for each partition of the topic. */
	async committed(): Promise<(number | null)[]> {
		const all = Array.from({ length: this.#scene.partitions }, (_, partition) => this.#at(partition));
		return (await this.#scene.settled(this.client.committed(all))).map(({ offset }) => offset);
	}

	watermarks(partition: number): Promise<{ low: number; high: number }> {
		return this.#scene.settled(this.client.watermarks(this.#at(partition)));
	}

	cachedHighWatermark(partition: number): number | null {
		return this.client.cachedHighWatermark(this.#at(partition));
	}

	offsetForTime(partition: number, timestampMs: number): Promise<number | null> {
		return this.#scene.settled(this.client.offsetForTime(this.#at(partition), timestampMs));
	}

	metadata(): Promise<Map<string, number>> {
		return this.#scene.settled(this.client.metadata());
	}

	topicIds(topics: readonly string[] = [this.#scene.topic]): Promise<ReadonlyMap<string, string | null>> {
		return this.#scene.settled(this.client.topicIds(topics));
	}

	async close(): Promise<boolean> {
		this.#isClosing = true;
		await this.stopPolling();
		return this.#scene.settled(this.client.close());
	}

	#at(partition: number): TopicPartition {
		return { topic: this.#scene.topic, partition };
	}

	async #pollOn(): Promise<void> {
		while (this.#isToPoll) await this.#pollOnce(POLL_COUNT);
	}

	async #pollOnce(count: number): Promise<void> {
		try {
			const { batches, ends, errors } = await this.client.poll(count, POLL_MS);
			for (const { topic, partition, batch } of batches) this.messages.push(...unpackMessages({ topic, partition }, batch));
			this.ends.push(...ends);
			for (const error of errors) this.#failed(error);
		} catch (error) {
			this.#failed(error as KafkaError);
		}
		this.#polls++;
	}

	#failed({ kafkaCode }: KafkaError): void {
		if (kafkaCode === DISCONNECTED) this.#isToPoll = false;
		else this.told.push(`failed ${kafkaCode}`);
	}

	/** False where the client closes: it takes any answer but this one, also where the scene's end closes it and not the member. */
	#takes(partitions: readonly TopicPartition[]): boolean {
		if (this.#isClosing) return false;
		try {
			this.client.assign(
				partitions.map((each) => ({ ...each, offset: this.#startAt(each.partition) })),
				true,
			);
			return true;
		} catch (error) {
			if ((error as { code?: number }).code !== DISCONNECTED) throw error;
			return false;
		}
	}

	#rebalanced(kind: Unanswered["kind"], partitions: readonly TopicPartition[]): void {
		const numbers = partitions.map(({ partition }) => partition).sort();
		this.told.push(`${kind} ${numbers.join(" ")}`);
		const answer = () => {
			this.#unanswered = null;
			if (kind === "revoke") {
				this.client.unassign(partitions, true);
				for (const number of numbers) if (this.#assigned.delete(number)) this.#revoked.push(number);
			} else if (this.#takes(partitions)) {
				for (const number of numbers) this.#assigned.add(number);
			} else this.client.unassign([], true);
		};
		if (this.answers) answer();
		else this.#unanswered = { kind, partitions: numbers, answer };
	}
}
