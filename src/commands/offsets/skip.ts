/** `skip`: skips one message for good. The daemon that has its partition does it; while none runs, the command does it itself. */
import { hostname, userInfo } from "node:os";
import type { Command } from "commander";
import type { Config } from "../../config/config.ts";
import { ExitError, exitCodes, messageOf } from "../../core/errors.ts";
import { partitionName, type ReceivedMessage } from "../../core/messages/message.ts";
import { LONGEST_WHY, type SkipOutcome } from "../../core/messages/skip-outcome.ts";
import { LogReader } from "../../kafka/log-reader.ts";
import { ClusterInspector } from "../../kafka/topics.ts";
import { refused } from "../../kafka/watches/rights.ts";
import { connectDatabase, type Database } from "../../sink/database/database.ts";
import { OffsetTable } from "../../sink/offsets/offset-table.ts";
import { type CommandContext, print } from "../command-context.ts";
import { daemonConfig } from "../configured.ts";
import { daemonOf } from "../daemon-client.ts";
import { StoredLetters } from "../dead-letters/stored-letters.ts";
import { failureWords } from "../failure-words.ts";
import { noPartition } from "./chosen-partitions.ts";
import { setOffsets } from "./offset-setting.ts";

interface Place {
	readonly topic: string;
	readonly partition: number;
	readonly offset: number;
}

/** The reason, and how to print the result. */
export interface SkipOptions {
	readonly reason?: string;
	readonly json?: boolean;
}

/** Prints the result. */
export async function skip(place: Place, options: SkipOptions, command: Command, context: CommandContext): Promise<void> {
	const { topic, partition, offset } = place;
	const by = `skipped by ${userInfo().username}@${hostname()}`;
	const why = (options.reason ? `${by}: ${options.reason}` : by).slice(0, LONGEST_WHY);
	const asked = await skippedByDaemon(place, why, command, context);
	const outcome = typeof asked === "string" ? asked : await skippedInGroup(place, why, { command, context, ...asked });
	const name = `${partitionName(place)} offset ${offset}`;
	const words = {
		skipped: `${name} is skipped; its letter: pockaffe dead-letters show ${topic} ${partition} ${offset}`,
		asked: `the handler has ${name} in hand, or its letter is being stored: it is skipped after that, unless the handler succeeds; if the daemon is killed before, ask again`,
	};
	print(context.stdout, options.json ? JSON.stringify({ ...place, outcome, why }) : words[outcome]);
}

/** Asks the daemon; returns `trouble` if none of the group answers. Throws ExitError with the daemon's words if it refuses. */
async function skippedByDaemon(
	{ topic, partition, offset }: Place,
	why: string,
	command: Command,
	context: CommandContext,
): Promise<"skipped" | "asked" | { readonly trouble: string }> {
	try {
		const daemon = await daemonOf(command, context);
		const answer = await daemon.ask("POST", `/partitions/${encodeURIComponent(topic)}/${partition}/skip`, { offset, why });
		return (answer as SkipOutcome).outcome === "asked" ? "asked" : "skipped";
	} catch (error) {
		const isElsewhere = ["no_daemon", "other_group"].includes(String((error as { code?: unknown }).code));
		if (isElsewhere && command.opts().url === undefined) return { trouble: messageOf(error) };
		throw error;
	}
}

