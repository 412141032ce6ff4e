/**
 * Connects those who listen to the daemon's parts: metrics and log, readiness, the lag clock, the comparison of handlers' versions, the
 * daemon's owner. Only `stopRequested` comes back to the daemon.
 */
import type { Clock } from "../core/clock.ts";
import type { DeadLetterEvents, DeadLetterTarget } from "../core/dead-letters/dead-letter.ts";
import { exitCodes } from "../core/errors.ts";
import { partitionName } from "../core/messages/message.ts";
import type { GroupConsumerEvents } from "../kafka/group/group-consumer-parts.ts";
import { LagClock } from "../kafka/offsets/lag-clock.ts";
import type { CommitterEvents } from "../kafka/offsets/offset-committer.ts";
import type { RecordProducer } from "../kafka/producing/record-producer.ts";
import type { RecordProducerEvents } from "../kafka/producing/record-producer-parts.ts";
import { DaemonObserver, listenTo } from "../observe/listeners/daemon-observer.ts";
import { HandlerObserver } from "../observe/listeners/handler-observer.ts";
import { observeReadiness } from "../observe/listeners/readiness-observer.ts";
import type { DaemonLogger } from "../observe/logs/log.ts";
import type { Metrics } from "../observe/metrics/metrics.ts";
import type { Readiness } from "../observe/readiness.ts";
import type { WriterEvents } from "../sink/writer/writer-events.ts";
import type { SupervisorListener } from "../supervisor/supervisor-parts.ts";
import type { WorkerListener } from "../worker/worker-parts.ts";
import type { StopCause } from "./daemon.ts";
import type { Delivery } from "./delivery.ts";
import type { DeliveryListener } from "./delivery-parts.ts";

/** What the listeners need. `module` and `makesRows`: see DaemonObserverParts. */
export interface DaemonListenersParts {
	readonly logger: DaemonLogger;
	readonly clock: Clock;
	readonly metrics: Metrics;
	readonly readiness: Readiness;
	readonly module: string;
	readonly makesRows: boolean;
	readonly isEager: boolean;
	/** The daemon's owner. */
	readonly told: Partial<Pick<WorkerListener, "deadLettered" | "crashed">>;
	readonly delivery: () => Delivery;
	readonly stopRequested: (cause: StopCause) => void;
}

/** The listeners of one daemon. */
export class DaemonListeners {
	readonly #parts: DaemonListenersParts;
	readonly observer: DaemonObserver;
	readonly readiness: ReturnType<typeof observeReadiness>;
	readonly handlers: HandlerObserver;
	readonly lagClock = new LagClock();

	constructor(parts: DaemonListenersParts) {
		const { logger, readiness, module, delivery } = parts;
		this.#parts = parts;
		this.observer = new DaemonObserver(parts);
		this.readiness = observeReadiness({
			readiness,
			rowsStuck: (table) => delivery().writer.isStuck(table),
			rowsBlocked: (table) => delivery().writer.isBlocked(table),
		});
		this.handlers = new HandlerObserver(logger, module, () =>
			[...delivery().supervisor.children.values()].map(({ topic, partition, child }) => ({
				topic,
				partition,
				handlerHash: child.handlerHash,
			})),
		);
	}

	/** What a delivery reports in addition to the events of its parts. */
	get delivery(): DeliveryListener {
		return { ...this.observer.delivery, supervisor: this.#supervisor(), worker: this.#worker() };
	}

	/** Listens to the events of a delivery's parts, once. */
	listenTo({ writer, committer, consumer }: Delivery, deadLetters: DeadLetterTarget, records: RecordProducer): void {
		const { observer, readiness } = this;
		listenTo<RecordProducerEvents>(records)(observer.records);
		listenTo<DeadLetterEvents>(deadLetters)(observer.deadLetters);
		listenTo<DeadLetterEvents>(deadLetters)(readiness.deadLetters);
		listenTo<WriterEvents>(writer)(observer.writer);
		listenTo<WriterEvents>(writer)(readiness.writer);
		listenTo<CommitterEvents>(committer)(observer.committer);
		listenTo<GroupConsumerEvents>(consumer)(observer.consumer);
		listenTo<GroupConsumerEvents>(consumer)(readiness.consumer);
		consumer.on("rebalanced", ({ kind, partitions }) => {
			if (kind !== "assign") for (const partition of partitions) this.lagClock.forget(partition);
		});
		consumer.on("offset:set", (partition) => this.lagClock.forget(partition));
		consumer.on("fatal", ({ message }) => this.#parts.stopRequested({ reason: message, exitCode: exitCodes.fatalKafka }));
	}

	#supervisor(): SupervisorListener {
		const told = this.observer.supervisor;
		return {
			...told,
			received: (fact) => {
				told.received(fact);
				this.lagClock.received(fact, fact.nextOffset, fact.firstTimestamp);
				// Asked each time, not only at a scrape: asking makes it forget finished messages.
				this.lagClock.oldest(fact, this.#parts.delivery().ledger.of(fact)?.committable ?? 0);
			},
		};
	}

	#worker(): WorkerListener {
		const told = this.observer.workers;
		const { told: owner, stopRequested } = this.#parts;
		return {
			...told,
			deadLettered: (letter) => {
				told.deadLettered(letter);
				owner.deadLettered?.(letter);
			},
			crashed: (report) => {
				told.crashed(report);
				owner.crashed?.(report);
			},
			started: (partition) => {
				told.started(partition);
				this.#parts.delivery().reserves.loaded();
				this.handlers.started();
			},
			stopRequested: (partition, reason) => {
				told.stopRequested(partition, reason);
				stopRequested({ reason: `${partitionName(partition)}: ${reason.message}`, exitCode: exitCodes.stoppedByPolicy });
			},
		};
	}
}
