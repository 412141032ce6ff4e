/**
 * A member of the consumer group: connects, joins, replaces a client that is stuck, leaves. assignment.ts handles the partitions it is
 * given and gives away (brod's `assignments_received` and `assignments_revoked`), poller.ts the messages it receives,
 * coordinator-contact.ts whether the coordinator is there.
 *
 *    connecting -> looking (what existed before we joined) -> polling -> closing -> closed
 *
 * Knows nothing of workers and rows.
 *
 * Step 1 of a message's way (docs/architecture.md).
 */

import { EventEmitter } from "eventemitter3";
import { exponentialBackOff } from "../../core/exponential-back-off.ts";
import type { TopicPartition } from "../../core/messages/message.ts";
import type { OffsetSet, WantedOffset } from "../../core/offsets/set-offset.ts";
import type { Problem } from "../../core/problem.ts";
import { lifetime } from "../../core/waiting/lifetime.ts";
import type { GroupClient } from "../client/group-client.ts";
import { kafkaErrors } from "../client/kafka-error.ts";
import { Poller } from "../polling/poller.ts";
import { DatabaseUnreadError, lookBeforeJoining } from "../starts/first-look.ts";
import { FirstStart } from "../starts/first-start.ts";
import { Assignment } from "./assignment.ts";
import { longHeartbeats } from "./broker-heartbeats.ts";
import { CoordinatorContact } from "./coordinator-contact.ts";
import type { GroupConsumerEvents, GroupConsumerParts } from "./group-consumer-parts.ts";
import { JoinRefusal } from "./join-refusal.ts";
import { MemberClient } from "./member-client.ts";
import { SessionWatch } from "./session-watch.ts";
import { returnsUnseen, StaticReturn } from "./static-return.ts";

const LEAVE_TIMEOUT_MS = 5_000;
/** Maximum wait of a close. A drain ends by its own deadline; this is for a client that reports no revocation. */
const GIVE_UP_MS = 60_000;
/** How long to wait after leaving without partitions: nothing confirms that the request was sent, but it is sent at once. */
const LEAVE_WITHOUT_PARTITIONS_MS = 500;
/** librdkafka's default of `session.timeout.ms`. */
const DEFAULT_SESSION_TIMEOUT_MS = 45_000;
const OUT_OF_RANGE_CODES: readonly number[] = [kafkaErrors.autoOffsetReset, kafkaErrors.offsetOutOfRange];
const UNKNOWN_TOPIC: readonly number[] = [kafkaErrors.unknownTopicOrPartition, kafkaErrors.unknownTopic, kafkaErrors.unknownPartition];
/** Wait before another client tries, after the group refused one for good. */
const REFUSED = { minMs: 2_000, maxMs: 30_000 };

/** The member of the consumer group. */
export class GroupConsumer extends EventEmitter<GroupConsumerEvents> {
	readonly #parts: GroupConsumerParts;
	readonly #firstStart: FirstStart;
	readonly #stopped = lifetime();
	readonly #session: SessionWatch;
	readonly #clients: MemberClient;
	#assignment: Assignment | null = null;
	/** The client that ends its subscription, to join again once it has given up all partitions. */
	#rejoining: GroupClient | null = null;
	readonly #refusal: JoinRefusal;
	/** How many clients in a row gave up because the group refused them. */
	#refusedClients = 0;
	#hasJoined = false;
	#polling: Promise<void> = Promise.resolve();
	#rebalances = 0;
	readonly #contact: CoordinatorContact;

