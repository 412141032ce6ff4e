/** The simulation's mutations fit the source: whether each is found takes minutes, and is looked for in a project of its own. */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { mutations } from "../../simulation/mutations.ts";

const edits = mutations.flatMap(({ edits }) => edits);

it.each(edits.map(({ file, from, to }) => [file, from, to] as const))("%s holds what is to be broken exactly once", (file, from, to) => {
	const source = readFileSync(new URL(`../../../${file}`, import.meta.url), "utf8");
	expect(source.split(from).length - 1, from).toBe(1);
	expect(to).not.toBe(from);
});
