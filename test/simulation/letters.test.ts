/** Letters under everything that may happen to them, on both targets: seeds say what. `LETTER_SEED=7` plays one. */
import { expect, it } from "vitest";
import type { Target } from "./letters/invariants.ts";
import { LetterMachine } from "./letters/machine.ts";

/** So many seeds each; a long run has more. */
const SEEDS = Number(process.env.LETTER_SEEDS ?? 60);
const given = process.env.LETTER_SEED;
const seeds = given === undefined ? Array.from({ length: SEEDS }, (_, index) => index + 1) : [Number(given)];

it.each(["table", "topic"] as const satisfies Target[])(
	"no open letter is lost, none is replayed into a newer row, and counts agree: %s",
	async (target) => {
		const met = new Set<string>();
		for (const seed of seeds) {
			const machine = new LetterMachine(seed, target);
			await machine.run().catch((error: Error) => {
				throw new Error(`seed ${seed} on a ${target}: ${error.message}`, { cause: error });
			});
			for (const transition of machine.invariants.met) met.add(transition);
		}
		if (given !== undefined) return;
		const purges = ["open null", "skipped null", "replayed null", "discarded null"];
		const line = [
			...["null open", "null skipped", "open replayed", "skipped replayed", "discarded replayed", "open discarded", "skipped discarded"],
			...["skipped open", "replayed open", "discarded open"],
		];
		// The runs go along every line there is.
		expect([...met].sort()).toEqual(expect.arrayContaining([...line, ...(target === "table" ? purges : [])].sort()));
	},
);
