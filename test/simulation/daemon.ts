/** A daemon's delivery in a simulated process, with its letters' table and its stall detector, as the daemon builds and starts them. */
import type { Config } from "../../src/config/config.ts";
import { tableLayouts } from "../../src/config/table-layouts.ts";
import type { Evidence } from "../../src/core/messages/hand-note.ts";
import { partitionName } from "../../src/core/messages/message.ts";
import { Delivery } from "../../src/daemon/delivery.ts";
import { buildStallDetector } from "../../src/daemon/stall-detection.ts";
import { isIncremental } from "../../src/kafka/client/consumer-settings.ts";
import type { StallDetector } from "../../src/kafka/watches/stall-detector.ts";
import { DeadLetterTable } from "../../src/sink/dead-letters/dead-letter-table.ts";
import { SharedThreads } from "../../src/worker/thread/shared-threads.ts";
import type { Place } from "./charges.ts";
import { SimClient } from "./client.ts";
import type { SimServer } from "./database.ts";
import type { Invariants } from "./invariants.ts";
import { type SimKafka, TOPIC } from "./kafka.ts";
import { type SimRecordBroker, simRecords } from "./record-broker.ts";
import { type Kept, SimThread, type ThreadFaults } from "./thread.ts";
import type { SimProcess } from "./world.ts";

/** What it is made of. */
export interface SimDaemonParts {
	readonly process: SimProcess;
	readonly config: Config;
	readonly kafka: SimKafka;
	readonly server: SimServer;
	/** Where records go. */
	readonly records: SimRecordBroker;
	readonly produces: boolean;
	readonly threadFaults: ThreadFaults;
	/** The handler keeps messages in its state. */
	readonly keeps: boolean;
	/** A message or the handler's beginning ended the process. */
	readonly died: (daemon: SimDaemon) => void;
	readonly invariants: Invariants;
}

const PREPARE_EVERY_MS = 500;

/** See the file's header. It starts by itself. */
export class SimDaemon {
	readonly process: SimProcess;
	readonly #delivery: Delivery;
	readonly #stallDetector: StallDetector;
	#isStopping = false;
	client: SimClient | null = null;

