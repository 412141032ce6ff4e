/**
 * Which characters of a source file are code: of the same length, with comments, types and imports blank, and what stands in strings as
 * well (their quotes are left). Textual: the house's formatter writes one form of everything.
 */

/** What is blanked where a line says something for people: words of a log are nobody's promise. */
const saidToPeople =
	/^\t*(?:this\.)?#?(?:log|logger|console)\b.*\blog\(?.*$|^\t*.*\b(?:log|logger|console)\.(?:trace|debug|info|warn|error)\(.*$/gm;
const types = [
	/^import [\s\S]*?;$/gm,
	/^export (?:type )?[{*][\s\S]*?;$/gm,
	/^(?:export )?(?:declare )?interface [\s\S]*?^\}$/gm,
	/^(?:export )?(?:declare )?interface .*\}$/gm,
	/^(?:export )?type [\s\S]*?;$/gm,
	/ (?:as|satisfies) (?:readonly )?[\w[\]<>|., "']+/g,
];

/** The code of a file, and its strings and templates (`texts`), each at its place; all else is blank. */
export function codeMask(source: string): { readonly code: string; readonly texts: string } {
	const code = [...source];
	const texts = [...source].fill(" ");
	const blank = (from: number, to: number, isText = false) => {
		for (let at = from; at < to; at++) {
			if (isText) texts[at] = code[at] as string;
			if (code[at] !== "\n") code[at] = " ";
		}
	};
	/** Of templates that a `}` leads back into, the depth of braces in each. */
	const templates: number[] = [];
	let at = 0;
	while (at < source.length) {
		const end = endOfPiece(source, at, templates);
		const isString = source[at] === '"';
		if (end.kind !== "code") blank(at, end.at, end.kind === "text");
		// What stands for a string in code, so that a type's is told from a value.
		if (isString) for (const quote of [at, end.at - 1]) code[quote] = '"';
		at = end.at;
	}
	let masked = code.join("");
	for (const pattern of [...types, saidToPeople]) masked = masked.replace(pattern, (match) => match.replace(/[^\n]/g, " "));
	return { code: masked, texts: texts.join("") };
}

type Piece = { readonly kind: "code" | "text" | "comment"; readonly at: number };

function endOfPiece(source: string, at: number, templates: number[]): Piece {
	const character = source[at] as string;
	const two = source.slice(at, at + 2);
	if (two === "//") return { kind: "comment", at: indexOf(source, "\n", at) };
	if (two === "/*") return { kind: "comment", at: indexOf(source, "*/", at) + 2 };
	if (character === '"' || character === "'") return { kind: "text", at: endOfString(source, at, character) };
	if (character === "`") return endOfTemplate(source, at + 1, templates);
	if (character === "/" && /[(,=:[!&|?{};]\s*$|\breturn\s*$/.test(source.slice(Math.max(0, at - 12), at)))
		return { kind: "text", at: endOfRegex(source, at) };
	const depth = templates.length - 1;
	if (depth >= 0 && character === "{") templates[depth] = (templates[depth] as number) + 1;
	if (depth >= 0 && character === "}") {
		if (templates[depth] === 0) {
			templates.pop();
			return endOfTemplate(source, at + 1, templates);
		}
		templates[depth] = (templates[depth] as number) - 1;
	}
	return { kind: "code", at: at + 1 };
}

/** To the end of a template, or into its next `${`. */
function endOfTemplate(source: string, from: number, templates: number[]): Piece {
	for (let at = from; at < source.length; at++) {
		if (source[at] === "\\") at++;
		else if (source[at] === "`") return { kind: "text", at: at + 1 };
		else if (source[at] === "$" && source[at + 1] === "{") {
			templates.push(0);
			return { kind: "text", at: at + 2 };
		}
	}
	return { kind: "text", at: source.length };
}

function endOfString(source: string, from: number, quote: string): number {
	for (let at = from + 1; at < source.length; at++) {
		if (source[at] === "\\") at++;
		else if (source[at] === quote) return at + 1;
	}
	return source.length;
}

function endOfRegex(source: string, from: number): number {
	let isInClass = false;
	for (let at = from + 1; at < source.length; at++) {
		if (source[at] === "\\") at++;
		else if (source[at] === "[") isInClass = true;
		else if (source[at] === "]") isInClass = false;
		else if (source[at] === "\n") return from + 1;
		else if (source[at] === "/" && !isInClass) return at + 1;
	}
	return source.length;
}

function indexOf(source: string, what: string, from: number): number {
	const found = source.indexOf(what, from);
	return found < 0 ? source.length : found;
}
