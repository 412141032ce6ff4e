/**
 * Whether the daemon is ready, and why not: the answer of `/readyz`. There are two kinds of reasons. Those that a part has in its state
 * (`Problem`) are read each time, so none stays behind when its cause ends in an unforeseen way. Those that are known from events alone
 * are set and cleared by a listener. A rebalance alone sets none, and a member without partitions is ready.
 */
import type { TopicPartition } from "../core/messages/message.ts";
import type { Problem } from "../core/problem.ts";
import type { ReadinessCode } from "./readiness-codes.ts";

/** One reason; `topic` and `partition` are null if it concerns the whole daemon. */
export interface ReadinessReason {
	readonly code: ReadinessCode;
	readonly topic: string | null;
	readonly partition: number | null;
	/** What is wrong and, if known, what corrects it. */
	readonly message: string;
	/** ISO time of the first occurrence since the reason was last cleared. */
	readonly since: string;
}

/** The body of `/readyz`. */
export type ReadinessReport = { readonly ready: true } | { readonly ready: false; readonly reasons: readonly ReadinessReason[] };

/** Collects the reasons; the report has them in the order in which they began. */
export class Readiness {
	readonly #reasons = new Map<string, ReadinessReason>();
	readonly #now: () => number;
	readonly #problems: () => readonly Problem<ReadinessCode>[];

	/** `now` is the wall clock in ms; `problems` reads the parts' problems. */
	constructor({ now }: { now(): number }, problems: () => readonly Problem<ReadinessCode>[] = () => []) {
		this.#now = now;
		this.#problems = problems;
	}

	/** Sets a reason until it is cleared. Set again, it keeps its `since` and takes the new message. */
	set(code: ReadinessCode, message: string, where: TopicPartition | null = null): void {
		const key = keyOf(code, where);
		const since = this.#reasons.get(key)?.since ?? new Date(this.#now()).toISOString();
		this.#reasons.set(key, { code, topic: where?.topic ?? null, partition: where?.partition ?? null, message, since });
	}

	clear(code: ReadinessCode, where: TopicPartition | null = null): void {
		this.#reasons.delete(keyOf(code, where));
	}

	/** Clears every reason of a partition: it was released, and another member is responsible for it. */
	clearPartition({ topic, partition }: TopicPartition): void {
		for (const [key, reason] of this.#reasons) {
			if (reason.topic === topic && reason.partition === partition) this.#reasons.delete(key);
		}
	}

	report(): ReadinessReport {
		const reasons = [...this.#reasons.values(), ...this.#problems().map(reasonOf)];
		if (reasons.length === 0) return { ready: true };
		return { ready: false, reasons: reasons.sort((left, right) => compare(left.since, right.since)) };
	}
}

function reasonOf({ code, where, message, sinceMs }: Problem<ReadinessCode>): ReadinessReason {
	const { topic, partition } = where ?? { topic: null, partition: null };
	return { code, topic, partition, message, since: new Date(sinceMs).toISOString() };
}

function compare(left: string, right: string): number {
	if (left === right) return 0;
	return left < right ? -1 : 1;
}

function keyOf(code: ReadinessCode, where: TopicPartition | null): string {
	return where ? `${code} ${where.partition} ${where.topic}` : code;
}
