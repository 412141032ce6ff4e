/**
 * What handlers produce, on its way to the broker: one client for the whole daemon, made when something is produced for the first time.
 * Each topic has a lane of its own: one that is missing or forbidden holds up nobody else. Nothing is given up by itself: records wait, in
 * their order, until the broker has them or refuses them for good.
 *
 * A record that fails stops its lane, and what the client had of it is tried one by one (record-tries.ts). A client that gave itself up is
 * replaced (current-client.ts); what it had and did not report is sent again, in order.
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

/** What the client may have at a time, beside topics that nobody acknowledges. */
const MOST_HANDED = 100_000;
const MOST_HANDED_BYTES = 32 * 2 ** 20;
/** What it may have beside, of partitions that were given away. */
const MOST_LEFT_BYTES = 32 * 2 ** 20;
/** Records that go to the client in one call, before others get a turn. */
const PART_RECORDS = 500;
/** Then the rest of the daemon gets a turn: 3 µs a record. */
const PARTS_A_TURN = 8;
/** While something waits, topics that are silent are looked for so often. */
const WATCH_MS = 5_000;
const FULL_AGAIN = 0.5;

const { fatal, state, purgedInQueue, purgedInFlight } = kafkaErrors;
const GAVE_UP: readonly number[] = [fatal, state, purgedInQueue, purgedInFlight];

/** Produces what handlers give: one client for all of it, a lane for each topic. */
export class RecordProducer extends EventEmitter<RecordProducerEvents> {
	readonly #parts: RecordProducerParts;
	readonly #lanes: TopicLanes;
	readonly #ended = lifetime();
	readonly #client: CurrentClient;
	readonly #tries: RecordTries;
	readonly #acknowledgements: Acknowledgements;
	/** Looks and tries. */
	readonly #underWay = new Set<Promise<void>>();
	#bytes = 0;
	#waiting = new Set<() => void>();
	#isTurnAsked = false;
	#isWatched = false;
	/** The client has done so once: else it may be one that no broker takes a record from. */
	#hasAcknowledged = false;
	/** Of all lanes, so that a report that comes late is of no record of a lane that was made anew. */
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

	get isFull(): boolean {
		if (this.#bytes < this.#parts.mostBytes) return false;
		this.#freed(this.#lanes.dropReleased());
		return this.#bytes >= this.#parts.mostBytes;
	}

	whenRoom(listener: () => void): void {
		this.#waiting.add(listener);
	}

	produce(submission: RecordSource & { readonly blocks: readonly RecordBlock[] }): void {
		if (this.#ended.signal.aborted) return;
		for (const block of submission.blocks) {
			this.#bytes += this.#lanes.of(block.topic).records.push(submission, block, this.#nextNumber);
			this.#nextNumber += block.length;
		}
		this.#pump();
		this.#watch();
	}

	/** True where something of the partition waits for nothing but a broker that answers, or to be told that it is acknowledged. */
	isMoving(partition: TopicPartition): boolean {
		return this.#acknowledgements.hasSome(partition) || (!this.#client.trouble && this.#lanes.isMoving(partition));
	}

	/** What holds records up, for as long as it does. */
	get problems(): readonly Problem<"produce_blocked">[] {
		this.#freed(this.#lanes.dropReleased());
		return recordProblems(this.#lanes, this.#client.trouble, this.#parts.clock);
	}

	/** The next records go by a new client, made of what its settings name by now. */
	async renew(): Promise<void> {
		await this.#client.replace(null);
	}

	/** What is not acknowledged by now is not looked for any more: whoever gets its message next produces it. */
	async dispose(): Promise<void> {
		this.#ended.abort(new Error("the records were ended"));
		await this.#tries.close();
		await Promise.all(this.#underWay);
		await this.#client.close();
		this.#acknowledgements.tell();
	}

	/** Nobody waits behind topics that are silent, and it is asked why they are. */
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
		// Else each rebalance while Kafka is away leaves what it had handed over in the client, and hands it over again.
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

	/** Hands over the next records of the lane; false where there are none, or the client is full. */
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

	/** Told by the client. */
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
		}
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

	/** Is the topic there? */
	#look(lane: TopicLane, client: RecordClient): void {
		lane.state = "trying";
		const looked = client.partitions(lane.topic).catch(() => ({ count: 0 }));
		this.#begin(looked.then(({ count }) => (count > 0 ? this.#opens(lane) : this.#try(lane))));
	}

	/** Record by record, until those that failed went through or are refused. */
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
		this.#lanes.leftBytes = 0;
		let records = 0;
		for (const { topic, records: those } of this.#lanes) {
			const back = those.giveBackAll();
			records += back;
			if (back > 0) this.emit("records:produced", { topic, result: "resent", records: back, bytes: 0, agesMs: [] });
		}
		if (error) this.emit("client:replaced", { message: error.message, records });
		for (const lane of this.#lanes) {
			// The next client would give itself up as well: a try tells why, and waits between one and the next.
			if (error && !this.#hasAcknowledged && lane.state === "open" && !lane.records.isEmpty) lane.isStopped = true;
			if (lane.isStopped) this.#tryWhenBack(lane);
		}
		this.#pump();
	}

	#freed(bytes: number): void {
		if (bytes === 0) return;
		this.#bytes -= bytes;
		if (this.#waiting.size === 0 || this.#bytes > FULL_AGAIN * this.#parts.mostBytes) return;
		const waiting = this.#waiting;
		this.#waiting = new Set();
		for (const listener of waiting) listener();
	}
}
