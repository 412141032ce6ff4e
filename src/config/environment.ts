/**
 * The environment enters the configuration in two ways: `${NAME}` in the file's texts, and `POCKAFFE_…` variables that override its keys.
 * Pure. Parsed scalars are substituted, never YAML text, so that no value can change the file's structure.
 */
import type { Environment } from "../core/environment.ts";
import { DEEPEST, isDeeperThan } from "../core/text/nesting.ts";
import { type ConfigProblem, nearest } from "./schema/problems.ts";
import { configSchema } from "./schema/schema.ts";
import { type Leaf, leaves } from "./schema/schema-leaves.ts";

const PREFIX = "POCKAFFE_";
/** Turns the addon off (kafka/native.ts). Not an option of the file, because it has to be known before the file is read. */
const NATIVE = "POCKAFFE_NATIVE";
const notOptions = new Set(["POCKAFFE_CONFIG", NATIVE]);
const reference = /\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/g;

/** `kafka.startFrom` → `POCKAFFE_KAFKA_START_FROM`. */
function variableOf(path: readonly string[]): string {
	return PREFIX + path.map((key) => key.replaceAll(/([a-z0-9])([A-Z])/g, "$1_$2").toUpperCase()).join("_");
}

/**
 * `value` with `${NAME}` and `${NAME:-default}` replaced everywhere. A scalar that is only a reference to a number or boolean becomes one.
 */
export function substitute(value: unknown, environment: Environment, path: (string | number)[], problems: ConfigProblem[]): unknown {
	if (typeof value === "string") return substituteText(value, environment, path, problems);
	if (Array.isArray(value)) return value.map((item, index) => substitute(item, environment, [...path, index], problems));
	if (typeof value !== "object" || value === null) return value;
	return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, substitute(item, environment, [...path, key], problems)]));
}

/** Writes the POCKAFFE_ variables into `value`; `origins` gets the variable of each key that has one. */
export function override(
	value: Record<string, unknown>,
	environment: Environment,
	origins: Map<string, string>,
	problems: ConfigProblem[],
): void {
	const native = environment[NATIVE] ?? "on";
	if (native !== "on" && native !== "off") problems.push({ path: [NATIVE], rule: `must be on or off, not ${JSON.stringify(native)}` });
	const known = new Map(leaves(configSchema).map((leaf) => [variableOf(leaf.path), leaf]));
	for (const [name, text] of Object.entries(environment)) {
		if (!name.startsWith(PREFIX) || notOptions.has(name) || text === undefined) continue;
		const leaf = known.get(name);
		if (!leaf) {
			problems.push({
				path: [name],
				rule: `is no variable of PocKaffe's${wholeMap(name, known) ?? nearest(name, [...known.keys(), ...notOptions])}`,
			});
			continue;
		}
		const parsed = parseVariable(text, leaf);
		if (parsed === undefined) problems.push({ path: leaf.path, rule: `must be JSON, at most ${DEEPEST} levels deep`, from: name });
		else setAt(value, leaf.path, parsed);
		origins.set(leaf.path.join("."), name);
	}
}

/** For the variable of a key inside a map that one variable has as a whole; null otherwise. */
function wholeMap(name: string, known: ReadonlyMap<string, Leaf>): string | null {
	const map = [...known].find(([variable, { kind }]) => kind === "map" && name.startsWith(`${variable}_`))?.[0];
	return map === undefined ? null : `: ${map} has all of them, as JSON`;
}

function substituteText(text: string, environment: Environment, path: (string | number)[], problems: ConfigProblem[]): unknown {
	const result = text.replaceAll(reference, (whole, name: string, fallback: string | undefined) => {
		const found = environment[name];
		if (found !== undefined && (found !== "" || fallback === undefined)) return found;
		if (fallback !== undefined) return fallback;
		problems.push({ path, rule: `\${${name}} is not set; set it, or write \${${name}:-default}` });
		return whole;
	});
	return /^\$\{[^}]*\}$/.test(text.trim()) ? scalar(result) : result;
}

function scalar(text: string): unknown {
	if (text === "true" || text === "false") return text === "true";
	return /^-?(0|[1-9]\d{0,14})(\.\d{1,9})?$/.test(text) ? Number(text) : text;
}

function parseVariable(text: string, { kind }: Leaf): unknown {
	switch (kind) {
		case "list":
			return text
				.split(",")
				.map((item) => item.trim())
				.filter((item) => item !== "");
		case "map":
			try {
				const value: unknown = JSON.parse(text);
				return isDeeperThan(DEEPEST, value) ? undefined : value;
			} catch {
				return undefined;
			}
		case "text":
			return text;
		default:
			return scalar(text);
	}
}

function setAt(root: Record<string, unknown>, path: readonly string[], value: unknown): void {
	let at = root;
	for (const key of path.slice(0, -1)) {
		const next = at[key];
		if (typeof next !== "object" || next === null) at[key] = {};
		at = at[key] as Record<string, unknown>;
	}
	at[path.at(-1) as string] = value;
}
