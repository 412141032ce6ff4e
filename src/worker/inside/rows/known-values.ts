/**
 * Checks whether the thread still turns the same values into the same texts. A handler may replace what values inherit
 * (`String.prototype.includes`, `Date.prototype.toISOString`, a `toJSON` for all lists). Rows of other messages would then be wrong or
 * refused, and no count would show it. So known values are encoded once after the module is loaded, and again with each answer. Uses
 * indexes and no methods, because methods may be what was changed. Costs 5 µs, once per up to 2,000 messages.
 *
 * Step 5 of a message's way (docs/architecture.md).
 */
import type { IdType, TableLayout } from "../../../core/rows/rows.ts";
import { canonicalId, canonicalVersion } from "./canonical-values.ts";
import { encoderOf } from "./column-values.ts";

const date = new Date(981_173_106_789);
const bytes = Buffer.from("b é");
const scalars = ["a é", -7.5, date, bytes];
const documents = [{ a: ["b é", 1.5, { c: date }] }];
const ids: Readonly<Record<IdType, readonly unknown[]>> = {
	text: ["a é"],
	uuid: ["{0123ABCD-4567-89ab-cdef-0123456789ab}"],
	smallint: [" +7"],
	int: [-7],
	bigint: ["900"],
};
const versions: Readonly<Record<string, readonly unknown[]>> = {
	timestamptz: [date, "2001-02-03T04:05:06.7890126+0130"],
	bigint: ["+7"],
	numeric: ["12.50", "-3e2"],
};

/** Types that each encode a Date differently. */
const days: ReadonlySet<string> = new Set(["date", "timestamp", "time", "timetz"]);

type Known = readonly [textOf: (value: unknown) => string, values: readonly unknown[]];

/** Checks that known values still encode to the known texts. Create it when the handler's module has been loaded. */
export class KnownValues {
	readonly #known: Known[];
	readonly #texts: string;

	constructor(tables: readonly TableLayout[]) {
		const known = new Map<string, Known>();
		for (const { id, columns, version } of tables) {
			known.set(`id ${id.type}`, [(value) => canonicalId(value, id.type), ids[id.type]]);
			for (const { name, type } of columns) {
				const isVersion = version.kind === "field" && version.column === name;
				if (isVersion) known.set(`version ${type}`, [(value) => canonicalVersion(value, type), versions[kindOfType(type)] ?? []]);
				else known.set(kindOfType(type), [encoderOf(type), valuesFor(type)]);
			}
		}
		this.#known = [...known.values()];
		this.#texts = this.#make();
	}

	/** True if the texts differ from those at first. */
	get changed(): boolean {
		try {
			return this.#make() !== this.#texts;
		} catch {
			return true;
		}
	}

	#make(): string {
		let texts = "";
		for (let i = 0; i < this.#known.length; i++) {
			const [textOf, values] = this.#known[i] as Known;
			for (let j = 0; j < values.length; j++) texts += `${textOf(values[j])}\n`;
		}
		return texts;
	}
}

/** Types that are encoded alike get the same name. */
function kindOfType(type: string): string {
	const name = type.replace(/\(.*/, "");
	if (name === "jsonb") return "json";
	return name === "json" || name === "bytea" || name in versions || days.has(name) ? name : "scalar";
}

function valuesFor(type: string): readonly unknown[] {
	const kind = kindOfType(type);
	if (kind === "json") return documents;
	return kind === "bytea" ? [bytes, "a é"] : scalars;
}
