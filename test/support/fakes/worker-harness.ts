/** A partition worker among fakes: threads the test plays, sinks that note what they get, a clock that stands still. */
import type { DeadLetter } from "../../../src/core/dead-letters/dead-letter.ts";
import type { ReceivedMessage } from "../../../src/core/messages/message.ts";
import { packMessages } from "../../../src/core/messages/message-codec.ts";
import { Turn } from "../../../src/core/waiting/turn.ts";
import { RestartIntensity } from "../../../src/supervisor/restart-intensity.ts";
import type { HandNotes } from "../../../src/worker/failures/careful-hand.ts";
import type { CrashReport } from "../../../src/worker/failures/crash-report.ts";
import type { Recovery } from "../../../src/worker/failures/standstill.ts";
import { PartitionWorker } from "../../../src/worker/partition-worker.ts";
import type { RecordSubmission, RowSubmission } from "../../../src/worker/ports.ts";
import type { WorkerParts, WorkerSettings } from "../../../src/worker/worker-parts.ts";
import { FakeThread, fakeLease } from "./fake-thread.ts";
import { ManualClock, settle } from "./manual-clock.ts";

const partition = { topic: "orders", partition: 2 };

const defaults: WorkerSettings = {
	timeoutMs: 1_000,
	maxAttempts: 3,
	retryBackoffMs: 100,
	maxRetryBackoffMs: 150,
	module: "./handler.mjs",
	version: "",
	onPoison: "dead-letter",
	onExceeded: "park",
	minBackoffMs: 50,
	maxBackoffMs: 10_000,
	futureLimits: new Map(),
	atomic: new Set(),
	breaker: { share: 1, minMessages: 1, withinMs: 60_000, consecutive: 0 },
};

export interface HarnessOptions extends Partial<WorkerSettings> {
	readonly maxRestarts?: number;
	/** Where the process died before. */
	readonly hand?: HandNotes;
	readonly turn?: Turn;
}

/** See the file's header. */
export class WorkerHarness {
	readonly clock = new ManualClock();
	readonly threads: FakeThread[] = [];
	/** `opened`, `expired`, `released`. */
	readonly lease: string[] = [];
	readonly finished: number[] = [];
	readonly crashes: CrashReport[] = [];
	/** What it went on after. */
	readonly recoveries: Recovery[] = [];
	readonly events: string[] = [];
	readonly letters: DeadLetter[] = [];
	readonly submissions: RowSubmission[] = [];
	readonly records: RecordSubmission[] = [];
	/** The broker is slow. */
	recordsFull = false;
	/** There is room again. */
	room: () => void = () => {};
	/** Resolves what `store` of a dead letter waits for; by default it is durable at once. */
	storeLetter: () => Promise<void> = () => Promise.resolve();
	flushes = 0;
	random = 0;
	/** No more messages come. */
	full = false;
	readonly worker: PartitionWorker;
	/** What the worker is made of. */
	readonly parts: WorkerParts;
	#nextOffset = 0;

	constructor({ maxRestarts = 3, hand, turn = new Turn(), ...settings }: HarnessOptions = {}) {
		this.parts = {
			partition,
			logId: null,
			hand: hand ?? null,
			settings: { ...defaults, ...settings },
			threads: fakeLease(
				() => {
					const thread = new FakeThread();
					this.threads.push(thread);
					this.lease.push("opened");
					return thread;
				},
				(what) => this.lease.push(what),
			),
			rows: { write: (submission) => this.submissions.push(submission), flush: () => this.flushes++ },
			records: this.#records(),
			deadLetters: {
				store: async (letter) => {
					await this.storeLetter();
					this.letters.push(letter);
				},
			},
			intensity: new RestartIntensity({ maxRestarts, withinMs: 60_000 }),
			turn,
			clock: this.clock,
			random: () => this.random,
			finished: (offset) => this.finished.push(offset),
			isFull: () => this.full,
			listener: {
				started: () => this.events.push("started"),
				handled: () => {},
				crashed: (report) => this.crashes.push(report),
				restarted: (_, reason) => this.events.push(`restarted ${reason}`),
				carefulBegan: () => this.events.push("careful"),
				carefulEnded: () => this.events.push("careful no more"),
				heldTooMuch: (_, heldMb) => this.events.push(`held ${heldMb} MiB`),
				terminateFailed: (_, { message }) => this.events.push(`terminate failed ${message}`),
				parked: (_, { message }) => this.events.push(`parked ${message}`),
				resumed: () => this.events.push("resumed"),
				recovered: (_, recovery) => this.recoveries.push(recovery),
				breakerClosed: (_, offset) => this.events.push(`breaker closed by ${offset}`),
				deadLettered: ({ offset, reason }) => this.events.push(`dead letter ${offset} ${reason}`),
				skipped: (_, offset) => this.events.push(`skipped ${offset}`),
				stopRequested: (_, { message }) => this.events.push(`stop ${message}`),
			},
		};
		this.worker = new PartitionWorker(this.parts);
	}

	#records(): WorkerParts["records"] {
		const isFull = () => this.recordsFull;
		return {
			produce: (submission) => this.records.push(submission),
			get isFull() {
				return isFull();
			},
			whenRoom: (listener) => (this.room = listener),
		};
	}

	/** The newest thread. */
	get thread(): FakeThread {
		return this.threads.at(-1) as FakeThread;
	}

	/** The offsets of all runs of all threads, in order. */
	get runs(): string[] {
		return this.threads.flatMap(({ calls }) => calls.filter((call) => call.startsWith("run ")).map((call) => call.slice(4)));
	}

	/** Delivers the next `count` messages and lets the worker act. */
	async deliver(count: number, over: Partial<ReceivedMessage> = {}): Promise<void> {
		const messages = Array.from({ length: count }, (): ReceivedMessage => {
			const offset = this.#nextOffset++;
			const key = Buffer.from(`key-${offset}`);
			return { ...partition, offset, timestamp: 1_000 + offset, key, value: Buffer.from(`value-${offset}`), headers: [], ...over };
		});
		this.worker.deliver(packMessages(messages));
		await settle();
	}

	/** Delivers and lets the first thread be ready: the run is outstanding. */
	async running(count: number): Promise<void> {
		await this.deliver(count);
		this.thread.ready();
		await settle();
	}

	/** Does something and lets the worker act on it. */
	async act(action: () => void): Promise<void> {
		action();
		await settle();
	}
}
