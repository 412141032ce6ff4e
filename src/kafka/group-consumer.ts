/**
 * A member of the consumer group: polls without a pause, resolves start positions, and puts every change of the assignment to its
 * member (brod's `assignments_received` and `assignments_revoked`), answering Kafka only when the member is done.
 *
 *   connecting -> looking (what existed before we joined) -> polling <-> rebalancing -> closing -> closed
 *
 * Knows nothing of workers and rows. Librdkafka waits for each answer, and polling goes on meanwhile, because every callback and
 * every commit's result arrives through it.
 *
 * Step 1 of a message's way (README).
 */
import { EventEmitter } from "eventemitter3";
import type { Config } from "../config/config.ts";
import { exponentialBackOff } from "../core/back-off.ts";
import type { Clock, Timer } from "../core/clock.ts";
import { messageOf } from "../core/errors.ts";
import { isTopicMeant, partitionName, type ReceivedMessage, type TopicPartition, type TopicPartitionOffset } from "../core/message.ts";
import { explainUnreachable } from "./connect.ts";
import type { GroupClient } from "./group-client.ts";
import { KafkaError, kafkaErrors } from "./kafka-error.ts";
import type { OffsetStore } from "./offset-store.ts";
import { groupMessages, PollSize } from "./poll-size.ts";
import { FirstStart, resolveStartPositions, type StartPosition } from "./start-position.ts";

/** Who handles assignments and messages; the group supervisor. */
export interface GroupMember {
	assignmentsReceived(partitions: readonly StartPosition[]): void;
	/** Resolves when the partitions may be given away; must resolve by its own deadline. */
	assignmentsRevoked(partitions: readonly TopicPartition[]): Promise<unknown>;
	assignmentsLost(partitions: readonly TopicPartition[]): void;
	messagesReceived(partition: TopicPartition, messages: readonly ReceivedMessage[]): void;
	endOfPartition(partition: TopicPartition, offset: number): void;
}

/** Past facts of the consumer. */
export interface GroupConsumerEvents {
	"connect:failed": (fact: { message: string; failures: number; retryInMs: number }) => void;
	/** What exists and what is stored could not be asked yet. */
	"look:failed": (fact: { message: string; failures: number; retryInMs: number }) => void;
	/** Configured topics that don't exist yet; the member joins, and gets them once they do. */
	"topics:missing": (fact: { topics: readonly string[] }) => void;
	"group:joined": (fact: { partitions: number }) => void;
	rebalanced: (fact: { kind: "assign" | "revoke" | "lost"; partitions: readonly TopicPartition[] }) => void;
	"start:resolved": (fact: StartPosition) => void;
	/** A revocation was answered. */
	unassigned: (fact: { partitions: readonly TopicPartition[] }) => void;
	"broker:error": (fact: { message: string; code: number }) => void;
	"consume:failed": (fact: { message: string; code: number }) => void;
	/** Fenced or unauthorised: the daemon can't go on. */
	fatal: (fact: { message: string; code: number }) => void;
	stats: (fact: { json: string }) => void;
	/** Whether the client, by its own statistics, is in touch with the group's coordinator. */
	membership: (fact: { member: boolean; message: string }) => void;
	polled: (fact: { messages: number; busyMs: number }) => void;
}

/** What the consumer is made of. `incremental`: cooperative and KIP-848 assignments come as differences. */
export interface GroupConsumerParts {
	readonly createClient: () => GroupClient;
	readonly member: GroupMember;
	readonly clock: Clock;
	readonly kafka: Config["kafka"];
	readonly incremental: boolean;
	/** Where the group's offsets are kept. */
	readonly offsets: OffsetStore;
	/** Told of starts before new ones are stored; nothing starts until it resolves. */
	readonly recordStarts: (starts: readonly StartPosition[]) => Promise<void>;
}

const CONNECT_TIMEOUT_MS = 5_000;
const LEAVE_TIMEOUT_MS = 5_000;
const RETRY = { minMs: 200, maxMs: 5_000 };
/** librdkafka's default of `session.timeout.ms`. */
const DEFAULT_SESSION_TIMEOUT_MS = 45_000;
/** How soon after it woke up a frozen member hears from its coordinator that it was given up. */
const VERDICT_WITHIN_MS = 15_000;
const FATAL_CODES: readonly number[] = [kafkaErrors.fatal, kafkaErrors.groupAuthorizationFailed, kafkaErrors.fencedInstanceId];

