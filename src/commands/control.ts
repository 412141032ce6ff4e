/** `status`, `pause`, `resume` and `restart`: shows and controls a running daemon over HTTP. */
import type { Command } from "commander";
import { ExitError } from "../core/errors.ts";
import { partitionName } from "../core/messages/message.ts";
import type { ReadinessReason, ReadinessReport } from "../observe/readiness.ts";
import type { ConnectionSnapshot, Status } from "../observe/status.ts";
import { type CommandContext, print } from "./command-context.ts";
import { daemonOf } from "./daemon-client.ts";
import { textTable } from "./terminal/text-table.ts";

/** How to print the status. */
export interface ControlOptions {
	readonly json?: boolean;
}

/** `status`. */
export async function showStatus({ json }: ControlOptions, command: Command, context: CommandContext): Promise<void> {
	const daemon = await daemonOf(command, context).catch(withAnotherWay);
	const status = (await daemon.ask("GET", "/status").catch(withAnotherWay)) as Status;
	if (json) return print(context.stdout, JSON.stringify(status));
	const readiness = status.ready ? null : ((await daemon.ask("GET", "/readyz")) as ReadinessReport);
	print(context.stdout, shown(status, readiness === null || readiness.ready ? [] : readiness.reasons));
}

/** An action on a partition, and the words when it is done. */
export interface Control {
	readonly topic: string;
	readonly partition: number;
	readonly action: string;
	readonly done: string;
}

/** `pause`, `resume` and `restart`. */
export async function control(
	{ topic, partition, action, done }: Control,
	{ json }: ControlOptions,
	command: Command,
	context: CommandContext,
): Promise<void> {
	const daemon = await daemonOf(command, context);
	const answer = await daemon.ask("POST", `/partitions/${encodeURIComponent(topic)}/${partition}/${action}`);
	print(context.stdout, json ? JSON.stringify(answer) : `${topic}/${partition} ${done}.`);
}

/** Kafka knows the group's members without their daemons. */
function withAnotherWay(error: unknown): never {
	if (!(error instanceof ExitError) || error.code !== "no_daemon") throw error;
	const words = `${error.message}. Who is in the group, and where it stands, Kafka says too: pockaffe offsets GROUP`;
	throw new ExitError(error.exitCode, error.code, words, { cause: error });
}

/** The database may answer and take no rows, for example where a column is missing. */
function connectionWords({ name, target, state, message }: ConnectionSnapshot): string {
	const words = name === "database" && state === "away" ? "no rows can be written" : state;
	return `${target}, ${words}${message ? `: ${message}` : ""}`;
}

/** Why fetching is paused. */
const pauseWords: Readonly<Record<string, string>> = {
	admin: "paused by hand (pockaffe pause)",
	queue_full: "the queue is full: it waits for the handler or the database",
	database: "it waits for the database",
};

function handlerWords({ module, version, mixed }: Status["handler"]): string {
	const which = mixed ? "partitions run different versions: --json has each" : `version ${version ?? "not known"}`;
	return `${module}, ${which}`;
}

function reasonWords({ code, topic, partition, message }: ReadinessReason): string {
	return `${code}${topic === null || partition === null ? "" : ` ${partitionName({ topic, partition })}`}: ${message}`;
}

function shown(status: Status, reasons: readonly ReadinessReason[]): string {
	const { version, handler, embedded, uptime, state, ready, group, memberState, rebalances, partitions, writer, connections } = status;
	const facts = [
		["PocKaffe", `${version}, up ${Math.round(uptime)} s${embedded ? ", embedded" : ""}, ${state}, ${ready ? "ready" : "not ready"}`],
		...reasons.map((reason) => ["not ready", reasonWords(reason)]),
		["handler", handlerWords(handler)],
		["group", `${group}, ${memberState}, ${rebalances} rebalances`],
		...connections.map((each) => [each.name, connectionWords(each)]),
		[
			"writer",
			`${writer.queue} rows wait, ${writer.inFlight} statements in flight${writer.lastError ? `, last error at ${writer.lastError.time}: ${writer.lastError.message}` : ""}`,
		],
	];
	const width = Math.max(...facts.map(([name = ""]) => name.length));
	const lines = facts.map(([name = "", fact]) => `${name.padEnd(width)}  ${fact}`);
	const rows = partitions.map((each) => [
		each.topic,
		each.partition,
		each.state,
		each.position ?? "-",
		each.committed ?? "-",
		each.lag ?? "-",
		each.queued,
		each.inFlight,
		each.restarts,
		(each.state === "paused" && pauseWords[each.reason ?? ""]) || (each.reason ?? each.lastFailure?.message ?? ""),
	]);
	const table = textTable(
		["TOPIC", "PARTITION", "STATE", "POSITION", "COMMITTED", "LAG", "QUEUED", "IN-FLIGHT", "RESTARTS", "REASON OR LAST FAILURE"],
		rows,
	);
	return `${lines.join("\n")}\n\n${table}`;
}
