/**
 * A steady load whose delivery reports are kept: what the table must hold is computed from what the broker said it took, not from what
 * was meant, and not from what a consumer read.
 */
import { systemClock } from "../../src/core/clock.ts";
import { type Random, seededRandom } from "../../src/core/random.ts";
import { type DeliveryReport, Producer } from "../../src/kafka/producer.ts";
import { kafkaAt } from "../support/kafka/load-topic.ts";

/** A row that must be there; `n` is null in a deleted one. */
export interface ReportedRow {
	readonly n: string | null;
	readonly ts: number;
	readonly offset: number;
	readonly partition: number;
}

const EVERY_MS = 50;
const IDS = 400;

/** See the file's header; `await using` ends it. */
export class ReportedLoad implements AsyncDisposable {
	readonly #producer: Producer;
	readonly #topic: string;
	readonly #random: Random = seededRandom(11);
	readonly #ended = new AbortController();
	readonly #running: Promise<void>;
	readonly #rows = new Map<string, ReportedRow>();
	/** Ids of records of which nobody knows whether the broker has them, and until when: a younger record decides again. */
	readonly #unknown = new Map<string, number>();
	#next = 0;
	readonly #outstanding = new Set<Promise<void>>();

	private constructor(producer: Producer, topic: string, perSecond: number) {
		this.#producer = producer;
		this.#topic = topic;
		this.#running = this.#run((perSecond * EVERY_MS) / 1_000);
	}

	static async start(brokers: string, topic: string, perSecond: number): Promise<ReportedLoad> {
		const kafka = { ...kafkaAt(brokers), properties: { "topic.metadata.refresh.interval.ms": "1000", "reconnect.backoff.max.ms": "500" } };
		return new ReportedLoad(await Producer.connect(kafka, { lingerMs: 5 }), topic, perSecond);
	}

	/** What the table must hold, of ids whose fate is known. */
	get rows(): ReadonlyMap<string, ReportedRow> {
		return new Map([...this.#rows].filter(([id]) => !this.#unknown.has(id)));
	}

	/** Whether it may be there or not. */
	isUnknown(id: string): boolean {
		return this.#unknown.has(id);
	}

	/** What was produced up to now may be lost, as it is in a log that was deleted: only younger records decide. */
	forget(): void {
		for (const id of this.#rows.keys()) this.#doubt(id, Date.now());
	}

	/** Ends the load; resolves when all of it is reported. */
	async stop(): Promise<void> {
		this.#ended.abort(new Error("enough"));
		await this.#running;
		await Promise.allSettled(this.#outstanding);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#ended.abort(new Error("enough"));
		await this.#running;
		await this.#producer.close(0);
	}

	async #run(perTick: number): Promise<void> {
		for (let due = perTick; !this.#ended.signal.aborted; due += perTick) {
			for (; due >= 1; due--) this.#produce();
			await systemClock.sleep(EVERY_MS, this.#ended.signal).catch(() => {});
		}
	}

	#produce(): void {
		const random = this.#random;
		const key = `id-${Math.floor(random() * IDS)}`;
		const n = random() < 0.03 ? null : String(this.#next++);
		const timestamp = Date.now();
		const sent = this.#producer
			.produce({ topic: this.#topic, key, value: n === null ? null : JSON.stringify({ n }), timestamp })
			.then(
				// A retry that the broker took for one it had: nobody is told where it is.
				(report) => (report.offset < 0 ? this.#doubt(key, timestamp) : this.#take(key, n, report)),
				() => this.#doubt(key, timestamp),
			)
			.then(() => void this.#outstanding.delete(sent));
		this.#outstanding.add(sent);
	}

	#take(id: string, n: string | null, { timestamp: ts, offset, partition }: DeliveryReport): void {
		const present = this.#rows.get(id);
		const isNewer = !present || ts > present.ts || (ts === present.ts && (offset - present.offset || partition - present.partition) > 0);
		if (isNewer) this.#rows.set(id, { n, ts, offset, partition });
		if (ts > (this.#unknown.get(id) ?? Number.POSITIVE_INFINITY)) this.#unknown.delete(id);
	}

	#doubt(id: string, ts: number): void {
		const isDecided = (this.#rows.get(id)?.ts ?? 0) > ts;
		if (!isDecided) this.#unknown.set(id, Math.max(ts, this.#unknown.get(id) ?? 0));
	}
}
