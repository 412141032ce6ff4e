/**
 * Turns file and environment into one frozen, validated configuration, or one error that lists everything that is wrong. Reads that file
 * and no other.
 */
import { existsSync } from "node:fs";
import { dirname, isAbsolute, resolve } from "node:path";
import type { z } from "zod";
import { builtInHandlers } from "../core/built-in-handlers.ts";
import type { Environment } from "../core/environment.ts";
import { knownSecrets } from "../core/text/secret-mask.ts";
import type { Config } from "./config.ts";
import { withoutReplaced } from "./embedded-profile.ts";
import { override, substitute } from "./environment.ts";
import { type ConfigProblem, configError, keyOf, nearest } from "./schema/problems.ts";
import { remainingOf, touches } from "./schema/remaining.ts";
import { brokenRules } from "./schema/rules.ts";
import { configSchema } from "./schema/schema.ts";
import { keysAt } from "./schema/schema-leaves.ts";
import { secretsOf } from "./secrets.ts";
import { readYaml } from "./yaml-file.ts";

/** Where to look. `file` is `--config`; `written`: contents used instead of any file. */
export interface LoadOptions {
	readonly written?: Readonly<Record<string, unknown>>;
	readonly file?: string | undefined;
	readonly environment: Environment;
	readonly cwd: string;
	/** True if servers and log-ins are not needed. Then values of theirs that name a variable which is not set count as absent. */
	readonly withoutServers?: boolean;
}

/** Origin of a configuration without a file. */
export const withoutFile = "environment and defaults";

/** Origin of a configuration that a program passed (`written`). */
export const passed = "the object that was passed";

/** A configuration and where it came from: a path, `withoutFile` or `passed`. */
export interface LoadedConfig {
	readonly config: Config;
	readonly source: string;
}

const DEFAULT_FILE = "pockaffe.yaml";

/**
 * Loads `file`, else the file that POCKAFFE_CONFIG names, else ./pockaffe.yaml if it exists, else none; applies the environment, and
 * validates the whole. Top-level keys that begin with x- are for anchors and are ignored. Throws ExitError (usage) `config_unreadable`,
 * `config_not_yaml` or `config_invalid`.
 */
export function loadConfig(options: LoadOptions): LoadedConfig {
	const path = options.written ? null : configPath(options);
	const source = options.written ? passed : (path ?? withoutFile);
	const problems: ConfigProblem[] = [];
	const origins = new Map<string, string>();
	const unset: ConfigProblem[] = [];
	const file = path === null ? structuredClone(options.written ?? {}) : readYaml(path);
	const written = substitute(file, options.environment, [], unset) as Record<string, unknown>;
	problems.push(...(options.withoutServers ? withoutReplaced(written, unset) : unset));
	override(written, options.environment, origins, problems);
	problems.push(...unkept(written, []));
	const result = configSchema.safeParse(written);
	const invalid = result.success
		? rulesOf(result.data as Config)
		: [...result.error.issues.flatMap((issue) => problemsOf(issue, written)), ...rulesOfRemaining(written)];
	// A value missing because of an unset variable is no second error.
	problems.push(...invalid.filter(({ path }) => !problems.some((told) => keyOf(told.path) === keyOf(path))));
	if (problems.length > 0)
		throw configError(
			source,
			problems.map((problem) => withOrigin(problem, origins)),
		);
	const data = result.data as z.output<typeof configSchema>;
	resolveFiles(data, path === null ? options.cwd : dirname(path));
	const config = deepFreeze(data) as Config;
	knownSecrets.add(...secretsOf(config, options.environment));
	return { config, source };
}

function configPath({ file, environment, cwd }: LoadOptions): string | null {
	const named = file ?? environment.POCKAFFE_CONFIG;
	if (named) return resolve(cwd, named);
	const byDefault = resolve(cwd, DEFAULT_FILE);
	return existsSync(byDefault) ? byDefault : null;
}

