/**
 * Requests of people to set offsets while this member has the partitions: checked here, carried out by the assignment, answered. One
 * request at a time. A drain may take longer than a person waits for the answer, so a request has an id: asked again with the same id, it
 * is answered again but not carried out again.
 */
import type { Clock } from "../../core/clock.ts";
import { messageOf } from "../../core/errors.ts";
import { partitionName, type TopicPartition } from "../../core/messages/message.ts";
import type { OffsetSet, OffsetsSetOutcome, WantedOffset } from "../../core/offsets/set-offset.ts";
import { lifetime } from "../../core/waiting/lifetime.ts";
import type { LogBounds } from "../starts/start-decision.ts";

/** How long a request waits for what is in hand to finish. */
const WAIT_MS = 3_000;

/** What it needs. */
export interface OffsetRequestsParts {
	readonly clock: Clock;
	isAssigned(partition: TopicPartition): boolean;
	watermarks(partition: TopicPartition): Promise<LogBounds>;
	/** Null if one of them is not fetched here: then nothing was done. */
	move(wanted: readonly WantedOffset[]): Promise<readonly OffsetSet[] | null>;
}

interface Request {
	readonly id: string;
	readonly outcome: Promise<OffsetsSetOutcome>;
	isOver: boolean;
}

/** Sets offsets on request, one request at a time. */
export class OffsetRequests {
	readonly #parts: OffsetRequestsParts;
	#last: Request | null = null;

	constructor(parts: OffsetRequestsParts) {
		this.#parts = parts;
	}

	/** Carries out the request, or answers again if `id` was carried out before. */
	async ask(id: string, wanted: readonly WantedOffset[]): Promise<OffsetsSetOutcome> {
		if (this.#last?.id !== id) {
			if (this.#last && !this.#last.isOver) return { outcome: "busy" };
			const request: Request = { id, isOver: false, outcome: this.#carryOut(wanted).finally(() => (request.isOver = true)) };
			this.#last = request;
		}
		const waited = lifetime();
		const asked = this.#parts.clock.sleep(WAIT_MS, waited.signal).catch(() => {});
		const outcome = await Promise.race([this.#last.outcome, asked]);
		waited.abort(new Error("there is an answer"));
		return outcome ?? { outcome: "asked" };
	}

	async #carryOut(wanted: readonly WantedOffset[]): Promise<OffsetsSetOutcome> {
		try {
			const twice = wanted.find((each, index) => wanted.slice(0, index).some((other) => partitionName(other) === partitionName(each)));
			if (twice) return { outcome: "refused", why: `${partitionName(twice)} is named twice; nothing was changed` };
			for (const each of wanted) {
				const why = await this.#whyNot(each);
				if (why) return { outcome: "refused", why: `${why}; nothing was changed` };
			}
			const offsets = await this.#parts.move(wanted);
			if (offsets) return { outcome: "set", offsets };
			return { outcome: "refused", why: "a rebalance is under way, or a start is being looked up; nothing was changed: set it again" };
		} catch (error) {
			return { outcome: "refused", why: `${messageOf(error)}; nothing was changed` };
		}
	}

	async #whyNot({ topic, partition, to }: WantedOffset): Promise<string | null> {
		const name = partitionName({ topic, partition });
		if (!this.#parts.isAssigned({ topic, partition })) return `${name} is not assigned to this member`;
		const { low, high } = await this.#parts.watermarks({ topic, partition });
		return to >= low && to <= high ? null : `offset ${to} is outside the log of ${name}, which has ${low} to ${high}`;
	}
}