/** See the file's header. */
export class GroupConsumer extends EventEmitter<GroupConsumerEvents> {
	readonly #parts: GroupConsumerParts;
	readonly #firstStart = new FirstStart();
	readonly #stopped = new AbortController();
	readonly #ends: TopicPartitionOffset[] = [];
	readonly #sessionTimeoutMs: number;
	#client: GroupClient | null = null;
	#polling: Promise<void> = Promise.resolve();
	/** Raised by every assignment change: an answer prepared for an older one is not given (a late unassign would strand the member). */
	#rebalance = 0;
	#rebalancing: Promise<void> = Promise.resolve();
	#assigned: TopicPartition[] = [];
	#sessionLost = false;
	/** Monotonic time of the last poll, and when it was last found that more than a session lay between two. */
	#polledAt = Number.POSITIVE_INFINITY;
	#outlivedAt = Number.NEGATIVE_INFINITY;
	#rebalances = 0;
	#firstStartEnds: Timer | null = null;
	#memberState = "connecting";

	constructor(parts: GroupConsumerParts) {
		super();
		this.#parts = parts;
		this.#sessionTimeoutMs = Number(parts.kafka.properties["session.timeout.ms"] ?? DEFAULT_SESSION_TIMEOUT_MS);
	}

	/** The partitions this member has. */
	get assigned(): readonly TopicPartition[] {
		return this.#assigned;
	}

	get connected(): boolean {
		return this.#client !== null;
	}

	/** Changes of the assignment so far. */
	get rebalances(): number {
		return this.#rebalances;
	}

	/** What the member is to its group, in librdkafka's words once it has joined: `connecting`, `up/steady`, `wait-coord/init`, … */
	get memberState(): string {
		return this.#memberState;
	}

	/** The connected client; null before that. For positions and commits. */
	get client(): GroupClient | null {
		return this.#client;
	}

