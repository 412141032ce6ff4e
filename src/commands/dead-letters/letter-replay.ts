/** `dead-letters replay`: hands letters to the handler again, and prints each result. */
import { type ReplayedLetter, replayLetters } from "../../audit/dead-letters/dead-letter-replay.ts";
import type { Config } from "../../config/config.ts";
import { tableLayouts } from "../../config/table-layouts.ts";
import type { DeadLetterReason, LetterFilter, StoredLetter } from "../../core/dead-letters/dead-letter.ts";
import { omittedText } from "../../core/dead-letters/omitted-parts.ts";
import { exitCodes, messageOf } from "../../core/errors.ts";
import { partitionName, type TopicPartitionOffset } from "../../core/messages/message.ts";
import { systemRandom } from "../../core/random.ts";
import { grouped } from "../../core/text/counted.ts";
import { knownSecrets, maskedFailure } from "../../core/text/secret-mask.ts";
import { ClusterInspector } from "../../kafka/topics.ts";
import { type CommandContext, print } from "../command-context.ts";
import { CrashWitness } from "../process/crash-witness.ts";
import { printPaced } from "../terminal/paced-output.ts";
import { oneLine } from "./letter-list.ts";
import { LetterProgress } from "./letter-progress.ts";
import { countSelected, countWords, sumOf } from "./letter-selection.ts";
import { type LetterTools, missing } from "./letter-store.ts";

const PROCESS_DIED: DeadLetterReason = "process_died";
const LEFT = "the handler leaves it unfinished (finishedTo) until later messages come, and there is none among the letters";

/** How to replay. */
export interface ReplayOptions {
	/** No filter narrows it. */
	readonly all: boolean;
	readonly isDryRun: boolean;
	readonly asJson: boolean;
}

/** Replays the letters that the filter finds; exit 1 if one still fails. */
export async function replay(
	{ store, config, database }: LetterTools,
	filter: LetterFilter,
	{ all, isDryRun, asJson }: ReplayOptions,
	context: CommandContext,
): Promise<void> {
	const { stdout, stderr, clock, interrupted, exit } = context;
	if (config.handler.module === "") throw missing("handler.module is needed: the handler to replay with");
	const counts = await countSelected(store, filter, all);
	const total = sumOf(counts);
	if (isDryRun) {
		const words = `Would replay ${grouped(total)} ${total === 1 ? "letter" : "letters"}${total === 0 ? "" : ` (${countWords(counts)})`}. Nothing was changed (--dry-run).`;
		print(stdout, asJson ? JSON.stringify({ would_replay: total, counts }) : words);
		return;
	}
	const topics = [...new Set(counts.map(({ topic }) => topic))];
	const obstacle = await obstacles(config, topics, filter, context);
	using progress = new LetterProgress(total, { stdout, stderr, clock });
	const logWords = namesOtherLogs();
	const tell = async (
		letter: StoredLetter,
		{ error, words, ...more }: { readonly error: string | null; readonly words: string; newer_row?: boolean },
	) => {
		progress.told(error === null, more.newer_row === true);
		const { topic, partition, offset, topicId } = letter;
		const document = { topic, partition, offset, topicId, replayed: error === null, error, ...more };
		await printPaced(stdout, asJson ? JSON.stringify(document) : `${partitionName(letter)} offset ${offset}${logWords(letter)}: ${words}`);
	};
	const told = async (outcome: ReplayedLetter) => tell(outcome.letter, wordsOf(outcome));
	async function* replayable(): AsyncGenerator<StoredLetter[]> {
		for await (const page of store.read(filter)) {
			const refused = page.map((letter) => [letter, obstacle(letter)] as const);
			for (const [letter, error] of refused) if (error !== null) await tell(letter, { error, words: `still fails: ${oneLine(error)}` });
			yield refused.flatMap(([letter, error]) => (error === null ? [letter] : []));
		}
	}
	using witness = new CrashWitness("The letter stays as it is.");
	interrupted.addEventListener("abort", () => witness[Symbol.dispose](), { once: true });
	const inHand = witness.inHand.bind(witness);
	const parts = { config, database: database(), clock, random: systemRandom, signal: interrupted, inHand };
	await replayLetters(parts, replayable(), async (met) => {
		const outcomes = met.map((outcome) =>
			outcome.failure ? { ...outcome, failure: maskedFailure(outcome.failure, knownSecrets.mask) } : outcome,
		);
		await store.settle(outcomes.filter(({ isLeft }) => !isLeft));
		for (const outcome of outcomes) await told(outcome);
	});
	if (!asJson) print(stdout, progress.words);
	if (progress.failed > 0) exit(exitCodes.found);
}

