/** How much was compared, and what a script requires in addition to "no differences". Pure. */
import type { VerificationCounts } from "./findings.ts";

/** How many ids of the tables and the log were compared; nothing is known about the others. */
export interface LookedAt {
	/** Compared, with whatever result. */
	readonly ids: number;
	/** All that were met in the log or in a table. */
	readonly of: number;
	/** `ids / of`; 1 if there are none. */
	readonly share: number;
}

/** The figures that requirements check. */
export interface RequiredFigures {
	readonly counts: Readonly<VerificationCounts>;
	readonly behind: number;
	readonly passedOver: number;
	readonly letters: Readonly<Record<string, number>>;
	/** The missing table or topic of dead letters; null if it exists. */
	readonly lettersMissing: string | null;
}

/** A limit on one figure. */
export interface Requirement {
	readonly name: RequirementName;
	readonly value: number;
}

type Figure = (figures: RequiredFigures) => number | null;

const letters =
	(state: string): Figure =>
	({ letters: counts, lettersMissing }) =>
		lettersMissing === null ? (counts[state] ?? 0) : null;

const figures = {
	share: ({ counts }) => lookedAt(counts).share,
	unread: ({ behind }) => behind,
	ahead: ({ counts }) => counts.ahead,
	unchecked: ({ counts }) => counts.unchecked,
	lettered: ({ counts }) => counts.lettered,
	"passed-over": ({ passedOver }) => passedOver,
	"open-letters": letters("open"),
	"discarded-letters": letters("discarded"),
	"skipped-letters": letters("skipped"),
} satisfies Record<string, Figure>;

export type RequirementName = keyof typeof figures;

/** `share` is a minimum, from 0 to 1; all others are maximums. */
export const requirementNames = Object.keys(figures) as RequirementName[];

export function lookedAt(counts: Readonly<VerificationCounts>): LookedAt {
	const { matched, purged, missing, older, newer, different, extra, unwritable } = counts;
	const ids = matched + purged + missing + older + newer + different + extra + unwritable;
	const of = ids + counts.ahead + counts.unchecked + counts.lettered;
	return { ids, of, share: of === 0 ? 1 : ids / of };
}

/** `open-letters=0,unread=0,share=1`. Throws an Error that says what is wanted. */
export function requirementsOf(text: string): Requirement[] {
	return text.split(",").map((each) => {
		const [name = "", value = ""] = each.split("=").map((part) => part.trim());
		if (!Object.hasOwn(figures, name)) throw new Error(`"${name}" is none of ${requirementNames.join(", ")}.`);
		const number = value === "" ? Number.NaN : Number(value);
		const isFit = name === "share" ? number >= 0 && number <= 1 : Number.isSafeInteger(number) && number >= 0;
		if (!isFit) throw new Error(`${name}=${name === "share" ? "a number from 0 to 1" : "a whole number, 0 or more"}.`);
		return { name: name as RequirementName, value: number };
	});
}

/** The requirements that don't hold, in words. */
export function unmet(requirements: readonly Requirement[], of: RequiredFigures): string[] {
	return requirements.flatMap(({ name, value }) => {
		const found = (figures[name] as Figure)(of);
		if (found === null) return `${name} is not known`;
		// Rounded down: less than all must not read as all.
		if (name === "share") return found >= value ? [] : `share is ${Math.floor(found * 10_000) / 10_000}, not ${value}`;
		return found <= value ? [] : `${name} is ${found}, not ${value}`;
	});
}
