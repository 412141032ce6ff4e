/** The handbook's tables about handlers that misbehave, made from the cases. Pure text. */
import type { Fate, HostileCase, HostileKind } from "./hostile-case.ts";

const becomes: Readonly<Record<Fate, string>> = {
	row: "a row",
	letter: "a dead letter",
	"row or letter": "a row or a dead letter",
	none: "nothing",
	any: "a row with what the column can hold, or a dead letter",
};

/** A row for each kind: an example, what happens, what it costs. */
export function renderKinds(kinds: readonly HostileKind[]): string {
	const rows = kinds.map(({ title, happens, costs, cases }) => `| ${title} | ${exampleOf(cases).what} | ${happens} | ${costs} |`);
	return ["| a handler that … | for example | what happens | what it costs you |", "| --- | --- | --- | --- |", ...rows].join("\n");
}

/** Every case of every kind, by what becomes of the message. */
export function renderCases(kinds: readonly HostileKind[]): string {
	const rows = kinds.flatMap(({ title, cases }) =>
		[...new Set(cases.map(({ culprit }) => culprit))].map((fate) => {
			const those = cases.filter(({ culprit }) => culprit === fate).map(({ what }) => what);
			return `| ${title} | ${those.join(" · ")} | ${becomes[fate]} |`;
		}),
	);
	return ["| a handler that … | and … | its message becomes |", "| --- | --- | --- |", ...rows].join("\n");
}

function exampleOf(cases: readonly HostileCase[]): HostileCase {
	return cases.find(({ short }) => short) ?? (cases[0] as HostileCase);
}
