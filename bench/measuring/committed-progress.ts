/**
 * How far a group is, as Kafka knows it: the one measure that is the same for the daemon and for everything it is compared with, because
 * each of them commits behind what it has written.
 */
import { systemClock } from "../../src/core/clock.ts";
import { ConsumerClient } from "../../src/kafka/client/consumer-client.ts";

/** Often enough for a run of seconds; one request each. */
const POLL_MS = 20;
const CONNECT_TIMEOUT_MS = 10_000;
const STALL_MS = 60_000;

/** When how many messages of the group were committed, by `performance.now()`. */
export interface Progress {
	readonly at: number;
	readonly committed: number;
}

/** Asks for a group's commits; use with `await using`. */
export class CommittedProgress implements AsyncDisposable {
	readonly #client: ConsumerClient;
	readonly #partitions: readonly { readonly topic: string; readonly partition: number }[];

	private constructor(client: ConsumerClient, topic: string, partitions: number) {
		this.#client = client;
		this.#partitions = Array.from({ length: partitions }, (_, partition) => ({ topic, partition }));
	}

	static async connect(brokers: string, group: string, topic: string, partitions: number): Promise<CommittedProgress> {
		const client = new ConsumerClient({ "bootstrap.servers": brokers, "group.id": group, "enable.auto.commit": false }, {}, systemClock);
		await client.connect(CONNECT_TIMEOUT_MS);
		return new CommittedProgress(client, topic, partitions);
	}

	/** Committed offsets by partition; 0 where nothing is committed yet. */
	async offsets(): Promise<number[]> {
		return (await this.#client.committed(this.#partitions)).map(({ offset }) => offset ?? 0);
	}

	/**
	 * Resolves with the first look that shows at least `count` messages, or that comes behind `until` (by `performance.now()`). Rejects where
	 * nothing has moved for a minute, or with what `failed` gives.
	 */
	async reached(count: number, failed: () => string | null, until = Number.POSITIVE_INFINITY): Promise<Progress> {
		let [committed, movedAt] = [0, performance.now()];
		for (;;) {
			// A coordinator that is not there yet answers with an error.
			const offsets = await this.offsets().catch(() => []);
			const at = performance.now();
			const now = offsets.reduce((sum, offset) => sum + offset, 0);
			if (now > committed) [committed, movedAt] = [now, at];
			if (committed >= count || at > until) return { at, committed };
			const failure = failed();
			if (failure !== null) throw new Error(`${failure}; committed: ${committed} of ${count}`);
			if (at - movedAt > STALL_MS) throw new Error(`nothing was committed for ${STALL_MS} ms; committed: ${committed} of ${count}`);
			await systemClock.sleep(POLL_MS);
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#client.close();
	}
}