function problemsOf(issue: z.core.$ZodIssue, written: unknown): ConfigProblem[] {
	const path = issue.path as (string | number)[];
	if (issue.code === "unrecognized_keys") {
		const known = keysAt(configSchema, path) ?? [];
		return issue.keys.map((key) => ({ path: [...path, key], rule: `is no known key${nearest(key, known)}` }));
	}
	if (issue.code === "invalid_union") {
		// Members of a union that matched beyond the type explain more than the union.
		const deeper = issue.errors
			.flat()
			.filter((inner) => inner.path.length > 0 || inner.code === "custom" || inner.code === "unrecognized_keys");
		if (deeper.length > 0)
			return deeper.flatMap((inner) => problemsOf({ ...inner, path: [...path, ...inner.path] } as z.core.$ZodIssue, written));
	}
	if (issue.code === "invalid_key") return [{ path, rule: issue.issues[0]?.message ?? issue.message }];
	return [{ path, value: valueAt(written, path), rule: ruleOf(issue) }];
}

function ruleOf(issue: z.core.$ZodIssue): string {
	return issue.code === "invalid_type" && issue.message.startsWith("Invalid input")
		? `must be ${issue.expected === "record" ? "a map" : issue.expected === "object" ? "a map of keys" : issue.expected}`
		: issue.message;
}

function valueAt(root: unknown, path: readonly (string | number)[]): unknown {
	return path.reduce<unknown>(
		(at, key) => (typeof at === "object" && at !== null ? (at as Record<string | number, unknown>)[key] : undefined),
		root,
	);
}

function rulesOf(config: Config): ConfigProblem[] {
	return [...brokenRules(config), ...moduleProblems(config)];
}

/** Broken rules between the keys whose own values are valid. */
function rulesOfRemaining(written: unknown): ConfigProblem[] {
	const remaining = remainingOf(configSchema, written);
	if (!remaining) return [];
	const { data, removed } = remaining;
	return rulesOf(data as Config).filter(({ path }) => !removed.some((gone) => touches(path, gone)));
}

/** Refuses `__proto__`: a JavaScript object does not keep it as a property, so a column with this name would be dropped silently. */
function unkept(value: unknown, path: readonly (string | number)[]): ConfigProblem[] {
	if (typeof value !== "object" || value === null) return [];
	return Object.entries(value).flatMap(([key, inner]) => {
		const at = [...path, Array.isArray(value) ? Number(key) : key];
		return key === "__proto__"
			? [{ path: at, rule: "is a name that can't be configured; for a column, make a view with another name" }]
			: unkept(inner, at);
	});
}

function withOrigin(problem: ConfigProblem, origins: ReadonlyMap<string, string>): ConfigProblem {
	for (let length = problem.path.length; length > 0; length--) {
		const from = origins.get(problem.path.slice(0, length).join("."));
		if (from) return { ...problem, from };
	}
	return problem;
}

function moduleProblems({ handler: { module } }: Config): ConfigProblem[] {
	if (!module.startsWith("pockaffe:") || builtInHandlers.includes(module)) return [];
	return [{ path: ["handler", "module"], value: module, rule: `is no built-in handler${nearest(module, builtInHandlers)}` }];
}

/** Resolves file names relative to the configuration's folder. */
function resolveFiles({ handler, kafka: { tls, sasl }, database }: z.output<typeof configSchema>, folder: string): void {
	handler.module = resolveModule(handler.module, folder);
	if (database.passwordFile) database.passwordFile = resolve(folder, database.passwordFile);
	if (sasl.passwordFile) sasl.passwordFile = resolve(folder, sasl.passwordFile);
	for (const key of ["ca", "cert", "key"] as const) {
		const value = tls[key];
		if (value && !value.includes("-----BEGIN")) tls[key] = resolve(folder, value);
	}
}

function resolveModule(module: string, folder: string): string {
	return module === "" || module.startsWith("pockaffe:") || isAbsolute(module) ? module : resolve(folder, module);
}

function deepFreeze<T>(value: T): T {
	if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
		Object.freeze(value);
		for (const inner of Object.values(value)) deepFreeze(inner);
	}
	return value;
}
