/** What was reported about rows that can't be written, by partition and table: finds what is new, and what is over. Pure bookkeeping. */
import { partitionName, type TopicPartition } from "../../../core/messages/message.ts";

/** A fact about a partition and table, as long as it holds. */
type Fact = TopicPartition & { readonly table: string };

/** Remembers what was reported, so that only news is reported. `isSame`: not worth reporting again. */
export class ToldFacts<F extends Fact> {
	readonly #isSame: (told: F, fact: F) => boolean;
	#told = new Map<string, F>();

	constructor(isSame: (told: F, fact: F) => boolean) {
		this.#isSame = isSame;
	}

	/** Takes all facts that hold now. Returns which to report, and which reported ones are over. */
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