/** What is said of a letter's result. */
export function wordsOf({ failure, isLeft, newer }: ReplayedLetter): {
	readonly error: string | null;
	readonly words: string;
	readonly newer_row?: boolean;
	readonly row_of?: TopicPartitionOffset | null;
} {
	if (isLeft) return { error: LEFT, words: `still unfinished: ${LEFT}` };
	if (failure) return { error: failure.error, words: `still fails: ${oneLine(failure.error)}` };
	if (!newer) return { error: null, words: "replayed" };
	const { table, id, of } = newer;
	const whose = of ? ` of ${partitionName(of)} offset ${of.offset}` : "";
	return { error: null, words: `replayed: ${table} ${JSON.stringify(id)} keeps the newer row${whose}`, newer_row: true, row_of: of };
}

/** Returns a function that names a letter's log if its topic was created again; the first log that it meets of a topic stays unnamed. */
function namesOtherLogs(): (letter: Pick<StoredLetter, "topic" | "topicId">) => string {
	const first = new Map<string, string | null>();
	return ({ topic, topicId }) => {
		if (!first.has(topic)) first.set(topic, topicId);
		return first.get(topic) === topicId ? "" : ` of the log ${topicId ?? "without an id"}`;
	};
}

/** Why a letter can't be replayed as it is; null if it can. */
async function obstacles(
	config: Config,
	topics: readonly string[],
	filter: LetterFilter,
	context: CommandContext,
): Promise<(letter: StoredLetter) => string | null> {
	const byOffset = tableLayouts(config).find(({ version }) => version.kind === "offset");
	const ids = byOffset && topics.length > 0 ? await currentIds(config, topics, context) : new Map<string, string | null>();
	const { topic, partition, offset, reason: asked } = filter;
	const isNamed = asked === PROCESS_DIED || (topic !== undefined && partition !== undefined && offset !== undefined);
	return ({ topic, topicId, omitted, reason }) => {
		if (reason === PROCESS_DIED && !isNamed)
			return "it ended the daemon's process: to try it nevertheless, name it by --topic, --partition and --offset";
		// A handler would take a message without a value as a delete.
		if (Object.keys(omitted).length > 0) return `it was too large for deadLetters, and is stored without its ${omittedText(omitted)}`;
		if (!byOffset || topicId === null || ids.get(topic) === topicId) return null;
		const log = ids.has(topic) ? "is of an earlier log of the topic" : "may be of an earlier log of the topic (Kafka could not be asked)";
		return `it ${log}: table ${byOffset.name} decides by offsets (cas.version: offset), and those of two logs can't be compared`;
	};
}

/** Kafka's ids of those of these topics that exist and have one. */
async function currentIds({ kafka }: Config, topics: readonly string[], { clock, stderr }: CommandContext): Promise<Map<string, string>> {
	const known = new Map<string, string>();
	if (kafka.brokers.length === 0) return known;
	try {
		await using inspector = await ClusterInspector.connect(kafka, clock);
		for (const [topic, id] of await inspector.topicIds(topics)) if (id !== null) known.set(topic, id);
	} catch (error) {
		print(stderr, `can't get the topics' ids: ${messageOf(error)}`);
	}
	return known;
}
