/** The changes that a careless hand makes, found in a file's text. */
import { codeMask } from "./code-mask.ts";

/** A change of one place of a file. */
export interface Mutant {
	readonly file: string;
	readonly line: number;
	readonly kind: string;
	/** The place in the file, and what stands there instead. */
	readonly from: number;
	readonly to: number;
	readonly text: string;
}

type Change = Omit<Mutant, "file" | "line" | "kind">;

const swaps: readonly (readonly [kind: string, pattern: RegExp, replacement: string])[] = [
	["comparison", / === /g, " !== "],
	["comparison", / !== /g, " === "],
	["boundary", / < /g, " <= "],
	["boundary", / <= /g, " < "],
	["boundary", / > /g, " >= "],
	["boundary", / >= /g, " > "],
	["comparison", / [<] /g, " >= "],
	["comparison", / [>] /g, " <= "],
	["and / or", / && /g, " || "],
	["and / or", / \|\| /g, " && "],
	["?? side", / \?\? /g, " && "],
	["arithmetic", / \+ /g, " - "],
	["arithmetic", / - /g, " + "],
	["arithmetic", / \+= /g, " -= "],
	["arithmetic", / -= /g, " += "],
	["arithmetic", /\+\+/g, "--"],
	["arithmetic", /--/g, "++"],
	["true / false", /\btrue\b/g, "false"],
	["true / false", /\bfalse\b/g, "true"],
	["negation", /(?<=[\s(])!(?=[\w(#])/g, ""],
	["constant", /(?<=[\s([])0(?=[\s)\],;])/g, "1"],
	["constant", /(?<=[\s([])1(?=[\s)\],;])/g, "2"],
	["constant", /(?<=[\s([])1(?=[\s)\],;])/g, "0"],
	["min / max", /Math\.min\(/g, "Math.max("],
	["min / max", /Math\.max\(/g, "Math.min("],
	["some / every", /\.some\(/g, ".every("],
	["some / every", /\.every\(/g, ".some("],
	["first / last", /\.at\(-1\)/g, ".at(0)"],
	["first / last", /\.findLastIndex\(/g, ".findIndex("],
];

/** Of a call that only puts in order, or picks. */
const unnecessary = /\.(?:sort|toSorted|reverse|toReversed|filter)\(/g;
const statement = /^\t+(?:await |void )?[\w#.?!]+\([^\n]*\);$/gm;
const assignment = /^\t+this\.#?\w+(?:\.\w+)* (?:[-+|&]|\?\?)?= [^\n]*;$/gm;
const guard = /^\t*(?:\} )?(?:else )?if \(/gm;
const procedure = /\): (?:void|Promise<void>) \{$/gm;
const inSql = [/ order by [^)`\n]*/g, / for update\b/g, / is not null\b/g];
/** Outcomes, states, causes, labels; no type of several. */
const label = /(?<=[\s([{])(?<!\| )"[a-z]+(?:[-_][a-z]+)*"(?=[\s)\],;:])(?! \|)/g;

/** All changes of a file's text. */
export function mutantsOf(file: string, source: string): readonly Mutant[] {
	const { code, texts } = codeMask(source);
	const found: Mutant[] = [];
	const add = (kind: string, { from, to, text }: Change) => {
		if (source.slice(from, to) === text) return;
		const line = source.slice(0, from).split("\n").length;
		found.push({ file, line, kind, from, to, text });
	};
	for (const [kind, pattern, text] of swaps)
		for (const { index, 0: match } of code.matchAll(pattern)) add(kind, { from: index, to: index + match.length, text });
	for (const { index, 0: match } of code.matchAll(guard)) {
		const from = index + match.length;
		const to = closing(code, from);
		add("condition", { from, to, text: `!(${source.slice(from, to)})` });
	}
	for (const { index, 0: match } of code.matchAll(unnecessary)) {
		const to = closing(code, index + match.length) + 1;
		add("in order / picked", { from: index, to, text: "" });
	}
	for (const pattern of [statement, assignment])
		for (const { index, 0: match } of code.matchAll(pattern)) {
			const from = index + match.search(/[^\t]/);
			if (!/^(?:return|throw|super)\b/.test(source.slice(from))) add("dropped", { from, to: index + match.length, text: ";" });
		}
	for (const { index, 0: match } of code.matchAll(procedure)) {
		const from = index + match.length;
		add("early return", { from, to: from, text: " return;" });
	}
	for (const { index, end } of choices(code)) {
		const middle = code.indexOf(" : ", index);
		const [left, right] = [source.slice(index + 3, middle), source.slice(middle + 3, end)];
		add("choice", { from: index + 3, to: end, text: `${right} : ${left}` });
	}
	// In the source, where what stands beside it tells a type from a value.
	for (const { index, 0: match } of source.matchAll(label))
		if (code[index] === '"') add("label", { from: index + 1, to: index + match.length - 1, text: "mutated" });
	for (const pattern of inSql)
		for (const { index, 0: match } of texts.matchAll(pattern)) {
			add("sql", { from: index, to: index + match.length, text: match.includes("not null") ? " is null" : "" });
		}
	return found.sort((left, right) => left.from - right.from);
}

/** Where the bracket that is open at `from` closes. */
function closing(code: string, from: number): number {
	let depth = 1;
	for (let at = from; at < code.length; at++) {
		if ("([{".includes(code[at] as string)) depth++;
		else if (")]}".includes(code[at] as string) && --depth === 0) return at;
	}
	return code.length;
}

/** `a ? b : c` in one line, with no other of its kind in it. */
function choices(code: string): readonly { readonly index: number; readonly end: number }[] {
	return [...code.matchAll(/ \? [^?:\n;]* : (?=[^?:\n]*[;,)\]}])/g)].flatMap(({ index, 0: match }) => {
		let depth = 0;
		for (let at = index + match.length; code[at] !== "\n"; at++) {
			const character = code[at] as string;
			if ("([{".includes(character)) depth++;
			else if (")]}".includes(character) && --depth < 0) return [{ index, end: at }];
			else if (depth === 0 && (character === ";" || character === ",")) return [{ index, end: at }];
			else if (character === "?") return [];
		}
		return [];
	});
}
