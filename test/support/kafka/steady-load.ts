/** Messages at a steady rate while something goes wrong: the log's events in their order, by one idempotent producer. */
import { systemClock } from "../../../src/core/clock.ts";
import { Producer } from "../../../src/kafka/producer.ts";
import type { LogEvent } from "../daemons/event-log.ts";
import { kafkaAt } from "./load-topic.ts";

const EVERY_MS = 50;

/** How the messages are sent. */
export interface SteadyLoadOptions {
	/** So often some are sent at once. */
	readonly tickMs?: number;
	/** So long the client may gather them. */
	readonly lingerMs?: number;
	/** What is sent of an event that is so much later than its tick: a sender that was held up must not hide it. */
	readonly stamp?: (event: LogEvent, lateMs: number) => LogEvent;
}

/** Runs from `start` to `stop`; `await using` ends it where a test fails. */
export class SteadyLoad implements AsyncDisposable {
	readonly #producer: Producer;
	readonly #ended = new AbortController();
	readonly #running: Promise<void>;
	#delivered = 0;

	private constructor(producer: Producer, log: Iterator<LogEvent>, perSecond: number, options: SteadyLoadOptions) {
		this.#producer = producer;
		this.#running = this.#run(log, perSecond, options);
		// Told by `stop`.
		this.#running.catch(() => {});
	}

	static async start(
		brokers: string,
		log: Iterable<LogEvent>,
		perSecond: number,
		{ lingerMs = 5, ...options }: SteadyLoadOptions = {},
	): Promise<SteadyLoad> {
		const kafka = { ...kafkaAt(brokers), properties: { "topic.metadata.refresh.interval.ms": "2000", "reconnect.backoff.max.ms": "500" } };
		return new SteadyLoad(await Producer.connect(kafka, { lingerMs }), log[Symbol.iterator](), perSecond, options);
	}

	/** How many the brokers have acknowledged. */
	get delivered(): number {
		return this.#delivered;
	}

	/** Ends the load; resolves once all of it is acknowledged. */
	async stop(): Promise<void> {
		this.#ended.abort(new Error("enough"));
		await this.#running;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#ended.abort(new Error("enough"));
		// What is not acknowledged by now is nobody's matter any more.
		this.#running.catch(() => {});
		await this.#producer.close(0);
	}

	async #run(
		log: Iterator<LogEvent>,
		perSecond: number,
		{ tickMs = EVERY_MS, stamp = (event) => event }: SteadyLoadOptions,
	): Promise<void> {
		const sent: Promise<unknown>[] = [];
		const startedAt = systemClock.monotonic();
		const elapsed = () => systemClock.monotonic() - startedAt;
		for (let tick = 0; !this.#ended.signal.aborted; ) {
			// What a late tick missed comes with the next one.
			for (; tick * tickMs <= elapsed(); tick++) {
				const due = Math.ceil(((tick + 1) * tickMs * perSecond) / 1000);
				while (sent.length < due) {
					const { value, done } = log.next();
					if (done) throw new Error("the log is too short for this test");
					sent.push(this.#producer.produce(stamp(value, elapsed() - tick * tickMs)).then(() => this.#delivered++));
				}
			}
			await systemClock.sleep(Math.max(0, tick * tickMs - elapsed()), this.#ended.signal).catch(() => {});
		}
		await Promise.all(sent);
	}
}
