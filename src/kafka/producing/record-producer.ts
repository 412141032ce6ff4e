/**
 * What handlers produce, on its way to the broker: one client for the whole daemon, made when something is produced for the first time.
 * Each topic has a lane of its own: one that is missing or forbidden holds up nobody else. Nothing is given up by itself: records wait, in
 * their order, until the broker has them or refuses them for good.
 *
 *   lane:  new -> open <-> trying        new: is the topic there?   trying: record by record, each by a client of its own
 *   client: none -> connecting -> ready -> closing -> none
 *
 * A record that fails stops its lane. What the client had of it is tried one by one: so it is found which of a batch the broker refuses,
 * and a missing topic or right is met by one record and not by all. A client that gave itself up is replaced; what it had and did not
 * report is sent again, in order.
 */
import { EventEmitter } from "eventemitter3";
import { fullJitter } from "../../core/back-off.ts";
import type { Clock } from "../../core/clock.ts";
import { messageOf, PocKaffeError } from "../../core/errors.ts";
import { lifetime } from "../../core/lifetime.ts";
import type { TopicPartition } from "../../core/messages/message.ts";
import type { RecordBlock } from "../../core/messages/records.ts";
import { sizeOfRecord } from "../../core/messages/records.ts";
import type { Problem } from "../../core/problem.ts";
import type { Random } from "../../core/random.ts";
import { KafkaError, kafkaErrors } from "../client/kafka-error.ts";
import { Places } from "./places.ts";
import type { RecordClient, Reported } from "./record-client.ts";
import { type Parcel, type Part, RecordLane, type RecordSource } from "./record-lane.ts";

/** What became of some records of a topic. */
export interface ProducedFact {
	readonly topic: string;
	/** `resent`: a client gave itself up before it reported them. */
	readonly result: "acknowledged" | "refused" | "resent";
	readonly records: number;
	readonly bytes: number;
	/** From when their messages were received, ms; of what is acknowledged, an entry each. */
	readonly agesMs: ArrayLike<number>;
}

/** What it tells. */
export interface RecordProducerEvents {
	"records:produced": (fact: ProducedFact) => void;
	/** The client gave itself up; another is made. */
	"client:replaced": (fact: { message: string; records: number }) => void;
	/** The broker never takes a record. */
	"record:refused": (fact: { topic: string; source: TopicPartition & { offset: number }; index: number; message: string }) => void;
	/** A topic is blocked, or not any more: whoever waits for it looks again. */
	changed: () => void;
}

/** A record by itself. */
export interface SingleRecords {
	/** Rejects with KafkaError. */
	produce(part: Part): Promise<void>;
	close(): Promise<void>;
}

/** What it is made of. */
export interface RecordProducerParts {
	readonly clock: Clock;
	readonly random: Random;
	/** Bytes that may wait for the broker, or a little more. */
	readonly mostBytes: number;
	readonly connect: (reported: Reported) => Promise<RecordClient>;
	/** A client for records one by one. `bytes`: how large the first of them is. */
	readonly connectSingle: (bytes: number) => Promise<SingleRecords>;
	/** What mends an error at a topic; null where nothing is known. */
	readonly hint: (error: KafkaError, topic: string) => string | null;
}

interface Lane {
	readonly topic: string;
	readonly records: RecordLane;
	state: "new" | "open" | "trying";
	/** A record failed: nothing more is handed over until the client has none of the lane. */
	isStopped: boolean;
	/** The records up to this number are tried one by one; -1: only the next. */
	suspectUntil: number;
	trouble: { message: string; sinceMs: number } | null;
}

const RETRY = { minMs: 200, maxMs: 5_000 };
/** What the client may have at a time. */
const MOST_HANDED = 100_000;
const MOST_HANDED_BYTES = 32 * 2 ** 20;
/** Records that go to the client in one call, before others get a turn. */
const PART_RECORDS = 500;
/** Then the rest of the daemon gets a turn: 3 µs a record. */
const PARTS_A_TURN = 8;
/** A client that gave itself up reports what it threw away within so long. */
const LAST_REPORTS_MS = 1_000;
/** Nothing was acknowledged for so long although something waits: told. */
const SILENT_MS = 10_000;
const FULL_AGAIN = 0.5;
/** Lanes that are tried at a time: each has a native client meanwhile. One that waits for its next try has none. */
const MOST_TRIES = 4;
/** From so many on, lanes that have nothing are forgotten: a handler may name topics by what messages hold. */
const MANY_LANES = 100;

const { fatal, state, purgedInQueue, purgedInFlight } = kafkaErrors;
const GAVE_UP: readonly number[] = [fatal, state, purgedInQueue, purgedInFlight];
/**
 * Never, whoever tries: too large (10, 18), no name of a topic (17), its timestamp (32), refused by a policy of the broker (44), what is in
 * it (87), a partition that is not there (-190).
 */
