/** What people ask of partitions while the daemon runs (HTTP, the commands): pause, resume, restart, skip a message, set offsets. */
import type { Clock } from "../core/clock.ts";
import { partitionName, type TopicPartition } from "../core/messages/message.ts";
import type { SkipOutcome } from "../core/messages/skip-outcome.ts";
import type { OffsetSet, OffsetsSetOutcome, WantedOffset } from "../core/offsets/set-offset.ts";
import { lifetime } from "../core/waiting/lifetime.ts";
import type { GroupConsumer } from "../kafka/group/group-consumer.ts";
import type { OffsetLedger } from "../kafka/offsets/offset-ledger.ts";
import { OffsetRequests } from "../kafka/offsets/offset-requests.ts";
import type { GroupSupervisor } from "../supervisor/group-supervisor.ts";
import type { PartitionWorker } from "../worker/partition-worker.ts";

/** What requests need of a delivery. */
export interface PartitionRequestsParts {
	readonly clock: Clock;
	readonly supervisor: GroupSupervisor<PartitionWorker>;
	readonly ledger: OffsetLedger;
	readonly consumer: GroupConsumer;
	readonly watermarks: (partition: TopicPartition) => Promise<{ low: number; high: number }>;
	/** Decides again about a partition that is parked at its position. */
	readonly decideAgain: (partition: TopicPartition) => void;
}

/** How long a skip request waits for a message that the handler has. */
const SKIP_WAIT_MS = 3_000;

/** Carries out what people ask of partitions. One per delivery. */
export class PartitionRequests {
	readonly #parts: PartitionRequestsParts;
	readonly #offsets: OffsetRequests;

	constructor(parts: PartitionRequestsParts) {
		const { clock, supervisor, watermarks } = parts;
		this.#parts = parts;
		this.#offsets = new OffsetRequests({
			clock,
			isAssigned: (partition) => supervisor.children.has(partitionName(partition)),
			watermarks,
			move: (wanted) => this.#move(wanted),
		});
	}

	/** Pauses, resumes or restarts a partition. False if it isn't assigned here. */
	control(partition: TopicPartition, action: "pause" | "resume" | "restart"): boolean {
		const isHere = this.#parts.supervisor.control(partition, action);
		if (isHere && action === "resume") this.#parts.decideAgain(partition);
		return isHere;
	}

	/** Skips a message. Null if the partition isn't assigned here. */
	async skip(partition: TopicPartition, offset: number, why: string): Promise<SkipOutcome | null> {
		const position = this.#parts.ledger.of(partition)?.position;
		if (position === undefined) return null;
		if (offset >= position) {
			const isPaused = this.#parts.supervisor.children.get(partitionName(partition))?.pausedByHand === true;
			return { outcome: "ahead", position, ...(isPaused && { isPaused }) };
		}
		const answer = this.#parts.supervisor.skip(partition, offset, why);
		if (!answer) return null;
		const waited = lifetime();
		const asked = this.#parts.clock.sleep(SKIP_WAIT_MS, waited.signal).then(
			() => "asked" as const,
			() => "asked" as const,
		);
		const outcome = await Promise.race([answer, asked]);
		waited.abort(new Error("there is an answer"));
		return { outcome, position };
	}

	/** Sets offsets. `id` names the request: a second call with the same id asks for the result, and sets nothing again. */
	setOffsets(id: string, wanted: readonly WantedOffset[]): Promise<OffsetsSetOutcome> {
		return this.#offsets.ask(id, wanted);
	}

	/** Moves the positions. A partition that a person paused stays paused. */
	async #move(wanted: readonly WantedOffset[]): Promise<readonly OffsetSet[] | null> {
		const { supervisor, consumer } = this.#parts;
		const paused = wanted.filter((each) => supervisor.children.get(partitionName(each))?.pausedByHand === true);
		const moved = await consumer.move(wanted);
		for (const each of paused) supervisor.control(each, "pause");
		return moved;
	}
}