	/** Connects (trying for ever), looks at what exists, joins. Resolves when subscribed, or when `close` came first. */
	async start(): Promise<void> {
		const isConnected = await this.#untilDone(
			() => this.#connect(),
			(message, failures, retryInMs) => this.emit("connect:failed", { message, failures, retryInMs }),
		);
		if (!isConnected) return;
		const hasLooked = await this.#untilDone(
			() => this.#lookBeforeJoining(),
			(message, failures, retryInMs) => this.emit("look:failed", { message, failures, retryInMs }),
		);
		if (!hasLooked) return;
		this.#client?.subscribe(this.#parts.kafka.topics);
		this.#polling = this.#poll();
	}

	/** Gives up what it has and joins anew, so that the group decides who has what: for a member that found out that it is a zombie. */
	rejoin(): void {
		if (this.#stopped.signal.aborted) return;
		this.#client?.unsubscribe();
		this.#client?.subscribe(this.#parts.kafka.topics);
	}

	pause(partitions: readonly TopicPartition[]): void {
		this.#client?.pause(partitions);
	}

	resume(partitions: readonly TopicPartition[]): void {
		this.#client?.resume(partitions);
	}

	/**
	 * Leaves the group, a static member only where `leave` says so: the member has been drained by its owner, what the closing client still
	 * revokes is answered at once. False when the client didn't close in time (the process has to be ended). Idempotent.
	 */
	async close({ leave = false }: { leave?: boolean } = {}): Promise<boolean> {
		if (this.#stopped.signal.aborted) return true;
		if (leave && this.#assigned.length > 0) await this.#giveUpSubscription();
		this.#stopped.abort(new Error("closing"));
		this.#firstStartEnds?.cancel();
		const client = this.#client;
		if (!client) return true;
		await this.#polling;
		return client.close();
	}

	/** A static member that closes stays in the group; one that gives its subscription up before leaves. */
	#giveUpSubscription(): Promise<void> {
		return new Promise((resolve) => {
			const timer = this.#parts.clock.after(LEAVE_TIMEOUT_MS, resolve);
			this.once("unassigned", () => {
				timer.cancel();
				resolve();
			});
			this.#client?.unsubscribe();
		});
	}

	/** Tries until it works, is fatal (false), or `close` comes first (false). */
	async #untilDone(attempt: () => Promise<void>, failed: (message: string, failures: number, retryInMs: number) => void): Promise<boolean> {
		const { signal } = this.#stopped;
		for (let failures = 1; !signal.aborted; failures++) {
			try {
				await attempt();
				if (!signal.aborted) return true;
				// Closed meanwhile: it never joined, and nobody else will end it.
				await this.#client?.close();
			} catch (error) {
				const retryInMs = exponentialBackOff(failures, RETRY);
				failed(messageOf(error), failures, retryInMs);
				if (error instanceof KafkaError && FATAL_CODES.includes(error.kafkaCode)) {
					this.emit("fatal", { message: error.message, code: error.kafkaCode });
					return false;
				}
				await this.#parts.clock.sleep(retryInMs, signal).catch(() => {});
			}
		}
		return false;
	}

	async #connect(): Promise<void> {
		const client = this.#parts.createClient();
		client.on("broker:error", (fact) => this.emit("broker:error", fact));
		let lastError: string | null = null;
		client.on("broker:error", ({ message }) => {
			lastError = message;
		});
		try {
			await client.connect(CONNECT_TIMEOUT_MS);
		} catch (error) {
			void client.close();
			if (!(error instanceof KafkaError)) throw error;
			const words = explainUnreachable(this.#parts.kafka, lastError ?? error.message);
			throw new KafkaError(words, error.kafkaCode, { cause: error });
		}
		client.on("stats", (fact) => {
			this.#readMembership(fact.json);
			this.emit("stats", fact);
		});
		client.on("endOfPartition", (end) => this.#ends.push(end));
		client.on("rebalance", ({ code, partitions }) => this.#rebalanced(code, partitions));
		this.#client = client;
	}

	/** See FirstStart: which partitions exist, and whether the group has stored anything for their topic. */
	async #lookBeforeJoining(): Promise<void> {
		const client = this.#client as GroupClient;
		const existing = await client.metadata();
		for (const [topic, count] of existing) {
			if (!this.#parts.kafka.topics.some((entry) => isTopicMeant(entry, topic))) continue;
			const partitions = Array.from({ length: count }, (_, partition) => ({ topic, partition }));
			if (count > 0) this.#firstStart.seen(await this.#parts.offsets.stored(partitions));
		}
		const missing = this.#parts.kafka.topics.filter((topic) => !topic.startsWith("^") && !existing.get(topic));
		if (missing.length > 0) this.emit("topics:missing", { topics: missing });
	}

	async #poll(): Promise<void> {
		const client = this.#client as GroupClient;
		const size = new PollSize();
		while (!this.#stopped.signal.aborted) {
			const startedAt = this.#parts.clock.monotonic();
			if (startedAt - this.#polledAt > this.#sessionTimeoutMs) this.#outlivedAt = startedAt;
			this.#polledAt = startedAt;
			try {
				const messages = await client.consume(size.count, size.timeoutMs);
				const receivedAt = this.#parts.clock.monotonic();
				size.received(messages);
				this.#deliver(messages);
				this.emit("polled", { messages: messages.length, busyMs: this.#parts.clock.monotonic() - receivedAt });
			} catch (error) {
				await this.#consumeFailed(error, startedAt);
			}
		}
	}

	/**
	 * node-rdkafka tells the ends it met beside the messages: one that messages of the same poll lie behind was the end no more when they
	 * came, and where offsets have gaps it would look as if the log had gone back.
	 */
	#deliver(messages: readonly ReceivedMessage[]): void {
		const nextOffsets = new Map<string, number>();
		for (const [partition, group] of groupMessages(messages)) {
			nextOffsets.set(partitionName(partition), (group.at(-1) as ReceivedMessage).offset + 1);
			this.#parts.member.messagesReceived(partition, group);
		}
		for (const { topic, partition, offset } of this.#ends.splice(0)) {
			const nextOffset = nextOffsets.get(partitionName({ topic, partition })) ?? 0;
			if (offset >= nextOffset) this.#parts.member.endOfPartition({ topic, partition }, offset);
		}
	}

	async #consumeFailed(error: unknown, startedAt: number): Promise<void> {
		this.#deliver([]);
		const code = error instanceof KafkaError ? error.kafkaCode : -1;
		const fact = { message: messageOf(error), code };
		if (code === kafkaErrors.maxPollExceeded) this.#sessionLost = true;
		this.emit(FATAL_CODES.includes(code) ? "fatal" : "consume:failed", fact);
		// An error that comes back at once must not become a busy loop; one that took its time needs no wait.
		if (this.#parts.clock.monotonic() - startedAt < 100) await this.#parts.clock.sleep(100, this.#stopped.signal).catch(() => {});
	}

	/** The coordinator's state comes only with the statistics; a group whose coordinator is away gets no callback. */
	#readMembership(json: string): void {
		const { cgrp } = JSON.parse(json) as { cgrp?: { state: string; join_state: string } };
		if (!cgrp) return;
		this.#memberState = `${cgrp.state}/${cgrp.join_state}`;
		if (this.#rebalances === 0) return;
		const member = cgrp.state === "up";
		this.emit("membership", { member, message: `the group's coordinator is away (${this.#memberState})` });
	}

	#rebalanced(code: number, partitions: TopicPartition[]): void {
		const rebalance = ++this.#rebalance;
		this.#rebalances++;
		const change = () =>
			code === kafkaErrors.assignPartitions ? this.#assign(partitions, rebalance) : this.#revoke(partitions, rebalance);
		this.#rebalancing = this.#rebalancing.then(change).catch((error) => {
			this.emit("consume:failed", { message: `the assignment could not be answered: ${messageOf(error)}`, code: -1 });
		});
	}

	async #assign(partitions: TopicPartition[], rebalance: number): Promise<void> {
		this.#sessionLost = false;
		this.#outlivedAt = Number.NEGATIVE_INFINITY;
		const starts = await this.#resolveStarts(partitions, rebalance);
		if (this.#stopped.signal.aborted) this.#client?.unassign(partitions, this.#parts.incremental);
		if (starts === null || this.#stopped.signal.aborted || rebalance !== this.#rebalance) return;
		this.#client?.assign(starts, this.#parts.incremental);
		this.#assigned = this.#parts.incremental ? [...this.#assigned, ...partitions] : partitions;
		this.emit("rebalanced", { kind: "assign", partitions });
		for (const start of starts) this.emit("start:resolved", start);
		this.#parts.member.assignmentsReceived(starts);
		this.emit("group:joined", { partitions: this.#assigned.length });
		// Whoever else began with us has stored its starts by then, or was given up, and others have stored them.
		this.#firstStartEnds ??= this.#parts.clock.after(2 * this.#sessionTimeoutMs, () => this.#firstStart.end());
	}

	/** Tries until the broker answered and the new positions are committed; null when a newer change came first. */
	async #resolveStarts(partitions: TopicPartition[], rebalance: number): Promise<StartPosition[] | null> {
		const client = this.#client as GroupClient;
		const { kafka, offsets } = this.#parts;
		for (let failures = 1; ; failures++) {
			try {
				const starts = await resolveStartPositions(partitions, kafka.startFrom, this.#firstStart, client, offsets);
				return await this.#storeStarts(starts);
			} catch (error) {
				if (rebalance !== this.#rebalance || this.#stopped.signal.aborted) return null;
				const message = `start positions can't be resolved yet: ${messageOf(error)}`;
				this.emit("consume:failed", { message, code: error instanceof KafkaError ? error.kafkaCode : -1 });
				await this.#parts.clock.sleep(exponentialBackOff(failures, RETRY), this.#stopped.signal).catch(() => {});
			}
		}
	}

	/** New positions are stored before the first message, so that a crash can't choose again. */
	async #storeStarts(starts: readonly StartPosition[]): Promise<StartPosition[]> {
		const fresh = starts.filter(({ committed }) => committed === null);
		await this.#parts.recordStarts(starts);
		const begun = fresh.length > 0 ? await this.#parts.offsets.begin(fresh) : [];
		const offsets = new Map(begun.map((each) => [partitionName(each), each.offset]));
		return starts.map((start) => {
			const offset = offsets.get(partitionName(start)) ?? start.offset;
			return { ...start, offset, committed: offset };
		});
	}

	/** True where the group gave this member up: what it is told to give away belongs to somebody else already. */
	get #isLost(): boolean {
		return this.#sessionLost || this.#parts.clock.monotonic() - this.#outlivedAt < VERDICT_WITHIN_MS;
	}

	async #revoke(partitions: TopicPartition[], rebalance: number): Promise<void> {
		const gone = this.#parts.incremental ? partitions : this.#assigned;
		const isLost = this.#isLost;
		this.emit("rebalanced", { kind: isLost ? "lost" : "revoke", partitions: gone });
		if (isLost) this.#parts.member.assignmentsLost(gone);
		else await this.#parts.member.assignmentsRevoked(gone);
		const names = new Set(gone.map(partitionName));
		this.#assigned = this.#assigned.filter((each) => !names.has(partitionName(each)));
		if (rebalance === this.#rebalance) this.#client?.unassign(partitions, this.#parts.incremental);
		this.emit("unassigned", { partitions: gone });
	}
}
