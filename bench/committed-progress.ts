/**
 * How far a group is, as Kafka knows it: the one measure that is the same for the daemon and for everything it is compared with, because
 * each of them commits behind what it has written.
 */
import { systemClock } from "../src/core/clock.ts";
import { ConsumerClient } from "../src/kafka/consumer-client.ts";

/** Often enough for a run of seconds; one request each. */
const POLL_MS = 20;
const CONNECT_TIMEOUT_MS = 10_000;

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

	/** Resolves with the first look that shows at least `count` messages; rejects after `timeoutMs`, or with what `failed` gives. */
	async reached(count: number, timeoutMs: number, failed: () => string | null = () => null): Promise<Progress> {
		const deadline = performance.now() + timeoutMs;
		for (let committed = 0; ; ) {
			// A coordinator that is not there yet answers with an error.
			const offsets = await this.offsets().catch(() => []);
			const at = performance.now();
			if (offsets.length > 0) committed = offsets.reduce((sum, offset) => sum + offset, 0);
			if (committed >= count) return { at, committed };
			const failure = failed();
			if (failure !== null) throw new Error(`${failure}; committed: ${committed} of ${count}`);
			if (at > deadline) throw new Error(`after ${timeoutMs} ms ${committed} of ${count} messages were committed`);
			await systemClock.sleep(POLL_MS);
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#client.close();
	}
}