/** Stores the letter first: without it, the skipped message would be lost. */
async function skippedInGroup(
	place: Place,
	why: string,
	{ command, context, trouble }: { readonly command: Command; readonly context: CommandContext; readonly trouble: string },
): Promise<"skipped"> {
	const { config } = await daemonConfig(command, context);
	const { clock } = context;
	const database = connectDatabase({ ...config.database, connections: 1, clock });
	const letters = new StoredLetters(config, database, context);
	try {
		const { message, topicId } = await nextMessage(config, place, database, { ...context, trouble });
		await letters.store({
			...message,
			topicId,
			receivedAtMs: clock.monotonic(),
			omitted: {},
			reason: "skipped",
			error: why,
			stack: null,
			sqlstate: null,
			table: null,
			rowId: null,
			refusedRows: [],
			rowsLeftOut: 0,
			attempts: 0,
			state: "skipped",
		});
		const { topic, partition, offset } = place;
		await setOffsets(config, { to: { kind: "offset", offset: offset + 1 }, topic, partition, isFinished: true }, context);
		return "skipped";
	} catch (error) {
		if (error instanceof ExitError) throw error;
		throw new ExitError(exitCodes.found, "skip", `can't skip: ${failureWords(error)}`, { cause: error });
	} finally {
		await letters[Symbol.asyncDispose]();
		await database.close();
	}
}

/** The message at this position. Throws ExitError unless it is the group's next one and the group has no members. */
async function nextMessage(
	config: Config,
	{ topic, partition, offset }: Place,
	database: Database,
	{ trouble, ...context }: CommandContext & { readonly trouble: string },
): Promise<{ readonly message: ReceivedMessage; readonly topicId: string | null }> {
	const { clock, interrupted } = context;
	const { kafka, offsets } = config;
	const place = { topic, partition };
	const name = `${partitionName(place)} offset ${offset}`;
	const refusal = (code: string, words: string) => new ExitError(exitCodes.found, code, words);
	await using inspector = await ClusterInspector.connect(kafka, clock, kafka.group);
	const partitions = inspector.partitionsOf(topic);
	if (partitions.length === 0) throw await inspector.absent(topic, "Read", "");
	if (!partitions.includes(partition)) throw noPartition(topic, partition, partitions);
	const kept = await (offsets.store === "postgres"
		? new OffsetTable({ database, table: offsets.table, consumerGroup: kafka.group, readOnly: true }).stored([place])
		: inspector.committed([place]).catch(refused(kafka, { group: "Read" })));
	const committed = kept[0]?.offset ?? null;
	if (committed === null)
		throw refusal(
			"not_begun",
			`group ${kafka.group} has committed nothing of ${partitionName(place)}: start a daemon, which finds it (is kafka.group right?)`,
		);
	if (offset < committed) throw refusal("finished", `${name} is finished already: group ${kafka.group} stands at ${committed}`);
	const { high } = await inspector.watermarks(place);
	if (offset >= high) throw refusal("ahead", `${name} is not there yet: the log ends at ${high}`);
	// Checked first: otherwise a letter would be stored for nothing, or an offset set while a daemon runs.
	const members = await inspector.group(kafka.group).catch(refused(kafka, { group: "Describe" }));
	if (!members)
		throw refusal(
			"unknown_members",
			`no daemon answered, and whether one runs can't be known without the addon or from the embedded broker: say where it is (--url). ${trouble}`,
		);
	if (members.members.length > 0) {
		const killed = "one that was killed counts until its session is over";
		const where = `--url says where the daemon is that has ${partitionName(place)}`;
		throw refusal("has_members", `group ${kafka.group} has members, and no daemon answered: ${where} (${killed}). ${trouble}`);
	}
	// Setting the present offset changes nothing, and shows before a letter is stored whether this user may set offset and note.
	await setOffsets(config, { to: { kind: "offset", offset: committed }, ...place, isFinished: true }, context);
	await using reader = await LogReader.connect(kafka, clock, kafka.group, interrupted);
	for await (const [, messages] of reader.read([{ ...place, from: committed, to: offset + 1 }])) {
		const [first] = messages as [ReceivedMessage];
		if (first.offset < offset)
			throw refusal(
				"ahead",
				`no daemon answers, and group ${kafka.group} stands at ${first.offset}, before ${name}: skip it when the group stands at it`,
			);
		if (first.offset === offset) return { message: first, topicId: (await inspector.topicIds([topic])).get(topic) ?? null };
	}
	throw refusal("no_message", `${name} is no message (compacted, or a transaction's mark)`);
}
