/** Lists everything that is wrong with a configuration, as lines for people: key, value, rule. Never a secret's value. Pure. */
import { closest, distance } from "fastest-levenshtein";
import { ExitError, exitCodes } from "../../core/errors.ts";
import { isSecret } from "../secrets.ts";

/** One thing that is wrong. `value` is shown if given and not secret; `from` is the variable that it came from. */
export interface ConfigProblem {
	readonly path: readonly (string | number)[];
	readonly rule: string;
	readonly value?: unknown;
	readonly from?: string;
}

const LONGEST_VALUE = 80;

/** `kafka.topics[0]`. */
export function keyOf(path: readonly (string | number)[]): string {
	return path.reduce<string>((key, part) => (typeof part === "number" ? `${key}[${part}]` : key ? `${key}.${part}` : part), "");
}

/** `(did you mean topics?)`, or empty if no known name is near. */
export function nearest(unknown: string, known: readonly string[]): string {
	if (known.length === 0) return "";
	const lowerCase = known.map((name) => name.toLowerCase());
	const found = closest(unknown.toLowerCase(), lowerCase);
	const name = known[lowerCase.indexOf(found)];
	const isNear = distance(unknown.toLowerCase(), found) <= Math.ceil(unknown.length / 3) || lettersOf(unknown) === lettersOf(found);
	return isNear ? ` (did you mean ${name}?)` : "";
}

/** The name's letters, sorted: swapping two letters leaves them the same. */
function lettersOf(name: string): string {
	return [...name.toLowerCase()].sort().join("");
}

/** The error that ends the command: exit code 2, a line per problem. */
export function configError(source: string, problems: readonly ConfigProblem[]): ExitError {
	const lines = problems.map((problem) => `  ${lineOf(problem)}`);
	const count = problems.length === 1 ? "1 error" : `${problems.length} errors`;
	return new ExitError(exitCodes.usage, "config_invalid", `${count} in the configuration (${source}):\n${lines.join("\n")}`);
}

function lineOf({ path, rule, from, ...rest }: ConfigProblem): string {
	const key = keyOf(path);
	const value = "value" in rest ? `${key ? ": " : ""}${shown(path, rest.value)}` : "";
	return `${key}${value} – ${rule}${from ? ` (from ${from})` : ""}`;
}

function shown(path: readonly (string | number)[], value: unknown): string {
	const key = keyOf(path);
	// `kafka.properties: {ssl: {key: …}}` means ssl.key.
	if (isSecret(key) || (typeof value === "object" && value !== null && key.startsWith("kafka.properties."))) return "***";
	const text =
		value === undefined
			? "nothing"
			: (JSON.stringify(value, (_, part) => (typeof part === "bigint" ? String(part) : part)) ?? String(value));
	// user:password@ before a host.
	const safe = text.replaceAll(/[^\s"/,]*@/g, "***@");
	return safe.length > LONGEST_VALUE ? `${safe.slice(0, LONGEST_VALUE)}…` : safe;
}