	constructor({ process, config, kafka, server, records, produces, threadFaults, keeps, invariants, died }: SimDaemonParts) {
		this.process = process;
		const layouts = tableLayouts(config);
		const handed = (partition: number, offset: number) => invariants.handed(process.name, partition, offset);
		const flushed = keeps ? (partition: number, messages: readonly Kept[]) => invariants.flushed(partition, messages) : null;
		const dies = (message: Place | null) => {
			if (this.client && kafka.isMember(this.client)) invariants.processEnded(message, this.#careful());
			died(this);
		};
		const lanes = config.database.connections;
		const database = server.connect(process);
		const random = () => process.world.random();
		const letters = { database, table: config.deadLetters.table, consumerGroup: config.kafka.group, version: "0.0.0" };
		this.#delivery = new Delivery({
			config,
			layouts,
			database,
			deadLetters: new DeadLetterTable({ ...letters, clock: process, random }),
			records: simRecords(process, records),
			createClient: () => {
				this.client = new SimClient(kafka, process);
				return this.client;
			},
			threads: new SharedThreads({
				maxThreads: config.workers.maxThreads,
				keepsRevoked: !isIncremental(config.kafka.protocol),
				clock: process,
				createHost: () =>
					new SimThread({
						isOwn: config.workers.maxThreads === 0,
						process,
						produces,
						faults: threadFaults,
						tables: layouts,
						lanes,
						handed,
						flushed,
						dies,
					}),
			}),
			clock: process,
			random,
			listener: {
				...listener,
				...(process.world.trace ? { supervisor: tracing(process) } : {}),
				offsetsDisplaced: (partitions) => invariants.offsetsDisplaced(partitions),
				startsNotRecorded: () => invariants.worksWithoutNotes(),
				jumped: ({ partition, position, offset }) => invariants.jumped(partition, position, offset),
			},
		});
		this.#stallDetector = buildStallDetector(this.#delivery, process, { stalled: nothing, moving: nothing });
		this.#delivery.consumer.on("start:resolved", ({ partition, note, outOfRange }) => {
			invariants.begun(partition, note.note);
			if (outOfRange?.kind === "jump") invariants.jumped(partition, outOfRange.position, outOfRange.offset);
		});
		if (process.world.trace) this.#trace();
		void this.#start();
	}

	/** Nothing is in its hands. */
	get isQuiet(): boolean {
		return [...this.#delivery.supervisor.children.values()].every(({ child }) => child.queue.queued === 0 && child.queue.handed === 0);
	}

	/** It has the partition, and has begun. */
	fetches(partition: number): boolean {
		return this.#delivery.supervisor.children.has(partitionName({ topic: TOPIC, partition }));
	}

	/** A partition of it is parked. */
	get isParked(): boolean {
		return [...this.#delivery.supervisor.children.values()].some(({ child }) => child.state.name === "parked");
	}

	async stop(): Promise<boolean> {
		this.#isStopping = true;
		this.#stallDetector.dispose();
		const { drained } = await this.#delivery.stop();
		return drained;
	}

	describe(): string {
		const children = [...this.#delivery.supervisor.children.values()].map(
			({ partition, child, paused }) =>
				`${partition} ${child.state.name} ${child.queue.queued}+${child.queue.handed}${paused ? " paused" : ""}`,
		);
		return `${this.process.name}: ${children.join(", ") || "no partitions"} (positions ${JSON.stringify([...(this.client?.position ?? [])])})`;
	}

	/** What its partitions know of deaths, of those that it may still write notes of. */
	#careful(): Map<number, Evidence | null> {
		const children = [...this.#delivery.supervisor.children.values()].filter(({ child }) => child.state.name !== "draining");
		return new Map(children.map(({ partition, child }) => [partition, child.evidence]));
	}

	async #start(): Promise<void> {
		while (!this.#isStopping) {
			const isPrepared = await this.#delivery.prepare().then(
				() => true,
				() => false,
			);
			if (isPrepared) break;
			await this.process.sleep(PREPARE_EVERY_MS);
		}
		if (this.#isStopping) return;
		await this.#delivery.start();
		this.#stallDetector.start();
	}

	#trace(): void {
		const { process } = this;
		const { consumer, committer, writer } = this.#delivery;
		const say = (what: string) => (fact: object) =>
			console.log(Math.round(process.world.now), process.name, what, JSON.stringify(fact).slice(0, 300));
		for (const event of ["rebalanced", "start:resolved", "unassigned", "consume:failed", "look:failed", "connect:failed"] as const)
			consumer.on(event, say(event) as never);
		for (const event of ["offsets:committed", "offsets:commit_failed"] as const) committer.on(event, say(event) as never);
		for (const event of ["batch:written", "write:retried", "table:blocked"] as const) writer.on(event, say(event) as never);
	}
}

function tracing(process: SimProcess) {
	const say = (what: string) => (fact: object) => console.log(Math.round(process.world.now), process.name, what, JSON.stringify(fact));
	return { received: say("received"), rewound: say("rewound"), drained: say("drained"), positionParked: say("parked") };
}

const nothing = () => {};
const listener = {
	supervisor: { received: nothing, rewound: nothing, drained: nothing, positionParked: nothing },
	worker: {
		started: nothing,
		handled: nothing,
		crashed: nothing,
		restarted: nothing,
		terminateFailed: nothing,
		heldTooMuch: nothing,
		carefulBegan: nothing,
		carefulEnded: nothing,
		parked: nothing,
		resumed: nothing,
		deadLettered: nothing,
		skipped: nothing,
		stopRequested: nothing,
	},
	logsRemade: nothing,
	notesDisplaced: nothing,
	mirrorFailed: nothing,
	startsNotRecorded: nothing,
	logsNotForgotten: nothing,
	jumped: nothing,
};
