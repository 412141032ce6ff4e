/** Offsets that a person wants to set (`offsets set`), and a running daemon's answer. */
import type { TopicPartition } from "../messages/message.ts";

/** An offset at which the group should go on. */
export interface WantedOffset extends TopicPartition {
	readonly to: number;
}

/** An offset that is set. `again` and `passedOver` count offsets: compacted or transactional topics have fewer messages. */
export interface OffsetSet extends WantedOffset {
	/** What was committed before; null if nothing was. */
	readonly committed: number | null;
	readonly again: number;
	readonly passedOver: number;
}

/**
 * `set`: partitions absent from `offsets` were given away meanwhile, and begin where they were · `asked`: it is under way · `busy`: another
 * request is · `refused`: nothing was changed.
 */
export type OffsetsSetOutcome =
	| { readonly outcome: "set"; readonly offsets: readonly OffsetSet[] }
	| { readonly outcome: "asked" | "busy" }
	| { readonly outcome: "refused"; readonly why: string };
