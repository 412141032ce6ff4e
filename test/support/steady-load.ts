/** Messages at a steady rate while something goes wrong: the log's events in their order, by one idempotent producer. */
import { systemClock } from "../../src/core/clock.ts";
import { Producer } from "../../src/kafka/producer.ts";
import type { LogEvent } from "./event-log.ts";
import { kafkaAt } from "./load-topic.ts";

const EVERY_MS = 50;

/** Runs from `start` to `stop`; `await using` ends it where a test fails. */
export class SteadyLoad implements AsyncDisposable {
	readonly #producer: Producer;
	readonly #ended = new AbortController();
	readonly #running: Promise<void>;
	#delivered = 0;

	private constructor(producer: Producer, log: Iterator<LogEvent>, perTick: number, tickMs: number) {
		this.#producer = producer;
		this.#running = this.#run(log, perTick, tickMs);
		// Told by `stop`.
		this.#running.catch(() => {});
	}

	/** `tickMs`: so often some are sent at once; `lingerMs`: so long the client may gather them. */
	static async start(brokers: string, log: Iterable<LogEvent>, perSecond: number, tickMs = EVERY_MS, lingerMs = 5): Promise<SteadyLoad> {
		const kafka = { ...kafkaAt(brokers), properties: { "topic.metadata.refresh.interval.ms": "2000", "reconnect.backoff.max.ms": "500" } };
		return new SteadyLoad(await Producer.connect(kafka, { lingerMs }), log[Symbol.iterator](), (perSecond * tickMs) / 1000, tickMs);
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

	async #run(log: Iterator<LogEvent>, perTick: number, tickMs: number): Promise<void> {
		const sent: Promise<unknown>[] = [];
		const startedAt = systemClock.monotonic();
		while (!this.#ended.signal.aborted) {
			// What a late tick missed comes with the next one.
			const due = Math.ceil(((systemClock.monotonic() - startedAt) / tickMs + 1) * perTick);
			while (sent.length < due) {
				const { value, done } = log.next();
				if (done) throw new Error("the log is too short for this test");
				sent.push(this.#producer.produce(value).then(() => this.#delivered++));
			}
			await systemClock.sleep(tickMs, this.#ended.signal).catch(() => {});
		}
		await Promise.all(sent);
	}
}
