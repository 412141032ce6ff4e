/** The mutation run changes code, one place at a time, and nothing that only people or the compiler read. */
import { describe, expect, it } from "vitest";
import { mutantsOf } from "../../mutants/mutators.ts";

/** The file's texts with one change each, by kind. */
function changed(source: string): readonly (readonly [string, string])[] {
	return mutantsOf("src/a.ts", source).map(({ kind, from, to, text }) => [kind, source.slice(0, from) + text + source.slice(to)]);
}

describe("a mutant changes", () => {
	it.each([
		["a boundary", "a = b <= c;", "a = b < c;"],
		["a comparison", "a = b === c;", "a = b !== c;"],
		["and to or", "a = b && c;", "a = b || c;"],
		["a condition", "if (a(b)) c;", "if (!(a(b))) c;"],
		["a guard's negation", "a = (!b);", "a = (b);"],
		["a choice", "a = b ? c : d;", "a = b ? d : c;"],
		["a call into none", "\tawait this.#a.b(c, () => d);", "\t;"],
		["an assignment into none", "\tthis.#a = b;", "\t;"],
		["an order into none", "a = b.sort((c, d) => c.e);", "a = b;"],
		["a side of ??", "a = b ?? c;", "a = b && c;"],
		["a small number", "a = b[0];", "a = b[1];"],
		["a label", 'a("stale", b);', 'a("mutated", b);'],
		["a procedure into none", "\ta(): void {\n\t\tb = c;", "\ta(): void { return;\n\t\tb = c;"],
		["the order of a statement's rows", "a = `select 1 order by ${b}`;", "a = `select 1`;"],
		["code inside a template", "a = `b ${c + d} + e`;", "a = `b ${c - d} + e`;"],
	])("%s", (_, from, to) => {
		expect(changed(from).map(([, text]) => text)).toContain(to);
	});
});

describe("a mutant leaves alone", () => {
	it.each([
		["comments", "// a === b && c\n/* d <= e */"],
		["what stands in strings, templates and regular expressions", 'a = "b === c";\nd = `e && f`;\ng = /h \\|\\| i/;'],
		["types", 'interface A {\n\treadonly b: "c" | "d";\n}\ntype E = F extends true ? 1 : 0;\na = b as readonly "c"[];'],
		["a type of several", '\tc: Pick<D, "e" | "f">,'],
		["imports", 'import { a } from "./b.ts";'],
		["words of the log", "\tlogger.warn({ a: 0 }, `b ${c + d}`);"],
	])("%s", (_, source) => {
		expect(changed(source)).toEqual([]);
	});
});
