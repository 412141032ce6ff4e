/**
 * Sends the records of handlers to the broker, with one client for the whole daemon; the first record makes it. Each topic has its own
 * lane, so a topic that is missing or forbidden holds up no other. There is no delivery timeout: records wait, in order, until the broker
 * has them or refuses them for good.
 *
 * A record that fails stops its lane. When the client has reported the rest of the lane, the records that failed are tried one by one
 * (record-tries.ts). A client that gives up (a fatal error of librdkafka) is replaced (current-client.ts), and the next one sends again, in
 * order, what the first had and did not report.
 */
import { EventEmitter } from "eventemitter3";
import { messageOf } from "../../core/errors.ts";
import type { TopicPartition } from "../../core/messages/message.ts";
import { type RecordBlock, sizeOfRecord } from "../../core/messages/records.ts";
import type { Problem } from "../../core/problem.ts";
import { lifetime } from "../../core/waiting/lifetime.ts";
import { KafkaError, kafkaErrors } from "../client/kafka-error.ts";
import { Acknowledgements } from "./acknowledgements.ts";
import { CurrentClient } from "./current-client.ts";
import type { RecordClient } from "./record-client.ts";
import type { Part, RecordSource } from "./record-lane.ts";
import { leaderlessWords, recordProblems } from "./record-problems.ts";
import type { RecordProducerEvents, RecordProducerParts } from "./record-producer-parts.ts";
import { isRefusedForGood, RecordTries } from "./record-tries.ts";
import { type TopicLane, TopicLanes } from "./topic-lanes.ts";

/** Most that the client has at a time, in records and bytes. A topic that nobody acknowledges has the same limit for itself. */
const MOST_HANDED = 100_000;
const MOST_HANDED_BYTES = 32 * 2 ** 20;
/** The client still holds records of partitions that were revoked or lost. From so many bytes on it is replaced to get rid of them. */
const MOST_LEFT_BYTES = 32 * 2 ** 20;
/** A lane hands over at most so many records, then the next lane has its turn. */
const PART_RECORDS = 500;
/** Rounds over all lanes before the event loop goes on. A record takes about 3 µs. */
const PARTS_A_TURN = 8;
/** While records wait, silent topics are looked for at this interval. */
const WATCH_MS = 5_000;
/** A full queue has room again when it is down to this part of `mostBytes`. */
const ROOM_AGAIN = 0.5;

const { fatal, state, purgedInQueue, purgedInFlight } = kafkaErrors;
/** Errors of a client that takes nothing more: its own fatal error, and what it threw away because of one. */
const GAVE_UP: readonly number[] = [fatal, state, purgedInQueue, purgedInFlight];

/** Produces the records of handlers, in order and at least once: one client for all, one lane per topic. */
export class RecordProducer extends EventEmitter<RecordProducerEvents> {
	readonly #parts: RecordProducerParts;
	readonly #lanes: TopicLanes;
	readonly #ended = lifetime();
	readonly #client: CurrentClient;
	readonly #tries: RecordTries;
	readonly #acknowledgements: Acknowledgements;
	/** Questions to the broker and tries; `dispose` waits for them. */
	readonly #underWay = new Set<Promise<void>>();
	#bytes = 0;
	#waiting = new Set<() => void>();
	#isTurnAsked = false;
	#isWatched = false;
	/** This client had a record acknowledged. If one gives up before that, the next would give up too, so records are tried instead. */
	#hasAcknowledged = false;
	/** Number of the next record. All lanes share the numbers, so a late report never fits a record of a lane that was made again. */
	#nextNumber = 0;