	constructor(parts: GroupConsumerParts) {
		super();
		this.#parts = parts;
		const timeoutMs = Number(parts.kafka.properties["session.timeout.ms"] ?? DEFAULT_SESSION_TIMEOUT_MS);
		this.#session = new SessionWatch(parts.clock, timeoutMs);
		this.#firstStart = new FirstStart(parts.clock, timeoutMs);
		this.#refusal = new JoinRefusal(parts.clock, parts.kafka);
		this.#contact = new CoordinatorContact(parts.kafka.brokers);
		this.#clients = new MemberClient({
			...parts,
			stopped: this.#stopped.signal,
			made: (client) =>
				client.on("broker:error", (fact) => {
					this.emit("broker:error", fact);
					if (UNKNOWN_TOPIC.includes(fact.code)) this.emit("topic:unknown");
					this.#contact.failed(fact.cause ?? null);
				}),
			connected: (client) => this.#use(client),
			gone: () => {
				this.#contact.replaced();
				this.#assignment?.abandon();
			},
			idle: () => this.#polling,
			connectFailed: (fact) => this.emit("connect:failed", fact),
			refused: ({ kafkaCode, message }) => {
				if (JoinRefusal.isOne(kafkaCode)) this.#refusal.refused(kafkaCode, message);
			},
		});
	}

	/** The partitions this member has. */
	get assigned(): readonly TopicPartition[] {
		return this.#assignment?.partitions ?? [];
	}

	/** Those of them that it reads: neither waiting for their start nor being given away. */
	get fetched(): readonly TopicPartition[] {
		return this.#assignment?.fetched ?? [];
	}

	get connected(): boolean {
		return this.client !== null;
	}

	/** True while a client's close is under way: the process can't end by itself before that is over. */
	get hangs(): boolean {
		return this.#clients.hangs;
	}

	/** Why it is not a member of its group, if the group gave a reason. */
	get problems(): readonly Problem<"cannot_join" | "not_authorized">[] {
		return this.#refusal.problems;
	}

	/** Changes of the assignment so far. */
	get rebalances(): number {
		return this.#rebalances;
	}

	/** The member's state in the group, in librdkafka's words once it has joined: `connecting`, `joining`, `up/steady`, … */
	get memberState(): string {
		return this.#contact.state;
	}

	/** Why the group's coordinator can't be reached; null if it can. */
	get away(): string | null {
		return this.#contact.away;
	}

	/** The connected client; null before that. For positions and commits. */
	get client(): GroupClient | null {
		return this.#clients.current;
	}

	/** Connects (trying for ever), reads what exists, joins. Resolves when subscribed, or when `close` came first. */
	async start(): Promise<void> {
		if (!(await this.#clients.connect())) return;
		const hasLooked = await this.#clients.untilDone(
			async () => {
				if (!this.client || this.#contact.isStranded) await this.#clients.reconnect();
				const { missing, refused } = await lookBeforeJoining(this.client as GroupClient, this.#parts, this.#firstStart);
				if (missing.length > 0) this.emit("topics:missing", { topics: missing });
				for (const fact of refused) this.emit("topic:refused", fact);
			},
			(fact, error) => {
				const { away } = this.#contact;
				const isOfDatabase = error instanceof DatabaseUnreadError;
				const message = away === null || isOfDatabase ? fact.message : `${fact.message}; ${away}`;
				this.emit("look:failed", { ...fact, message, isOfDatabase });
			},
		);
		if (!hasLooked) return;
		this.emit("group:joining");
		this.#subscribe();
		this.#hasJoined = true;
		if (this.#parts.kafka.protocol === "consumer") void this.#tellRareHeartbeats();
	}

	async #tellRareHeartbeats(): Promise<void> {
		const intervalMs = this.client ? await longHeartbeats(this.client) : null;
		if (intervalMs !== null) this.emit("heartbeats:rare", { intervalMs });
	}

	/**
	 * Gives up its partitions and joins again, so that the group assigns them again: for a member that found out that it is a zombie. While
	 * its group rebalances, librdkafka postpones the end of a subscription, and a new one would replace it: the member would keep what it has.
	 * So it subscribes only once nothing is left.
	 */
	rejoin(): void {
		const { client } = this;
		if (this.#stopped.signal.aborted || !client || this.#rejoining === client) return;
		this.emit("rejoining");
		this.#rejoining = client;
		client.unsubscribe();
		this.#joinAgain();
	}

	#joinAgain(): void {
		if (this.#rejoining === null || this.assigned.length > 0) return;
		const isCurrent = this.#rejoining === this.client && !this.#stopped.signal.aborted;
		this.#rejoining = null;
		if (isCurrent) this.#subscribe();
	}

	/** Replaces a stuck client by a new one, which joins again. */
	replaceClient(): void {
		if (this.#hasJoined && this.client) this.#startOverIn(0);
	}

	/**
	 * Replaces the client by one with the present settings. First finishes and commits what is in hand, so that nothing is handled twice.
	 * Rejects, and keeps the old client, if the new one is not let in. False if there is nothing to renew yet, or it is being renewed
	 * already.
	 */
	async renewClient(): Promise<boolean> {
		if (!this.#hasJoined || !this.client || this.#clients.isStartingOver) return false;
		await this.#clients.tryOut();
		if (this.#stopped.signal.aborted || this.#clients.isStartingOver) return false;
		this.emit("rejoining");
		if (!this.#contact.isLost) await this.#giveUpSubscription(GIVE_UP_MS);
		this.replaceClient();
		return true;
	}

	#startOverIn(delayMs: number): void {
		this.emit("rejoining");
		this.#rejoining = null;
		this.#clients.startOverIn(delayMs, () => this.#subscribe());
	}

	/** Moves a partition to the offset that `from` returns, which is called when no poll is under way; null: leave it. */
	async refetch(partition: TopicPartition, from: () => number | null): Promise<void> {
		await this.#assignment?.refetch(partition, from);
	}

	/** Moves partitions to offsets that a person wants (Assignment.move). Null if one of them is not fetched here. */
	async move(wanted: readonly WantedOffset[]): Promise<readonly OffsetSet[] | null> {
		return (await this.#assignment?.move(wanted)) ?? null;
	}

	pause(partitions: readonly TopicPartition[]): void {
		this.client?.pause(partitions);
	}

	resume(partitions: readonly TopicPartition[]): void {
		this.client?.resume(partitions);
	}

	/** The daemon begins to stop, and wants to be done by then (monotonic). */
	stopsBy(deadline: number): void {
		this.client?.endQueriesBy(deadline);
	}

	/**
	 * Leaves the group; a static member only if `leave` is set. Its owner has drained the member before, so whatever the closing client still
	 * revokes is answered at once. False if the client didn't close within `withinMs`: the coordinator didn't answer, and gives the member up
	 * after its session. Idempotent.
	 */
	async close({ leave = false, withinMs }: { leave?: boolean; withinMs: number }): Promise<boolean> {
		if (this.#stopped.signal.aborted) return true;
		if (leave && this.client) await this.#giveUpSubscription(LEAVE_TIMEOUT_MS);
		this.#stopped.abort(new Error("closing"));
		this.#firstStart.close();
		return this.#clients.close(withinMs);
	}

	/**
	 * A static member that closes stays in the group; one that ends its subscription first leaves it. A rebalance that is under way may take
	 * some of its partitions before.
	 */
	#giveUpSubscription(withinMs: number): Promise<void> {
		this.#rejoining = null;
		return new Promise((resolve) => {
			const done = () => {
				timer.cancel();
				this.off("unassigned", given);
				resolve();
			};
			const given = () => this.assigned.length === 0 && done();
			const timer = this.#parts.clock.after(this.assigned.length > 0 ? withinMs : LEAVE_WITHOUT_PARTITIONS_MS, done);
			this.on("unassigned", given);
			this.client?.unsubscribe();
		});
	}

	#subscribe(): void {
		this.client?.subscribe(this.#parts.kafka.topics);
		this.#contact.joining();
	}

	/** Listens to the client, and polls it. */
	#use(client: GroupClient): void {
		client.on("session:lost", () => this.#loseSession());
		client.on("poll:late", () => this.#session.lost());
		client.on("fatal", (fact) => {
			if (this.client === client) this.#clientGaveUp(fact);
		});
		client.on("stats", (fact) => {
			if (this.client === client) this.#readMembership(fact.json);
			this.emit("stats", fact);
		});
		const poller = this.#createPoller(client);
		const assignment = this.#createAssignment(client, poller, this.#createReturn(client));
		this.#assignment = assignment;
		client.on("rebalance", ({ code, partitions }) => {
			if (this.client === client) this.#rebalances++;
			// After a lost session an old assignment may arrive, mostly an empty one, before the revocation of the lost partitions.
			if (code === kafkaErrors.assignPartitions && assignment.partitions.length === 0) {
				this.#session.begun();
				this.#contact.assigned();
			}
			assignment.rebalanced(code, partitions);
		});
		// Polls begin before there is anything to fetch: only polls bring the statistics, which say why a request fails.
		this.#polling = poller.run();
	}

	#createPoller(client: GroupClient): Poller {
		return new Poller({
			client,
			member: this.#parts.member,
			clock: this.#parts.clock,
			ended: this.#stopped.signal,
			isCurrent: () => this.client === client,
			listener: {
				polling: () => this.#session.polling(),
				polled: (fact) => this.emit("polled", fact),
				failed: (fact) => this.#pollFailed(fact),
			},
		});
	}

	#pollFailed(fact: { message: string; code: number }): void {
		if (fact.code === kafkaErrors.maxPollExceeded) this.#session.lost();
		if (UNKNOWN_TOPIC.includes(fact.code)) this.emit("topic:unknown");
		if (OUT_OF_RANGE_CODES.includes(fact.code)) this.emit("position:out_of_range");
		if (JoinRefusal.isOne(fact.code)) this.#refusal.refused(fact.code, fact.message);
		this.emit("consume:failed", fact);
	}

	/**
	 * The client gave up for good. Its partitions are lost: it commits nothing more, and another member may have them. If the group refused
	 * the member (KIP-848), another client tries, because that can be corrected. A fenced member has a successor with its name, and must end.
	 */
	#clientGaveUp(fact: { message: string; code: number }): void {
		this.#assignment?.abandon();
		if (!JoinRefusal.isOne(fact.code)) {
			this.emit("fatal", fact);
			return;
		}
		this.#refusal.refused(fact.code, fact.message);
		this.emit("consume:failed", fact);
		this.#startOverIn(exponentialBackOff(++this.#refusedClients, REFUSED));
	}

	#joinedGroup(): void {
		this.#refusal.joined();
		this.#refusedClients = 0;
	}

	/** A connection that is open and silent looks healthy in the statistics. */
	#loseSession(): void {
		this.#session.lost();
		this.emit("membership", this.#contact.lost(this.#session.timeoutMs));
	}

	#readMembership(json: string): void {
		const read = this.#contact.read(json, this.#rebalances > 0);
		if (!read) return;
		if (read.isSteady) this.#joinedGroup();
		if (read.news) this.emit("membership", read.news);
		if (this.#contact.isStranded) this.replaceClient();
	}

	/** Null if a rebalance checks the topics whenever this member joins. */
	#createReturn(client: GroupClient): StaticReturn | null {
		const { clock, kafka, offsets } = this.#parts;
		if (!returnsUnseen(kafka)) return null;
		return new StaticReturn({
			clock,
			ended: this.#stopped.signal,
			isCurrent: () => this.client === client,
			topics: kafka.topics,
			client,
			offsets,
			assigned: () => this.assigned,
			outdated: (found) => {
				this.emit("assignment:outdated", found);
				this.rejoin();
			},
		});
	}

	#createAssignment(client: GroupClient, poller: Poller, returned: StaticReturn | null): Assignment {
		const { member, offsets, notes, kafka, incremental, clock } = this.#parts;
		return new Assignment({
			client,
			member,
			offsets,
			notes,
			firstStart: this.#firstStart,
			startFrom: kafka.startFrom,
			onOffsetOutOfRange: kafka.onOffsetOutOfRange,
			incremental,
			betweenPolls: (act) => poller.betweenPolls(act),
			isLost: () => this.#session.isLost,
			clock,
			stopped: this.#stopped.signal,
			listener: {
				rebalanced: (kind, partitions) => {
					// With KIP-848 no assignment has to follow.
					if (kind === "revoke" && kafka.protocol !== "consumer") this.#contact.rebalancing();
					this.emit("rebalanced", { kind, partitions });
				},
				joined: (partitions) => {
					this.#joinedGroup();
					this.#contact.joined();
					returned?.joined();
					this.emit("group:joined", { partitions });
				},
				startResolved: (start) => {
					this.#firstStart.begun(start);
					this.emit("start:resolved", start);
				},
				startFailed: (fact) => this.emit("start:failed", fact),
				offsetSet: (fact) => this.emit("offset:set", fact),
				unassigned: (partitions) => {
					this.emit("unassigned", { partitions });
					this.#joinAgain();
				},
				answerRefused: (message) => {
					this.emit("consume:failed", { message: `the assignment could not be answered, joining anew: ${message}`, code: -1 });
					this.rejoin();
				},
				assignmentOutdated: () => this.rejoin(),
			},
		});
	}
}
