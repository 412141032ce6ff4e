/** What was told of rows that don't go in, by partition and table: what is new, and what is over. Pure bookkeeping. */
import { partitionName, type TopicPartition } from "../../../core/messages/message.ts";

/** What is told of a partition and table, as long as it holds. */
type Fact = TopicPartition & { readonly table: string };

/** Remembers what was reported about rows, so that only news is reported. `isSame`: not worth telling again. */
export class ToldFacts<F extends Fact> {
	readonly #isSame: (told: F, fact: F) => boolean;
	#told = new Map<string, F>();

	constructor(isSame: (told: F, fact: F) => boolean) {
		this.#isSame = isSame;
	}

	/** These hold at the moment, and no others: which of them are to be told, and which of those told before are over. */
	update(facts: readonly F[]): { readonly told: readonly F[]; readonly over: readonly F[] } {
		const before = this.#told;
		this.#told = new Map(facts.map((fact) => [`${fact.table} ${partitionName(fact)}`, fact]));
		const told = [...this.#told].filter(([name, fact]) => {
			const known = before.get(name);
			return !known || !this.#isSame(known, fact);
		});
		const over = [...before].filter(([name]) => !this.#told.has(name));
		return { told: told.map(([, fact]) => fact), over: over.map(([, fact]) => fact) };
	}
}
