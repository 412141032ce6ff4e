/**
 * Options of benches, declared once: what may be typed, what it means where it is left out, and how `--scale` makes it smaller. Knows no
 * bench. Bad values are errors that say what is wanted.
 */
import { type Command, InvalidArgumentError, Option } from "commander";

/** One option. `scaled` is what `--scale` makes of the value that nobody typed. */
export interface BenchOption<Value> {
	readonly flags: string;
	readonly help: string;
	readonly fallback: Value;
	parse(text: string): Value;
	scaled(value: Value, share: number): Value;
}

/** Options by their name: `--max-threads` is `maxThreads`. */
export type BenchOptions = Readonly<Record<string, BenchOption<unknown>>>;

/** What an action is given for them. */
export type ValuesOf<Options extends BenchOptions> = {
	readonly [Name in keyof Options]: Options[Name] extends BenchOption<infer Value> ? Value : never;
};

/** A whole number above 0. */
export function number(flags: string, help: string, fallback: number): BenchOption<number> {
	return { flags, help, fallback, parse: wholeNumber, scaled: (value) => value };
}

/** A whole number, 0 allowed. */
export function count(flags: string, help: string, fallback: number): BenchOption<number> {
	return { flags, help, fallback, parse: (text) => (text === "0" ? 0 : wholeNumber(text)), scaled: (value) => value };
}

/** How much is done: a whole number above 0 that `--scale` changes. */
export function amount(flags: string, help: string, fallback: number): BenchOption<number> {
	return { flags, help, fallback, parse: wholeNumber, scaled: (value, share) => Math.max(1, Math.round(value * share)) };
}

/** Whole numbers above 0, separated by commas. */
export function numbers(flags: string, help: string, fallback: readonly number[]): BenchOption<readonly number[]> {
	return { flags, help, fallback, parse: (text) => text.split(",").map(wholeNumber), scaled: (value) => value };
}

/** Some of the words, separated by commas. */
export function words<const Word extends string>(
	flags: string,
	help: string,
	known: readonly Word[],
	fallback: readonly Word[] = known,
): BenchOption<readonly Word[]> {
	const parse = (text: string) =>
		text.split(",").map((each) => {
			if (!known.includes(each as Word)) throw new InvalidArgumentError(`${each} is none of ${known.join(", ")}.`);
			return each as Word;
		});
	return { flags, help: `${help}: some of ${known.join(", ")}`, fallback, parse, scaled: (value) => value };
}

/** One of the words. */
export function word<const Word extends string>(
	flags: string,
	help: string,
	known: readonly Word[],
	fallback: NoInfer<Word>,
): BenchOption<Word> {
	const parse = (text: string) => {
		if (!known.includes(text as Word)) throw new InvalidArgumentError(`one of ${known.join(", ")}.`);
		return text as Word;
	};
	return { flags, help: `${help}: ${known.join(", ")}`, fallback, parse, scaled: (value) => value };
}

/** Lets a command take the options. */
export function declareOptions(command: Command, options: BenchOptions): void {
	for (const { flags, help, fallback, parse } of Object.values(options)) {
		const shown = Array.isArray(fallback) ? fallback.join(",") : fallback;
		command.addOption(new Option(flags, help).argParser(parse).default(fallback, String(shown)));
	}
}

/** The values of a command that took the options; those that nobody typed are made smaller (or larger) by `scale`. */
export function readOptions<Options extends BenchOptions>(command: Command, options: Options, scale: number): ValuesOf<Options> {
	const typed = (name: string) => command.getOptionValueSource(name) === "cli";
	const values = Object.entries(options).map(([name, { fallback, scaled }]) => {
		return [name, typed(name) ? command.getOptionValue(name) : scaled(fallback, scale)];
	});
	return Object.fromEntries(values) as ValuesOf<Options>;
}

/** A whole number above 0. */
export function wholeNumber(text: string): number {
	const value = Number(text);
	if (!/^\d+$/.test(text.trim()) || !Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError("a whole number above 0.");
	return value;
}

/** A number above 0. */
export function share(text: string): number {
	const value = Number(text);
	if (text.trim() === "" || !Number.isFinite(value) || value <= 0) throw new InvalidArgumentError("a number above 0.");
	return value;
}
