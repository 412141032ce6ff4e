/** `produce`: a record per line of standard input, each awaited, so that what is printed is stored. */
import { type Command, InvalidArgumentError } from "commander";
import { ExitError, exitCodes, messageOf } from "../core/errors.ts";
import { readLines } from "../core/text/lines.ts";
import { Producer } from "../kafka/producer.ts";
import { ClusterInspector } from "../kafka/topics.ts";
import { creationHint } from "../kafka/watches/absent-topic.ts";
import { refused } from "../kafka/watches/rights.ts";
import { type CommandContext, kafkaOf, print } from "./command-context.ts";
import { partitionNumber } from "./terminal/option-values.ts";

interface ProduceOptions {
	readonly key?: string;
	readonly partition?: number;
	readonly header: readonly (readonly [string, string])[];
	readonly null?: boolean;
	readonly json?: boolean;
}

export function registerProduce(program: Command, context: CommandContext): void {
	program
		.command("produce")
		.description("produce a record for each line of standard input")
		.argument("<topic>", "name of the topic")
		.option("-k, --key <key>", "key of all records; default: no key")
		.option("-p, --partition <number>", "partition; default: chosen by the key, as Java clients do", partitionNumber)
		.option("-H, --header <name=value>", "header of all records; may be repeated", addHeader, [])
		.option("--null", "treat an empty line as a null value (a delete) instead of an empty value")
		.option("--json", "print a JSON line for each record")
		.action(async (topic: string, options: ProduceOptions, command: Command) => {
			const { kafka, embedded } = await kafkaOf(command, context);
			if (!embedded) await requireTopic(topic, kafka, context);
			await using producer = await Producer.connect(kafka);
			await produceLines(producer, topic, options, context, refused(kafka, { topic: ["Write", topic] }));
		});
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
		// A file from Windows.
		const text = read.endsWith("\r") ? read.slice(0, -1) : read;
		const value = options.null && text === "" ? null : text;
		const where = options.partition === undefined ? {} : { partition: options.partition };
		try {
			const record = { topic, ...where, key: options.key ?? null, value, headers: options.header };
			const { partition, offset, timestamp } = await producer.produce(record).catch(failed);
			const sentence = `Sent record to partition ${partition} at offset ${offset} with timestamp ${timestamp}.`;
			print(context.stdout, options.json ? JSON.stringify({ topic, partition, offset, timestamp }) : sentence);
		} catch (cause) {
			const message = `line ${line} was not sent: ${messageOf(cause)}; the lines after it were not sent either`;
			throw new ExitError(exitCodes.found, "not_sent", message, { cause });
		}
	}
}

async function requireTopic(topic: string, kafka: Parameters<typeof Producer.connect>[0], context: CommandContext): Promise<void> {
	await using inspector = await ClusterInspector.connect(kafka, context.clock);
	if (inspector.topics.includes(topic)) return;
	throw await inspector.absent(topic, "Write", creationHint(topic));
}

function addHeader(text: string, headers: readonly (readonly [string, string])[]): readonly (readonly [string, string])[] {
	const at = text.indexOf("=");
	if (at < 1) throw new InvalidArgumentError("name=value.");
	return [...headers, [text.slice(0, at), text.slice(at + 1)]];
}
