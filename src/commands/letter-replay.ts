/** `dead-letters replay`: letters through the handler again, and what became of each. */
import { type ReplayedLetter, replayLetters } from "../audit/dead-letter-replay.ts";
import type { Config } from "../config/config.ts";
import { tableLayouts } from "../config/table-layouts.ts";
import type { DeadLetterReason, LetterFilter, StoredLetter } from "../core/dead-letter.ts";
import { exitCodes, messageOf } from "../core/errors.ts";
import { partitionName } from "../core/message.ts";
import { omittedText } from "../core/omitted-parts.ts";
import { systemRandom } from "../core/random.ts";
import { ClusterInspector } from "../kafka/topics.ts";
import { type CommandContext, print } from "./command-context.ts";
import { CrashWitness } from "./crash-witness.ts";
import { type LetterTools, missing } from "./letter-store.ts";

const LONGEST_ERROR = 100;
const PROCESS_DIED: DeadLetterReason = "process_died";

/** Replays what the filter finds; exit 1 where one still fails. */
export async function replay(
	{ store, config, database }: LetterTools,
	filter: LetterFilter,
	asJson: boolean,
	context: CommandContext,
): Promise<void> {
	const { stdout, clock, interrupted, exit } = context;
	if (config.handler.module === "") throw missing("handler.module is needed: the handler to replay with");
	const letters = await store.find(filter);
	const obstacle = await obstacles(config, letters, filter, context);
	let failed = 0;
	const told = ({ letter: { topic, partition, offset, topicId }, error }: ReplayedLetter) => {
		if (error !== null) failed++;
		const line = `${partitionName({ topic, partition })} offset ${offset}: ${error === null ? "replayed" : `still fails: ${oneLine(error)}`}`;
		print(stdout, asJson ? JSON.stringify({ topic, partition, offset, topicId, replayed: error === null, error }) : line);
	};
	for (const letter of letters) {
		const error = obstacle(letter);
		if (error !== null) told({ letter, error });
	}
	const replayable = letters.filter((letter) => obstacle(letter) === null);
	using witness = new CrashWitness("The letter stays as it is.");
	interrupted.addEventListener("abort", () => witness[Symbol.dispose](), { once: true });
	const inHand = witness.inHand.bind(witness);
	const parts = { config, database: database(), clock, random: systemRandom, signal: interrupted, inHand };
	await replayLetters(parts, replayable, async (replayed) => {
		await store.replayed(replayed.letter, replayed.error);
		told(replayed);
	});
	if (!asJson) print(stdout, `${letters.length - failed} replayed, ${failed} still fail.`);
	if (failed > 0) exit(exitCodes.found);
}

/** An error's beginning, for a line of output. */
export function oneLine(error: string): string {
	const line = error.replaceAll(/\s*\n\s*/g, " ");
	return line.length > LONGEST_ERROR ? `${line.slice(0, LONGEST_ERROR)}…` : line;
}

/** Why a letter can't be replayed as it is; null where it can. */
async function obstacles(
	config: Config,
	letters: readonly StoredLetter[],
	filter: LetterFilter,
	context: CommandContext,
): Promise<(letter: StoredLetter) => string | null> {
	const byOffset = tableLayouts(config).find(({ version }) => version.kind === "offset");
	const topics = new Set(letters.flatMap(({ topic, topicId }) => (byOffset && topicId !== null ? [topic] : [])));
	const ids = topics.size > 0 ? await currentIds(config, [...topics], context) : new Map<string, string | null>();
	const { topic, partition, offset, reason: asked } = filter;
	const isNamed = asked === PROCESS_DIED || (topic !== undefined && partition !== undefined && offset !== undefined);
	return ({ topic, topicId, omitted, reason }) => {
		if (reason === PROCESS_DIED && !isNamed) return "it ended the daemon's process: --topic, --partition and --offset try it all the same";
		// A handler takes a message without a value for a delete.
		if (Object.keys(omitted).length > 0) return `it was too large for deadLetters, which has it without its ${omittedText(omitted)}`;
		if (!byOffset || topicId === null || ids.get(topic) === topicId) return null;
		const log = ids.has(topic) ? "is of an earlier log of the topic" : "may be of an earlier log of the topic (Kafka could not be asked)";
		return `it ${log}, whose offsets say nothing beside this one's, and table ${byOffset.name} is guarded by them (cas.version: offset)`;
	};
}

/** Kafka's ids of these topics, of those that exist and have one. */
async function currentIds({ kafka }: Config, topics: readonly string[], { clock, stderr }: CommandContext): Promise<Map<string, string>> {
	const known = new Map<string, string>();
	if (kafka.brokers.length === 0) return known;
	try {
		await using inspector = await ClusterInspector.connect(kafka, clock);
		for (const [topic, id] of await inspector.topicIds(topics)) if (id !== null) known.set(topic, id);
	} catch (error) {
		print(stderr, `the topics' ids can't be had: ${messageOf(error)}`);
	}
	return known;
}
