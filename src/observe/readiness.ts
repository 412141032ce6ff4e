/**
 * Why the daemon is not ready, if it isn't: what `/readyz` answers. Pure bookkeeping; who sets and clears a reason decides when it
 * holds. A rebalance alone sets nothing, and a member without partitions is ready.
 */
import type { TopicPartition } from "../core/message.ts";

/** The codes of the contract. A broker that is away is `not_in_group`, with a message that says so. */
export type ReadinessCode = "starting" | "not_in_group" | "database" | "crash_loop" | "parked" | "dead_letter_target" | "draining";

/** One reason; `topic` and `partition` are null where it concerns the whole daemon. */
export interface ReadinessReason {
	readonly code: ReadinessCode;
	readonly topic: string | null;
	readonly partition: number | null;
	/** What is wrong and, where that is known, what mends it. */
	readonly message: string;
	/** ISO time of the first occurrence since the reason was last cleared. */
	readonly since: string;
}

/** The body of `/readyz`. */
export type ReadinessReport = { readonly ready: true } | { readonly ready: false; readonly reasons: readonly ReadinessReason[] };

/** Reasons by code, topic and partition, in the order in which they began. */
export class Readiness {
	readonly #reasons = new Map<string, ReadinessReason>();
	readonly #now: () => number;

	/** `now` is the wall clock in ms. */
	constructor({ now }: { now(): number }) {
		this.#now = now;
	}

	/** Holds until cleared. Set again it keeps its `since` and takes the new message; true where it is a new reason. */
	set(code: ReadinessCode, message: string, where: TopicPartition | null = null): boolean {
		const key = keyOf(code, where);
		const known = this.#reasons.get(key);
		const since = known?.since ?? new Date(this.#now()).toISOString();
		this.#reasons.set(key, { code, topic: where?.topic ?? null, partition: where?.partition ?? null, message, since });
		return known === undefined;
	}

	/** True where the reason was held. */
	clear(code: ReadinessCode, where: TopicPartition | null = null): boolean {
		return this.#reasons.delete(keyOf(code, where));
	}

	/** Clears everything that concerns a partition: it was released, and is somebody else's affair. */
	clearPartition({ topic, partition }: TopicPartition): void {
		for (const [key, reason] of this.#reasons) {
			if (reason.topic === topic && reason.partition === partition) this.#reasons.delete(key);
		}
	}

	get ready(): boolean {
		return this.#reasons.size === 0;
	}

	report(): ReadinessReport {
		return this.ready ? { ready: true } : { ready: false, reasons: [...this.#reasons.values()] };
	}
}

function keyOf(code: ReadinessCode, where: TopicPartition | null): string {
	return where ? `${code} ${where.partition} ${where.topic}` : code;
}
