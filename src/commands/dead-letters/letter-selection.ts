/** Selects the letters for a verb of `dead-letters`, counts them, and says why there are none. */
import type { LetterCount, LetterFilter, LetterStore } from "../../core/dead-letters/dead-letter.ts";
import { type LetterState, type LetterVerb, letterStates, letterVerbs } from "../../core/dead-letters/letter-state.ts";
import { ExitError, exitCodes } from "../../core/errors.ts";
import { grouped } from "../../core/text/counted.ts";

/** The options that select. */
export interface SelectOptions {
	readonly topic?: string;
	readonly partition?: number;
	readonly offset?: number;
	readonly topicId?: string;
	readonly reason?: string;
	/** `all`: in any state; only `list` takes it. */
	readonly state?: LetterState | "all";
	readonly all?: boolean;
}

/** Uses the requested states, or else the usual ones. */
export function filterOf({ topic, partition, offset, topicId, reason, state }: SelectOptions, usual: readonly LetterState[]): LetterFilter {
	const chosen = state === "all" ? letterStates : [state ?? usual].flat();
	return { topic, partition, offset, topicId: topicId === "-" ? null : topicId, reason, states: chosen };
}

/** A verb that changes letters requires a selection. */
export function selectionOf(options: SelectOptions, verb: LetterVerb): LetterFilter {
	const { topic, partition, offset, topicId, reason, state, all } = options;
	const { from, usual } = letterVerbs[verb];
	if (!all && [topic, partition, offset, topicId, reason, state].every((value) => value === undefined)) {
		const filters = "--topic, --partition, --offset, --topic-id, --reason, --state";
		throw new ExitError(exitCodes.usage, "no_selection", `say which: --all, or ${filters}`);
	}
	if (state && (state === "all" || !from.includes(state))) {
		throw new ExitError(
			exitCodes.usage,
			"no_such_way",
			`${verb} does nothing with letters that are ${state}: it takes those that are ${from.join(", ")}`,
		);
	}
	return filterOf(options, usual);
}

/** The number of matching letters. Throws ExitError (found) if there are none, unless all were requested: a name may be mistyped. */
export async function countSelected(store: LetterStore, filter: LetterFilter, all: boolean): Promise<readonly LetterCount[]> {
	const counts = await store.count(filter);
	const isNarrow = (["topic", "partition", "offset", "topicId", "reason"] as const).some((name) => filter[name] !== undefined);
	if (counts.length > 0 || (all && !isNarrow)) return counts;
	throw new ExitError(exitCodes.found, "no_letter", await noneWords(store, filter));
}

/** Why nothing matches. */
export async function noneWords(store: LetterStore, filter: LetterFilter): Promise<string> {
	const { states = letterStates, topic } = filter;
	const wanted = `no letter that is ${states.join(" or ")} matches`;
	const others = await store.count({ ...filter, states: undefined });
	if (others.length > 0) return `${wanted}; others do: ${countWords(others)}`;
	const ofTopic = topic === undefined ? [] : await store.count({ topic });
	if (ofTopic.length > 0) return `${wanted}; of topic ${topic} there are ${countWords(ofTopic)}`;
	const all = await store.count({});
	if (all.length === 0) return `${wanted}: the group has no letters at all`;
	return `${wanted}${topic === undefined ? "" : `: topic ${topic} has no letters`}; the group has ${countWords(all)}`;
}

/** The sum over all topics. */
export function sumOf(counts: readonly LetterCount[]): number {
	return counts.reduce((sum, { letters }) => sum + letters, 0);
}

/** `orders: 2 open, 1 skipped; payments: 3 open` */
export function countWords(counts: readonly LetterCount[]): string {
	const topics = [...new Set(counts.map(({ topic }) => topic))];
	const ofTopic = (name: string) =>
		counts.filter(({ topic }) => topic === name).map(({ letters, state }) => `${grouped(letters)} ${state}`);
	return topics.map((topic) => `${topic}: ${ofTopic(topic).join(", ")}`).join("; ");
}
