/** What a bench is: one question, its options, and a run that gives figures. main.ts and report.ts know benches by this alone. */

import type { BenchOptions, ValuesOf } from "./options.ts";
import type { BenchResult } from "./report/figures.ts";

/** What every bench is told. */
export interface BenchSetting {
	/** How often everything is measured; medians and spreads are of these. */
	readonly repeats: number;
	/** A database of the user's in place of the embedded one, null: the embedded one. */
	readonly databaseUrl: string | null;
	/** The embedded broker even where a real Kafka can be had. */
	readonly embedded: boolean;
	readonly say: (line: string) => void;
}

/** What a run gives beside its name, question and options. */
export type Measured = Omit<BenchResult, "bench" | "question" | "options">;

/** One question. */
export interface Bench<Options extends BenchOptions = BenchOptions> {
	readonly name: string;
	readonly question: string;
	readonly options: Options;
	run(options: ValuesOf<Options>, setting: BenchSetting): Promise<Measured>;
}

/** Keeps the options' types for `run`, and forgets them afterwards: a list of benches has many. */
export function defineBench<const Options extends BenchOptions>(bench: Bench<Options>): Bench {
	return bench as unknown as Bench;
}
