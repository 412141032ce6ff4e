/**
 * Finds partitions that were read to their last stable offset although the log goes on: a transaction is open, and nothing after its first
 * record can be read before it ends. For a moment that is normal. A transaction that hangs (its producer died or forgot it) stops the
 * partition until somebody ends it. Uses the client's statistics.
 */
import type { Config } from "../../config/config.ts";
import type { Clock } from "../../core/clock.ts";
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import type { Problem } from "../../core/problem.ts";

/** Longer than transactions usually take: half of a producer's default transaction.timeout.ms. */
const PATIENCE_MS = 30_000;

interface Statistics {
	readonly topics?: Readonly<Record<string, { readonly partitions?: Readonly<Record<string, PartitionStatistics>> }>>;
}

interface PartitionStatistics {
	readonly partition: number;
	/** Last stable offset and high watermark by the last fetch; negative before one. */
	readonly ls_offset?: number;
	readonly hi_offset?: number;
}

/** What it needs. */
export interface StandingTransactionsParts {
	readonly clock: Clock;
	readonly brokers: Config["kafka"]["brokers"];
	/** Next expected offset of an assigned partition; null for others. */
	readonly position: (partition: TopicPartition) => number | null;
}

interface Standing extends TopicPartition {
	readonly lastStable: number;
	readonly high: number;
	readonly sinceMs: number;
}

/** Finds partitions that an open transaction holds up. */
export class StandingTransactions {
	readonly #parts: StandingTransactionsParts;
	#standing = new Map<string, Standing>();

	constructor(parts: StandingTransactionsParts) {
		this.#parts = parts;
	}

	/** Takes the client's statistics. */
	stats(json: string): void {
		const { topics = {} } = JSON.parse(json) as Statistics;
		const former = this.#standing;
		this.#standing = new Map();
		for (const [topic, { partitions = {} }] of Object.entries(topics)) {
			for (const { partition, ls_offset: lastStable = -1, hi_offset: high = -1 } of Object.values(partitions)) {
				// Offsets that are not known yet, and librdkafka's partition -1, are nobody's position.
				if (high <= lastStable) continue;
				const name = partitionName({ topic, partition });
				const known = former.get(name);
				// The last stable offset moved: another transaction is the oldest now.
				const sinceMs = known?.lastStable === lastStable ? known.sinceMs : this.#parts.clock.now();
				this.#standing.set(name, { topic, partition, lastStable, high, sinceMs });
			}
		}
	}

	/** True if the partition was read to its last stable offset and waits for a transaction. */
	isWaiting(partition: TopicPartition): boolean {
		const standing = this.#standing.get(partitionName(partition));
		return standing !== undefined && this.#parts.position(partition) === standing.lastStable;
	}

	get problems(): Problem<"standing_transaction">[] {
		const { clock, brokers } = this.#parts;
		const command = `kafka-transactions.sh --bootstrap-server ${brokers.join(",")}`;
		return [...this.#standing.values()].flatMap((standing) => {
			const { topic, partition, lastStable, high, sinceMs } = standing;
			if (!this.isWaiting(standing) || clock.now() - sinceMs < PATIENCE_MS) return [];
			const where = `--topic ${topic} --partition ${partition}`;
			const message = `the last stable offset stands at ${lastStable} while the log goes on to ${high}: a transaction is open, and nothing after it can be read until it ends; find its producer: ${command} describe-producers ${where}; end the producer, or abort the transaction: ${command} abort ${where} --start-offset ${lastStable}`;
			return [{ code: "standing_transaction" as const, where: { topic, partition }, message, sinceMs }];
		});
	}
}