	constructor(parts: RecordProducerParts) {
		super();
		this.#parts = parts;
		const { clock, random } = parts;
		const { signal } = this.#ended;
		this.#lanes = new TopicLanes(clock);
		this.#client = new CurrentClient({
			...{ clock, random, signal },
			connect: () => parts.connect((topic, number, error) => this.#reported(topic, number, error)),
			isBusy: () => this.#lanes.hasHanded,
			connected: () => {
				this.#hasAcknowledged = false;
				this.#lanes.begin();
				this.#pump();
			},
			troubled: () => this.emit("changed"),
			gone: (error) => this.#clientGone(error),
		});
		this.#tries = new RecordTries({ ...{ clock, random, signal }, connect: parts.connectSingle });
		this.#acknowledgements = new Acknowledgements(clock, (fact) => this.emit("records:produced", fact));
	}

	/** Bytes that wait for the broker. */
	get bytes(): number {
		return this.#bytes;
	}

	/** True while `mostBytes` or more wait: hand in nothing more until `whenRoom`. */
	get isFull(): boolean {
		if (this.#bytes < this.#parts.mostBytes) return false;
		this.#freed(this.#lanes.dropReleased());
		return this.#bytes >= this.#parts.mostBytes;
	}

	/** Calls the listener once, when half of `mostBytes` or less waits. Ask for it while `isFull`. */
	whenRoom(listener: () => void): void {
		this.#waiting.add(listener);
	}

	/** Takes the records of a submission. Its source learns their fate: `settledAll` once acknowledged, `refused` for good. */
	produce(submission: RecordSource & { readonly blocks: readonly RecordBlock[] }): void {
		if (this.#ended.signal.aborted) return;
		for (const block of submission.blocks) {
			this.#bytes += this.#lanes.of(block.topic).records.push(submission, block, this.#nextNumber);
			this.#nextNumber += block.length;
		}
		this.#pump();
		this.#watch();
	}

	/** True if records of this source partition make progress, so that a drain should wait for them. */
	isMoving(partition: TopicPartition): boolean {
		return this.#acknowledgements.hasSome(partition) || (!this.#client.trouble && this.#lanes.isMoving(partition));
	}

	/** What holds records up now. */
	get problems(): readonly Problem<"produce_blocked">[] {
		this.#freed(this.#lanes.dropReleased());
		return recordProblems(this.#lanes, this.#client.trouble, this.#parts.clock);
	}

	/** Replaces the client, so that changed settings and files (a certificate) are used. Resolves when the old one is closed. */
	async renew(): Promise<void> {
		await this.#client.replace(null);
	}

	/** Ends without waiting for acknowledgements: the offsets of such messages are not committed, so their next owner produces them. */
	async dispose(): Promise<void> {
		this.#ended.abort(new Error("the records were ended"));
		await this.#tries.close();
		await Promise.all(this.#underWay);
		await this.#client.close();
		this.#acknowledgements.tell();
	}

	/** Asks why silent topics are silent, and lets the others go on: a silent topic no longer takes up their share of the client. */
	#watch(): void {
		if (this.#isWatched) return;
		this.#isWatched = true;
		this.#parts.clock.after(WATCH_MS, () => {
			this.#isWatched = false;
			if (this.#ended.signal.aborted || this.#bytes === 0) return;
			for (const lane of this.#lanes) if (lane.state === "open" && this.#lanes.silentMs(lane) !== null) this.#askWhy(lane);
			this.#pump();
			this.#watch();
		});
	}

	#askWhy(lane: TopicLane): void {
		const client = this.#client.ready;
		if (!client) return;
		const asked = client.partitions(lane.topic).then(({ leaderless }) => {
			if (this.#lanes.silentMs(lane) !== null) lane.silence = leaderlessWords(leaderless);
		});
		this.#begin(asked.catch(() => {}));
	}

	#pump(): void {
		if (this.#ended.signal.aborted) return;
		// Without this each rebalance while Kafka is away would leave its records in the client, and hand over the same records again.
		if (this.#lanes.leftBytes > MOST_LEFT_BYTES) void this.#client.replace(null);
		if (this.#bytes === 0) return;
		const client = this.#client.ready;
		if (!client) {
			this.#client.need();
			return;
		}
		for (const lane of this.#lanes) if (lane.state === "new" && !lane.records.isEmpty) this.#look(lane, client);
		let hasMore = true;
		for (let parts = 0; hasMore && parts < PARTS_A_TURN; parts++) {
			hasMore = false;
			for (const lane of this.#lanes)
				if (lane.state === "open" && !lane.isStopped && this.#client.ready === client) hasMore = this.#hand(lane, client) || hasMore;
		}
		if (!hasMore || this.#isTurnAsked) return;
		this.#isTurnAsked = true;
		this.#parts.clock.after(0, () => {
			this.#isTurnAsked = false;
			this.#pump();
		});
	}

	/** Hands over the next records of the lane. False if there are none, or the client is full. */
	#hand(lane: TopicLane, client: RecordClient): boolean {
		const next = lane.records.first();
		if (!next) return false;
		const { records, bytes } = this.#lanes.handedBeside(lane);
		if (records >= MOST_HANDED || bytes >= MOST_HANDED_BYTES) return false;
		if (next.parcel.source.released) {
			this.#freed(this.#lanes.drop(lane.records, next.parcel));
			return true;
		}
		const part = lane.records.take(Math.min(PART_RECORDS, MOST_HANDED - records), MOST_HANDED_BYTES - bytes) as Part;
		const { taken, error } = client.produce(part);
		const { parcel, from, to } = part;
		if (from + taken === to) return true;
		lane.records.giveBack({ parcel, from: from + taken, to });
		if (error) this.#failed(lane, parcel.first + from + taken, error);
		return false;
	}

	/** A delivery report of the client. */
	#reported(topic: string, number: number, error: KafkaError | null): void {
		if (error === null) this.#hasAcknowledged = true;
		const lane = this.#lanes.get(topic);
		const found = lane?.records.find(number);
		if (lane && found) {
			if (error === null) this.#acknowledged(lane, found);
			else {
				lane.records.giveBack(found);
				this.#failed(lane, number, error);
			}
		} else this.#lanes.leftReported();
		if (lane?.isStopped) this.#tryWhenBack(lane);
		this.#pump();
	}

	#acknowledged(lane: TopicLane, part: Part): void {
		this.#acknowledgements.add(part);
		this.#freed(lane.records.done(part.parcel, part.from));
	}

	#failed(lane: TopicLane, number: number, error: KafkaError): void {
		if (GAVE_UP.includes(error.kafkaCode)) {
			void this.#client.replace(error);
			return;
		}
		lane.isStopped = true;
		if (isRefusedForGood(error)) lane.suspectUntil = Math.max(lane.suspectUntil, number);
		this.#tryWhenBack(lane);
	}

	#tryWhenBack(lane: TopicLane): void {
		if (lane.records.handed > 0 || lane.state !== "open") return;
		lane.state = "trying";
		this.#begin(this.#try(lane));
	}

	/** Asks whether the topic exists. If it does not, or nobody answers, its first record is tried by itself. */
	#look(lane: TopicLane, client: RecordClient): void {
		lane.state = "trying";
		const looked = client.partitions(lane.topic).catch(() => ({ count: 0 }));
		this.#begin(looked.then(({ count }) => (count > 0 ? this.#opens(lane) : this.#try(lane))));
	}

	/** Record by record, until the broker has those that failed, or refuses them. */
	async #try(lane: TopicLane): Promise<void> {
		await this.#tries.run({
			next: () => this.#firstOf(lane),
			isLast: ({ parcel, from }) => parcel.first + from >= lane.suspectUntil,
			acknowledged: (part) => {
				this.#acknowledged(lane, part);
				this.#clear(lane);
			},
			refused: (part, error) => {
				this.#refuse(lane, part, error);
				this.#clear(lane);
			},
			blocked: (error) => this.#blocked(lane, error),
		});
		this.#opens(lane);
	}

	#begin(work: Promise<void>): void {
		const ended = work.finally(() => this.#underWay.delete(ended));
		this.#underWay.add(ended);
	}

	#opens(lane: TopicLane): void {
		if (this.#ended.signal.aborted) return;
		lane.state = "open";
		lane.isStopped = false;
		lane.suspectUntil = -1;
		this.#clear(lane);
		this.#pump();
	}

	/** The first record that somebody still waits for. */
	#firstOf(lane: TopicLane): Part | null {
		for (;;) {
			const next = lane.records.first();
			if (!next?.parcel.source.released) return next;
			this.#freed(this.#lanes.drop(lane.records, next.parcel));
		}
	}

	#refuse(lane: TopicLane, { parcel, from }: Part, error: KafkaError): void {
		const { source, block } = parcel;
		const message = block.messages[from] as number;
		const index = block.indexes[from] as number;
		const offset = source.batch.offsets[message] as number;
		const bytes = sizeOfRecord(block, from);
		const words = `topic ${lane.topic} refuses record ${index} (${bytes} bytes): ${error.message}`;
		this.#freed(lane.records.done(parcel, from));
		this.emit("records:produced", { topic: lane.topic, result: "refused", records: 1, bytes, agesMs: [] });
		this.emit("record:refused", {
			topic: lane.topic,
			source: { topic: source.topic, partition: source.partition, offset },
			index,
			message: words,
		});
		source.refused(message, { table: `topic ${lane.topic}`, rowId: `record ${index}`, sqlstate: error.code, message: words });
	}

	#blocked(lane: TopicLane, error: unknown): void {
		const hint = error instanceof KafkaError ? this.#parts.hint(error, lane.topic) : null;
		const message = `records for topic ${lane.topic} can't be produced: ${messageOf(error)}${hint ? `; ${hint}` : ""}`;
		lane.trouble = { message, sinceMs: lane.trouble?.sinceMs ?? this.#parts.clock.now() };
		this.emit("changed");
	}

	#clear(lane: TopicLane): void {
		if (!lane.trouble) return;
		lane.trouble = null;
		this.emit("changed");
	}

	#clientGone(error: KafkaError | null): void {
		this.#lanes.clientGone();
		let records = 0;
		for (const { topic, records: those } of this.#lanes) {
			const back = those.giveBackAll();
			records += back;
			if (back > 0) this.emit("records:produced", { topic, result: "resent", records: back, bytes: 0, agesMs: [] });
		}
		if (error) this.emit("client:replaced", { message: error.message, records });
		for (const lane of this.#lanes) {
			// The next client would give up as well. A try finds out why, and waits before it tries again.
			if (error && !this.#hasAcknowledged && lane.state === "open" && !lane.records.isEmpty) lane.isStopped = true;
			if (lane.isStopped) this.#tryWhenBack(lane);
		}
		this.#pump();
	}

	#freed(bytes: number): void {
		if (bytes === 0) return;
		this.#bytes -= bytes;
		if (this.#waiting.size === 0 || this.#bytes > ROOM_AGAIN * this.#parts.mostBytes) return;
		const waiting = this.#waiting;
		this.#waiting = new Set();
		for (const listener of waiting) listener();
	}
}
