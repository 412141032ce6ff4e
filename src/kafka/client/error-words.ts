/** Finds the code of errors that node-rdkafka passes on as words only, in librdkafka's own list of words. */
import { createRequire } from "node:module";
import rdkafka from "node-rdkafka";
import { KafkaError } from "./kafka-error.ts";

const { err2str } = createRequire(import.meta.url)("node-rdkafka/librdkafka.js") as { err2str(code: number): string };

const FATAL_LINE = "Fatal error: ";
const codes = Object.values(rdkafka.CODES.ERRORS as unknown as Record<string, number>);
const byWords = new Map(codes.map((code) => [err2str(code), code]));
/** The words of `event.error` lack `Broker: ` or `Local: ` and capitals; they are still unique. */
const byBareWords = new Map([...byWords].map(([words, code]) => [(words.split(": ")[1] ?? words).toLowerCase(), code]));

/** librdkafka's words for a code. */
export function wordsOf(code: number): string {
	return err2str(code);
}

/** The code of an error by its words, as a partition's error or `event.error` has them; -1 if unknown. */
export function codeOfWords(words: string): number {
	return byWords.get(words) ?? byBareWords.get(words.toLowerCase()) ?? -1;
}

/** The error in a log line that says why the client gave up for good. */
export function fatalError(line: string): KafkaError {
	const code = codeOfLine(line, FATAL_LINE);
	return new KafkaError(code === -1 ? line : wordsOf(code), code);
}

/** The code at the beginning of a client's log line, after `prefix`; -1 if there is none. */
export function codeOfLine(line: string, prefix: string): number {
	const rest = line.startsWith(prefix) ? line.slice(prefix.length) : "";
	let found = "";
	for (const words of byWords.keys()) if (rest.startsWith(words) && words.length > found.length) found = words;
	return byWords.get(found) ?? -1;
}
