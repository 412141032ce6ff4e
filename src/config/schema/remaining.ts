/**
 * The rest of a configuration after removing the values that break the schema, so that broken rules between keys can be listed together
 * with the schema's. Pure.
 */
import type { z } from "zod";

/** Maximum rounds. Each removes the values that the issues name; an invalid value may hide another one. */
const ROUNDS = 5;

/** The parsed rest and the removed paths; null if nothing valid is left. */
export function remainingOf<T>(schema: z.ZodType<T>, written: unknown): { data: T; removed: (string | number)[][] } | null {
	const rest = structuredClone(written);
	const removed: (string | number)[][] = [];
	for (let round = 0; round < ROUNDS; round++) {
		const result = schema.safeParse(rest);
		if (result.success) return { data: result.data, removed };
		for (const { code, path, ...issue } of result.error.issues) {
			const keys = code === "unrecognized_keys" ? (issue as unknown as { keys: string[] }).keys.map((key) => [...path, key]) : [path];
			for (const key of keys as (string | number)[][]) {
				remove(rest, key);
				removed.push(key);
			}
		}
	}
	return null;
}

/** True if one of the paths is part of the other: a rule broken there may come from the removal alone. */
export function touches(path: readonly (string | number)[], removed: readonly (string | number)[]): boolean {
	const shared = Math.min(path.length, removed.length, 2);
	return path.slice(0, shared).every((key, index) => removed[index] === key);
}

/** Removes the value at this path; of a list all of it. */
export function remove(root: unknown, path: readonly (string | number)[]): void {
	const owner = path.slice(0, -1).reduce<unknown>((at, key) => (at as Record<string | number, unknown> | undefined)?.[key], root);
	const last = path.at(-1);
	if (typeof owner !== "object" || owner === null || last === undefined) return;
	if (Array.isArray(owner)) owner.length = 0;
	else delete (owner as Record<string | number, unknown>)[last];
}