const INVALID_RECORD = 87;
const REFUSED: readonly number[] = [10, kafkaErrors.invalidTopic, 18, 32, 44, INVALID_RECORD, kafkaErrors.unknownPartition];

/** Produces what handlers give: one client for all of it, a lane for each topic. */
export class RecordProducer extends EventEmitter<RecordProducerEvents> {
	readonly #parts: RecordProducerParts;
	readonly #lanes = new Map<string, Lane>();
	readonly #ended = lifetime();
	#client: RecordClient | null = null;
	#connecting: Promise<void> | null = null;
	#closing: Promise<void> | null = null;
	#trouble: { message: string; sinceMs: number } | null = null;
	#bytes = 0;
	#waiting = new Set<() => void>();
	/** Acknowledged and not told yet, by parcel: messages. */
	#settled = new Map<Parcel, { lane: Lane; messages: number[]; bytes: number }>();
	#lastReportMs = 0;
	#isTurnAsked = false;
	readonly #tries = new Places(MOST_TRIES);
	/** Of all lanes, so that a report that comes late is of no record of a lane that was made anew. */
	#nextNumber = 0;

	constructor(parts: RecordProducerParts) {
		super();
		this.#parts = parts;
	}

	/** Bytes that wait for the broker. */
	get bytes(): number {
		return this.#bytes;
	}

