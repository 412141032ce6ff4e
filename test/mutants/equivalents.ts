/**
 * Mutants that no test can notice, and why: the change makes no difference that anybody could see. By file and line's text, for lines move.
 */
export interface Equivalent {
	readonly file: string;
	/** The mutated line, trimmed, as the mutant makes it. */
	readonly line: string;
	readonly why: string;
}

export const equivalents: readonly Equivalent[] = [
	{
		file: "src/audit/log/verifying-worker.ts",
		line: "breaker: { share: 1, minMessages: 1, withinMs: 0, consecutive: 0 },",
		why: "A share of 1 and no limit in a row turn the breaker off: its period decides nothing.",
	},
	{
		file: "src/audit/verification/verification.ts",
		line: "#messages = 1;",
		why: "The run sets it before anything reads it.",
	},
	{
		file: "src/audit/verification/verification.ts",
		line: "for (let round = 0; this.#findings.comingBack > 0 && lookedAt(this.#findings.counts).share < share; round++) {",
		why: "The number only names a round's own files.",
	},
	{
		file: "src/kafka/client/polled-answer.ts",
		line: "const polled = await client.consume(2, POLL_MS).catch((error: unknown) => error);",
		why: "These polls bring no messages: how many they may bring makes no difference.",
	},
	{
		file: "src/kafka/dead-letters/letter-topic-policy.ts",
		line: 'const policy = found.get("cleanup.policy") ?? "mutated";',
		why: "Only a policy that compacts makes a difference.",
	},
	{
		file: "src/kafka/dead-letters/dead-letter-topic-store.ts",
		line: "const headers = letterHeaders({ ...failed, reason: failure.reason }, this.#parts, { ageMs: 1, isBrief });",
		why: "A millisecond is nothing beside the ten seconds by which the clocks of machines may differ.",
	},
	{
		file: "src/kafka/dead-letters/dead-letter-topic.ts",
		line: 'if (made === undefined) throw new PocKaffeError("mutated", `there is no topic ${topic}: ${missingTopicHint(topic)}`);',
		why: "Whoever stores letters tells the words alone.",
	},
	{
		file: "src/kafka/dead-letters/dead-letter-topic.ts",
		line: 'if (refusal !== null) throw new PocKaffeError("mutated", refusal);',
		why: "Whoever stores letters tells the words alone.",
	},
	{
		file: "src/kafka/group/group-consumer.ts",
		line: 'this.#stopped.abort(new Error("mutated"));',
		why: "Whoever waits for the stop asks whether it came: nobody shows the reason.",
	},
	{
		file: "src/kafka/producing/record-producer.ts",
		line: "#nextNumber = 1;",
		why: "The numbers of records only have to ascend.",
	},
	{
		file: "src/kafka/starts/start-decision.ts",
		line: "position <= low ? `${low - position} offsets were removed before they were read` : `its last ${position - high} offsets are gone`;",
		why: "A position that the log begins with is in the log: nobody asks for words about it.",
	},
	{
		file: "src/kafka/watches/access-watch.ts",
		line: "this.#problems = found;",
		why: "Nobody asks a disposed watch for its problems.",
	},
	{
		file: "src/config/schema/schema-leaves.ts",
		line: 'function kindOf({ type }: Definition): Leaf["mutated"] {',
		why: "A type: it is gone when it runs.",
	},
	{
		file: "src/core/clock.ts",
		line: "const LONGEST_TIMER_MS = 2 ** 31 - 2;",
		why: "A long wait is made of several timers: where one ends and the next begins makes no difference.",
	},
	{
		file: "src/audit/verification/findings.ts",
		line: "if (this.#ahead.size >= 0) for (const id of ids) this.#noLongerAhead(table, id);",
		why: "While nothing is ahead nothing is found there: the condition only saves the look.",
	},
];
