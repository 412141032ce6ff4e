/** `produce`: a record per line of standard input. Each is awaited: what is printed is stored. */
import type { Command } from "commander";
import { ExitError, exitCodes, messageOf } from "../core/errors.ts";
import { readLines } from "../core/text/lines.ts";
import { missingTopicHint } from "../core/text/missing-topic.ts";
import { KafkaError, kafkaErrors } from "../kafka/client/kafka-error.ts";
import { Producer } from "../kafka/producer.ts";
import { ClusterInspector } from "../kafka/topics.ts";
import { refused } from "../kafka/watches/rights.ts";
import { type CommandContext, print } from "./command-context.ts";
import { kafkaOf } from "./configured.ts";

/** What every record gets, and how to print the result. */
export interface ProduceOptions {
	readonly key?: string;
	/** What stands between key and value, if each line has a key. */
	readonly keySeparator?: string;
	readonly partition?: number;
	readonly header: readonly (readonly [string, string])[];
	readonly null?: boolean;
	readonly json?: boolean;
}

/** Resolves when the input has ended and all records are stored. */
export async function produce(topic: string, options: ProduceOptions, command: Command, context: CommandContext): Promise<void> {
	const { kafka, embedded } = await kafkaOf(command, context);
	if (!embedded) await requireTopic(topic, kafka, context);
	await using producer = await Producer.connect(kafka);
	await produceLines(producer, topic, options, context, refused(kafka, { topic: ["Write", topic] }));
}

async function produceLines(
	producer: Producer,
	topic: string,
	options: ProduceOptions,
	context: CommandContext,
	failed: (error: unknown) => never,
): Promise<void> {
	let line = 0;
	for await (const read of readLines(context.stdin)) {
		line++;
		const text = withoutMarks(read, line === 1);
		const where = options.partition === undefined ? {} : { partition: options.partition };
		try {
			// What is no UTF-8 was decoded to this, and would be stored so.
			if (text.includes("\uFFFD")) throw new ExitError(exitCodes.found, "not_utf8", "it is not UTF-8, or has the character U+FFFD");
			const record = { topic, ...where, ...keyAndValue(text, options), headers: options.header };
			const { partition, offset, timestamp } = await producer.produce(record).catch(failed);
			const sentence = `Sent record to partition ${partition} at offset ${offset} with timestamp ${timestamp}.`;
			print(context.stdout, options.json ? JSON.stringify({ topic, partition, offset, timestamp }) : sentence);
		} catch (cause) {
			const isPartition = cause instanceof KafkaError && cause.kafkaCode === kafkaErrors.unknownPartition;
			const why = isPartition ? `topic ${topic} has no partition ${options.partition}` : messageOf(cause);
			const message = `line ${line} was not sent: ${why}; the lines after it were not sent either`;
			throw new ExitError(exitCodes.found, "not_sent", message, { cause });
		}
	}
	if (line === 0)
		print(context.stderr, `nothing was sent: standard input had no line; for a delete: echo | pockaffe produce ${topic} -k KEY --null`);
}

/** Lines of a Windows file end in \r\n, and its first may begin with a byte order mark. */
function withoutMarks(line: string, isFirst: boolean): string {
	const begun = isFirst && line.startsWith("\uFEFF") ? line.slice(1) : line;
	return begun.endsWith("\r") ? begun.slice(0, -1) : begun;
}

/** Throws ExitError if a line lacks the separator: as a value without key, it would go to any partition. */
function keyAndValue(text: string, options: ProduceOptions): { key: string | null; value: string | null } {
	const { key = null, keySeparator } = options;
	const nullOr = (value: string) => (options.null && value === "" ? null : value);
	if (keySeparator === undefined) return { key, value: nullOr(text) };
	const at = text.indexOf(keySeparator);
	if (at < 0) throw new ExitError(exitCodes.found, "no_key", `it has no ${JSON.stringify(keySeparator)} behind its key (--key-separator)`);
	return { key: text.slice(0, at), value: nullOr(text.slice(at + keySeparator.length)) };
}

async function requireTopic(topic: string, kafka: Parameters<typeof Producer.connect>[0], context: CommandContext): Promise<void> {
	await using inspector = await ClusterInspector.connect(kafka, context.clock);
	if (inspector.topics.includes(topic)) return;
	throw await inspector.absent(topic, "Write", `: ${missingTopicHint(topic)}`);
}
