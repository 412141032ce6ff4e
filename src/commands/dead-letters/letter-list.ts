/** `dead-letters list` and `show`: letters as a table, as lines of JSON, or one in full. */
import type { LetterFilter, LetterStore, StoredLetter } from "../../core/dead-letters/dead-letter.ts";
import { ExitError, exitCodes } from "../../core/errors.ts";
import { partitionName } from "../../core/messages/message.ts";
import { grouped } from "../../core/text/counted.ts";
import { type CommandContext, print } from "../command-context.ts";
import { printPaced } from "../terminal/paced-output.ts";
import { shownBytes } from "../terminal/shown-bytes.ts";
import { textTable } from "../terminal/text-table.ts";
import { noneWords, sumOf } from "./letter-selection.ts";

const LONGEST_ERROR = 100;
/** Rows of one table. Its widths come from its rows, so it is held in memory; more rows make further tables below. */
const TABLE_ROWS = 1_000;

/** What to list, and the maximum number. */
export interface Listing {
	readonly filter: LetterFilter;
	readonly most: number;
	readonly json: boolean;
}

/** Lists what matches, and says how much is left out. */
export async function list(store: LetterStore, { filter, most, json }: Listing, { stdout, stderr }: CommandContext): Promise<void> {
	const total = sumOf(await store.count(filter));
	if (total === 0) print(stderr, `${await noneWords(store, filter)}.`);
	const table = new LetterTable((text) => printPaced(stdout, text));
	for await (const page of store.read(filter, most)) {
		for (const letter of page) {
			if (json) await printPaced(stdout, JSON.stringify(documentOf(letter)));
			else await table.add(letter);
		}
	}
	if (!json) await table.end();
	if (total > most) print(stderr, `${grouped(most)} of ${grouped(total)} letters: --limit all lists every one.`);
}

/** Shows the letter at this position; if the topic was created again, each of its logs may have one. */
export async function show(
	store: LetterStore,
	at: { topic: string; partition: number; offset: number },
	json: boolean,
	{ stdout }: CommandContext,
): Promise<void> {
	let shown = 0;
	for await (const page of store.read(at)) {
		for (const letter of page) {
			if (json) await printPaced(stdout, JSON.stringify(documentOf(letter)));
			else await printPaced(stdout, `${shown > 0 ? "\n" : ""}${inFull(letter)}`);
			shown++;
		}
	}
	if (shown === 0)
		throw new ExitError(exitCodes.found, "no_letter", `there is no dead letter of ${partitionName(at)} at offset ${at.offset}`);
}

/** An error's beginning, for a line of output. */
export function oneLine(error: string): string {
	const line = error.replaceAll(/\s*\n\s*/g, " ");
	return line.length > LONGEST_ERROR ? `${line.slice(0, LONGEST_ERROR)}…` : line;
}

/** Prints letters as tables with a limited number of rows, one below the other. */
class LetterTable {
	readonly #print: (text: string) => Promise<void>;
	#rows: StoredLetter[] = [];
	#isFirst = true;

	constructor(write: (text: string) => Promise<void>) {
		this.#print = write;
	}

	async add(letter: StoredLetter): Promise<void> {
		// Keeps only what is shown.
		this.#rows.push({ ...letter, key: null, value: null, headers: [], stack: null, error: oneLine(letter.error) });
		if (this.#rows.length >= TABLE_ROWS) await this.#flush();
	}

	async end(): Promise<void> {
		if (this.#isFirst || this.#rows.length > 0) await this.#flush();
	}

	async #flush(): Promise<void> {
		const letters = this.#rows;
		this.#rows = [];
		this.#isFirst = false;
		// Only a topic that was created again has letters of several logs.
		const logs = new Set(letters.map(({ topic, topicId }) => `${topic} ${topicId}`));
		const hasLogs = logs.size > new Set(letters.map(({ topic }) => topic)).size;
		const id = (text: string) => (hasLogs ? [text] : []);
		const rows = letters.map(({ topic, partition, offset, topicId, reason, sqlstate, state, attempts, lastAt, error }) => [
			topic,
			partition,
			offset,
			...id(topicId ?? "-"),
			reason,
			sqlstate ?? "-",
			state,
			attempts,
			lastAt,
			error,
		]);
		const head = ["TOPIC", "PARTITION", "OFFSET", ...id("TOPIC-ID"), "REASON", "SQLSTATE", "STATE", "ATTEMPTS", "LAST-AT", "ERROR"];
		await this.#print(textTable(head, rows));
	}
}

export function inFull(letter: StoredLetter): string {
	const document = documentOf(letter);
	const width = Math.max(...Object.keys(document).map((name) => name.length));
	// Further lines of a value are indented below its first, where no field name stands.
	const margin = `\n${" ".repeat(width + 2)}`;
	return Object.entries(document)
		.map(
			([name, value]) => `${name.padEnd(width)}  ${(typeof value === "string" ? value : JSON.stringify(value)).replaceAll("\n", margin)}`,
		)
		.join("\n");
}

/** A letter as JSON; key, value and headers readable if they are text. */
function documentOf({ key, value, headers, ...letter }: StoredLetter): Record<string, unknown> {
	return {
		...letter,
		key: shownBytes(key),
		value: shownBytes(value),
		headers: headers.map(([name, content]) => [name, shownBytes(content)]),
	};
}
