/** A configuration file's YAML as plain values: aliases and merge keys followed, keys for anchors (`x-…`) left out. Reads one file. */
import { readFileSync } from "node:fs";
import { type Document, LineCounter, parseDocument, type YAMLError } from "yaml";
import { ExitError, exitCodes, messageOf } from "../core/errors.ts";
import { DEEPEST, isDeeperThan } from "../core/text/nesting.ts";

/** Throws ExitError (usage): `config_unreadable`, or `config_not_yaml` with line and column. */
export function readYaml(path: string): Record<string, unknown> {
	let text: string;
	try {
		text = readFileSync(path, "utf8");
	} catch (cause) {
		throw new ExitError(exitCodes.usage, "config_unreadable", `the configuration can't be read: ${messageOf(cause)}`, { cause });
	}
	const notYaml = (words: string) => new ExitError(exitCodes.usage, "config_not_yaml", `${path}${words}`);
	const lines = new LineCounter();
	const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, merge: true });
	if (document.errors.length > 0) throw notYaml(` is not YAML:\n${errorLines(document.errors, lines).join("\n")}${quotesHint(text)}`);
	const { value, problem } = valuesOf(document);
	if (problem) throw notYaml(`: ${problem}`);
	if (typeof value !== "object" || Array.isArray(value)) throw notYaml(": a configuration is a map of keys, e.g. `kafka:`");
	return Object.fromEntries(Object.entries(value).filter(([key]) => !key.startsWith("x-")));
}

const TOO_DEEP = "its lists and maps are nested too deep";

/** Maximum YAML errors listed: the first says most, and the others often follow from it. */
const MAX_ERRORS = 5;

/** Replaces the library's messages if they address programmers, or quote a piece of the file, which may be a secret. */
const wordsOf: Readonly<Record<string, string>> = {
	BAD_DQ_ESCAPE: "an escape in double quotes that YAML does not know",
	BAD_SCALAR_START: "a value that begins with this character needs quotes",
	TAG_RESOLVE_FAILED: "a tag (!…) that YAML does not know",
	MULTIPLE_DOCS: "a second document begins (---); a configuration is one",
	RESOURCE_EXHAUSTION: TOO_DEEP,
};

/** After a colon the library quotes what it found, which may be a secret. */
const found = /(?<=\S): .*$/s;

function errorLines(errors: readonly YAMLError[], lines: LineCounter): string[] {
	const told = errors.slice(0, MAX_ERRORS).map(({ code, message, pos }) => {
		const { line, col } = lines.linePos(pos[0]);
		return `  line ${line}, column ${col}: ${wordsOf[code] ?? message.replace(found, "")}`;
	});
	return errors.length > MAX_ERRORS ? [...told, `  and ${errors.length - MAX_ERRORS} more, which may follow from these`] : told;
}

/** Inside `{ }` or `[ ]`, YAML takes the brace of `${NAME}` for the begin of a map. */
function quotesHint(text: string): string {
	return /[{[,].*:\s+\$\{|[[,]\s*\$\{/.test(text) ? '\n  inside { } or [ ], ${NAME} needs quotes: {group: "${NAME}"}' : "";
}

/** The document's values, or why they can't be read. */
function valuesOf(document: Document): { value: object | string; problem?: string } {
	try {
		const value = (document.toJS() as object | string | null) ?? {};
		if (!isDeeperThan(DEEPEST, value)) return { value };
		return { value: {}, problem: holdsItself(value, new Set()) ? "an alias (*name) is inside the value that it stands for" : TOO_DEEP };
	} catch (error) {
		if (error instanceof RangeError) return { value: {}, problem: TOO_DEEP };
		return { value: {}, problem: "its aliases (*name) stand for too many values, or for none; write out what they stand for" };
	}
}

function holdsItself(value: unknown, above: Set<unknown>): boolean {
	if (typeof value !== "object" || value === null) return false;
	if (above.has(value)) return true;
	above.add(value);
	const holds = Object.values(value).some((inner) => holdsItself(inner, above));
	above.delete(value);
	return holds;
}
