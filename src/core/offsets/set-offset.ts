/** Where a person wants partitions to go on (`offsets set`), and what a running daemon makes of that. */
import type { TopicPartition } from "../messages/message.ts";

/** An offset that the group shall go on at. */
export interface WantedOffset extends TopicPartition {
	readonly to: number;
}

/** It is set. `again` and `passedOver` count offsets: of compacted or transactional topics there are fewer messages. */
export interface OffsetSet extends WantedOffset {
	/** What was committed before; null where nothing was. */
	readonly committed: number | null;
	readonly again: number;
	readonly passedOver: number;
}

/**
 * `set`: those that are not among `offsets` were given away meanwhile, and begin where they were · `asked`: it is under way · `busy`:
 * another one is · `refused`: nothing was changed.
 */
export type OffsetsSetOutcome =
	| { readonly outcome: "set"; readonly offsets: readonly OffsetSet[] }
	| { readonly outcome: "asked" | "busy" }
	| { readonly outcome: "refused"; readonly why: string };
