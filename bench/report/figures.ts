/**
 * The shape of what a bench measured. The text table, the JSON line, the page and the handbook's table are made from it and nothing
 * else. Pure.
 */
import { median, type Point, round } from "../measuring/statistics.ts";

/** What is measured. `label` names it beside its unit; `digits` behind the point are told, more would be noise. */
export interface Measure {
	readonly label: string;
	readonly unit: string;
	readonly digits: number;
}

/**
 * One measure of one subject. `values` has one number per repeat, in their order, and is empty where it can't be known on this machine;
 * then median, min and max are null.
 */
export interface Figure extends Measure {
	/** What was measured: `pockaffe:json`, `distinct rows`. */
	readonly subject: string;
	readonly values: readonly number[];
	readonly median: number | null;
	readonly min: number | null;
	readonly max: number | null;
}

/** A course: memory over the seconds of a run, a figure over the number of partitions. */
export interface Course {
	readonly title: string;
	readonly x: string;
	readonly y: string;
	readonly lines: readonly { readonly name: string; readonly points: readonly Point[] }[];
}

/** What a bench measured: one line of JSON. */
export interface BenchResult {
	readonly bench: string;
	readonly question: string;
	/** `real Kafka`, `mock cluster`, or null where none was used. */
	readonly broker: string | null;
	/** The server's own version, null where none was used. */
	readonly database: string | null;
	/** What it was run with. */
	readonly options: Readonly<Record<string, unknown>>;
	readonly figures: readonly Figure[];
	readonly courses: readonly Course[];
	/** What has to be known to read the figures. */
	readonly notes: readonly string[];
	/** What is wrong, e.g. where the table differs from the fold of the log; the command ends with 1 where there is one. */
	readonly findings: readonly string[];
}

/** Measures that several benches have. */
export const measures = {
	messagesPerSecond: { label: "messages/s", unit: "1/s", digits: 0 },
	rowsPerSecond: { label: "rows/s", unit: "1/s", digits: 0 },
	cpuMicros: { label: "CPU µs/message", unit: "µs", digits: 2 },
	databaseMicros: { label: "database CPU µs/message", unit: "µs", digits: 2 },
	peakRssMib: { label: "peak RSS MiB", unit: "MiB", digits: 0 },
} satisfies Record<string, Measure>;

/** A quotient against something measured in the same repeat. */
export function timesOf(what: string): Measure {
	return { label: `× ${what}`, unit: "×", digits: 2 };
}

/** Gathers what the repeats measured; subjects and measures stay in the order in which they first came. */
export class Tally {
	readonly #figures = new Map<string, { subject: string; measure: Measure; values: number[] }>();

	/** null: not known here. */
	note(subject: string, measure: Measure, value: number | null): void {
		const key = `${subject}\n${measure.label}`;
		const figure = this.#figures.get(key) ?? { subject, measure, values: [] };
		this.#figures.set(key, figure);
		if (value !== null && Number.isFinite(value)) figure.values.push(value);
	}

	figures(): Figure[] {
		return [...this.#figures.values()].map(({ subject, measure, values }) => {
			const told = (value: number) => (values.length === 0 ? null : round(value, measure.digits));
			const rounded = values.map((value) => round(value, measure.digits));
			return {
				subject,
				...measure,
				values: rounded,
				median: told(median(values)),
				min: told(Math.min(...values)),
				max: told(Math.max(...values)),
			};
		});
	}
}

/** `median (min–max)` of a figure for people; a dash where it is not known. */
export function shownFigure({ median: middle, min, max, digits, values }: Figure): string {
	if (middle === null || min === null || max === null) return "–";
	const shown = (value: number) =>
		value.toLocaleString("en", { maximumFractionDigits: digits, minimumFractionDigits: Math.min(digits, 2) });
	return values.length < 2 || min === max ? shown(middle) : `${shown(middle)} (${shown(min)}–${shown(max)})`;
}

/** Figures as a table: a row for each subject, a column for each measure. */
export function pivot(figures: readonly Figure[]): { readonly head: string[]; readonly rows: string[][] } {
	const labels = [...new Set(figures.map(({ label }) => label))];
	const subjects = [...new Set(figures.map(({ subject }) => subject))];
	const cell = (subject: string, label: string) => {
		const figure = figures.find((each) => each.subject === subject && each.label === label);
		return figure ? shownFigure(figure) : "";
	};
	return { head: ["", ...labels], rows: subjects.map((subject) => [subject, ...labels.map((label) => cell(subject, label))]) };
}