	get isFull(): boolean {
		if (this.#bytes < this.#parts.mostBytes) return false;
		this.#dropReleased();
		return this.#bytes >= this.#parts.mostBytes;
	}

	whenRoom(listener: () => void): void {
		this.#waiting.add(listener);
	}

	produce(submission: RecordSource & { readonly blocks: readonly RecordBlock[] }): void {
		if (this.#ended.signal.aborted) return;
		if (this.#bytes === 0) this.#lastReportMs = this.#parts.clock.monotonic();
		for (const block of submission.blocks) {
			this.#bytes += this.#laneOf(block.topic).records.push(submission, block, this.#nextNumber);
			this.#nextNumber += block.length;
		}
		this.#pump();
	}

	/** True where something of the partition waits for nothing but a broker that answers, or to be told that it is acknowledged. */
	isMoving({ topic, partition }: TopicPartition): boolean {
		for (const { source } of this.#settled.keys()) if (source.topic === topic && source.partition === partition) return true;
		if (this.#trouble || this.#isSilent) return false;
		return [...this.#lanes.values()].some((lane) => {
			if (lane.trouble) return false;
			for (const { source } of lane.records.parcels()) if (source.topic === topic && source.partition === partition) return true;
			return false;
		});
	}

	/** What holds records up, for as long as it does. */
	get problems(): readonly Problem<"produce_blocked">[] {
		this.#dropReleased();
		const of = (where: Problem["where"], { message, sinceMs }: { message: string; sinceMs: number }) => ({
			...{ code: "produce_blocked" as const, where, message, sinceMs },
		});
		const lanes = [...this.#lanes.values()].flatMap(({ topic, trouble, records }) =>
			trouble && !records.isEmpty ? [of({ topic, partition: null }, trouble)] : [],
		);
		if (lanes.length === 0 && this.#trouble) return [of(null, this.#trouble)];
		if (lanes.length > 0 || !this.#isSilent) return lanes;
		const silentMs = this.#parts.clock.monotonic() - this.#lastReportMs;
		const message = `Kafka has acknowledged no record for ${Math.round(silentMs / 1000)} s, and ${this.#bytes} bytes wait`;
		return [of(null, { message, sinceMs: this.#parts.clock.now() - silentMs })];
	}

	/** The next records go by a new client, made of what its settings name by now. */
	async renew(): Promise<void> {
		if (this.#client) await this.#replace(null);
	}

	/** What is not acknowledged by now is not looked for any more: whoever gets its message next produces it. */
	async dispose(): Promise<void> {
		this.#ended.abort(new Error("the records were ended"));
		await this.#connecting;
		await this.#closing;
		await this.#client?.close();
		this.#client = null;
		this.#tellSettled();
	}

	get #isSilent(): boolean {
		return this.#bytes > 0 && this.#parts.clock.monotonic() - this.#lastReportMs > SILENT_MS;
	}

	#laneOf(topic: string): Lane {
		let lane = this.#lanes.get(topic);
		if (!lane) {
			if (this.#lanes.size >= MANY_LANES) this.#forgetIdle();
			lane = { topic, records: new RecordLane(), state: "new", isStopped: false, suspectUntil: -1, trouble: null };
			this.#lanes.set(topic, lane);
		}
		return lane;
	}

	#forgetIdle(): void {
		for (const [topic, { state, isStopped, records }] of this.#lanes)
			if (state === "open" && !isStopped && records.isEmpty && records.handed === 0) this.#lanes.delete(topic);
	}

	#pump(): void {
		if (this.#ended.signal.aborted || this.#closing || this.#bytes === 0) return;
		if (!this.#client) {
			this.#connecting ??= this.#connect();
			return;
		}
		for (const lane of this.#lanes.values()) if (lane.state === "new" && !lane.records.isEmpty) void this.#look(lane);
		let hasMore = true;
		for (let parts = 0; hasMore && parts < PARTS_A_TURN; parts++) {
			hasMore = false;
			for (const lane of this.#lanes.values())
				if (lane.state === "open" && !lane.isStopped && this.#client && !this.#closing) hasMore = this.#hand(lane) || hasMore;
		}
		if (!hasMore || this.#isTurnAsked) return;
		this.#isTurnAsked = true;
		this.#parts.clock.after(0, () => {
			this.#isTurnAsked = false;
			this.#pump();
		});
	}

	/** Hands over the next records of the lane; false where there are none, or the client is full. */
	#hand(lane: Lane): boolean {
		let [handed, handedBytes] = [0, 0];
		for (const { records } of this.#lanes.values()) {
			handed += records.handed;
			handedBytes += records.handedBytes;
		}
		if (handed >= MOST_HANDED || handedBytes >= MOST_HANDED_BYTES) return false;
		const next = lane.records.first();
		if (!next) return false;
		if (next.parcel.source.released) {
			this.#freed(lane.records.drop(next.parcel));
			return true;
		}
		const part = lane.records.take(Math.min(PART_RECORDS, MOST_HANDED - handed), MOST_HANDED_BYTES - handedBytes) as Part;
		const { taken, error } = (this.#client as RecordClient).produce(part);
		const { parcel, from, to } = part;
		if (from + taken === to) return true;
		lane.records.giveBack({ parcel, from: from + taken, to });
		if (error) this.#failed(lane, parcel.first + from + taken, error);
		return false;
	}

	/** Told by the client. */
	#reported(topic: string, number: number, error: KafkaError | null): void {
		const lane = this.#lanes.get(topic);
		const found = lane?.records.find(number);
		this.#lastReportMs = this.#parts.clock.monotonic();
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

	#acknowledged(lane: Lane, { parcel, from }: Part): void {
		if (this.#settled.size === 0) this.#parts.clock.after(0, () => this.#tellSettled());
		let settled = this.#settled.get(parcel);
		if (!settled) {
			settled = { lane, messages: [], bytes: 0 };
			this.#settled.set(parcel, settled);
		}
		settled.messages.push(parcel.block.messages[from] as number);
		settled.bytes += sizeOfRecord(parcel.block, from);
		this.#freed(lane.records.done(parcel, from));
	}

	#tellSettled(): void {
		const all = this.#settled;
		this.#settled = new Map();
		const now = this.#parts.clock.monotonic();
		for (const [{ source }, { lane, messages, bytes }] of all) {
			const agesMs = new Float64Array(messages.length).fill(now - source.receivedAtMs);
			this.emit("records:produced", { topic: lane.topic, result: "acknowledged", records: messages.length, bytes, agesMs });
			source.settledAll(messages);
		}
	}

	#failed(lane: Lane, number: number, error: KafkaError): void {
		if (GAVE_UP.includes(error.kafkaCode)) {
			void this.#replace(error);
			return;
		}
		lane.isStopped = true;
		if (REFUSED.includes(error.kafkaCode)) lane.suspectUntil = Math.max(lane.suspectUntil, number);
		this.#tryWhenBack(lane);
	}

	#tryWhenBack(lane: Lane): void {
		if (lane.records.handed > 0 || lane.state !== "open") return;
		lane.state = "trying";
		void this.#try(lane);
	}

	/** Is the topic there? */
	async #look(lane: Lane): Promise<void> {
		lane.state = "trying";
		const partitions = await (this.#client as RecordClient).partitions(lane.topic).catch(() => 0);
		if (this.#ended.signal.aborted) return;
		if (partitions > 0) this.#opens(lane);
		else await this.#try(lane);
	}

	/** Record by record, until those that failed went through or are refused. */
	async #try(lane: Lane): Promise<void> {
		const { signal } = this.#ended;
		let single: SingleRecords | null = null;
		let leave: (() => void) | null = null;
		for (let failures = 0; !signal.aborted; ) {
			leave ??= await this.#tries.enter();
			const next = signal.aborted ? null : this.#firstOf(lane);
			if (!next) break;
			const { parcel, from } = next;
			try {
				single ??= await this.#parts.connectSingle(sizeOfRecord(parcel.block, from));
				await single.produce(next);
				this.#lastReportMs = this.#parts.clock.monotonic();
				this.#acknowledged(lane, next);
				this.#clear(lane);
				failures = 0;
			} catch (error) {
				if (signal.aborted) break;
				const refusal = refusalOf(error);
				if (refusal) {
					this.#refuse(lane, next, refusal);
					this.#clear(lane);
					failures = 0;
				} else {
					failures++;
					await single?.close();
					single = null;
					leave();
					leave = null;
					this.#blocked(lane, error);
					await this.#parts.clock.sleep(fullJitter(failures, RETRY, this.#parts.random), signal).catch(() => {});
					continue;
				}
			}
			if (parcel.first + from >= lane.suspectUntil) break;
		}
		await single?.close();
		leave?.();
		if (!signal.aborted) this.#opens(lane);
	}

	#opens(lane: Lane): void {
		lane.state = "open";
		lane.isStopped = false;
		lane.suspectUntil = -1;
		this.#clear(lane);
		this.#pump();
	}

	/** The first record that somebody still waits for. */
	#firstOf(lane: Lane): Part | null {
		for (;;) {
			const next = lane.records.first();
			if (!next?.parcel.source.released) return next;
			this.#freed(lane.records.drop(next.parcel));
		}
	}

	#refuse(lane: Lane, { parcel, from }: Part, error: KafkaError): void {
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

	#blocked(lane: Lane, error: unknown): void {
		const hint = error instanceof KafkaError ? this.#parts.hint(error, lane.topic) : null;
		const message = `records for topic ${lane.topic} can't be produced: ${messageOf(error)}${hint ? `; ${hint}` : ""}`;
		lane.trouble = { message, sinceMs: lane.trouble?.sinceMs ?? this.#parts.clock.now() };
		this.emit("changed");
	}

	#clear(lane: Lane): void {
		if (!lane.trouble) return;
		lane.trouble = null;
		this.emit("changed");
	}

	async #connect(): Promise<void> {
		const { clock, random, connect } = this.#parts;
		const { signal } = this.#ended;
		for (let failures = 0; !signal.aborted; ) {
			try {
				this.#client = await connect((topic, number, error) => this.#reported(topic, number, error));
				this.#trouble = null;
				break;
			} catch (error) {
				failures++;
				const message = `records can't be produced: ${messageOf(error)}`;
				this.#trouble = { message, sinceMs: this.#trouble?.sinceMs ?? clock.now() };
				this.emit("changed");
				await clock.sleep(fullJitter(failures, RETRY, random), signal).catch(() => {});
			}
		}
		this.#connecting = null;
		this.#lastReportMs = clock.monotonic();
		this.#pump();
	}

	/** Another client in the place of this one, which gave itself up (`error`) or has old settings. */
	#replace(error: KafkaError | null): Promise<void> {
		const client = this.#client;
		if (!client || this.#closing) return this.#closing ?? Promise.resolve();
		this.#closing = (async () => {
			const { clock } = this.#parts;
			// What it still has to say spares a record a second sending.
			const until = clock.monotonic() + LAST_REPORTS_MS;
			while (this.#isHanded && clock.monotonic() < until) await clock.sleep(20);
			this.#client = null;
			await client.close();
			let records = 0;
			for (const lane of this.#lanes.values()) {
				const back = lane.records.giveBackAll();
				records += back;
				if (back > 0) this.emit("records:produced", { topic: lane.topic, result: "resent", records: back, bytes: 0, agesMs: [] });
			}
			if (error) this.emit("client:replaced", { message: error.message, records });
			this.#closing = null;
			for (const lane of this.#lanes.values()) if (lane.isStopped) this.#tryWhenBack(lane);
			this.#pump();
		})();
		return this.#closing;
	}

	get #isHanded(): boolean {
		return [...this.#lanes.values()].some(({ records }) => records.handed > 0);
	}

	#freed(bytes: number): void {
		if (bytes === 0) return;
		this.#bytes -= bytes;
		if (this.#waiting.size === 0 || this.#bytes > FULL_AGAIN * this.#parts.mostBytes) return;
		const waiting = this.#waiting;
		this.#waiting = new Set();
		for (const listener of waiting) listener();
	}

	/** Partitions that were given away leave what was not sent behind. */
	#dropReleased(): void {
		for (const { records } of this.#lanes.values())
			for (const parcel of [...records.parcels()]) if (parcel.source.released) this.#freed(records.drop(parcel));
	}
}

/** Null where it may go through later. What the client itself can't send is refused, too: no waiting changes it. */
function refusalOf(error: unknown): KafkaError | null {
	if (error instanceof KafkaError) return REFUSED.includes(error.kafkaCode) ? error : null;
	if (!(error instanceof PocKaffeError) || error.code !== "header_nul") return null;
	return new KafkaError(error.message, INVALID_RECORD, { cause: error });
}
