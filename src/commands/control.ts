/** `status`, `pause`, `resume` and `restart`: a running daemon, looked at and steered over its HTTP. */
import type { Command } from "commander";
import type { Status } from "../observe/status.ts";
import { type CommandContext, print } from "./command-context.ts";
import { daemonOf } from "./daemon-client.ts";
import { partitionNumber } from "./terminal/option-values.ts";
import { textTable } from "./terminal/text-table.ts";

const actions = {
	pause: ["pause a partition of a running daemon: the running call is finished, no further message is handled", "paused"],
	resume: ["let a paused or parked partition go on at once", "goes on"],
	restart: ["replace a partition's thread: its running call is cut off, and the messages are handled again", "gets a new thread"],
} as const;

export function registerControl(program: Command, context: CommandContext): void {
	withUrl(program.command("status").description("show the partitions of a running daemon: state, lag, last failure"))
		.option("--json", "print the JSON document of /status")
		.action(async ({ json }: { json?: boolean }, command: Command) => {
			const daemon = await daemonOf(command, context);
			const status = (await daemon.ask("GET", "/status")) as Status;
			print(context.stdout, json ? JSON.stringify(status) : shown(status));
		});
	for (const [action, [description, done]] of Object.entries(actions)) {
		withUrl(program.command(action).description(description))
			.argument("<topic>", "name of the topic")
			.argument("<partition>", "number of the partition", partitionNumber)
			.option("--json", "as JSON")
			.action(async (topic: string, partition: number, { json }: { json?: boolean }, command: Command) => {
				const daemon = await daemonOf(command, context);
				const answer = await daemon.ask("POST", `/partitions/${encodeURIComponent(topic)}/${partition}/${action}`);
				print(context.stdout, json ? JSON.stringify(answer) : `${topic}/${partition} ${done}.`);
			});
	}
}

function withUrl(command: Command): Command {
	return command.option("--url <url>", "HTTP address of the daemon; default: the configuration's, or the embedded daemon of this folder");
}

function shown({
	version,
	embedded,
	uptime,
	state,
	ready,
	group,
	memberState,
	rebalances,
	partitions,
	writer,
	connections,
}: Status): string {
	const facts = [
		["PocKaffe", `${version}, up ${Math.round(uptime)} s${embedded ? ", embedded" : ""}, ${state}, ${ready ? "ready" : "not ready"}`],
		["group", `${group}, ${memberState}, ${rebalances} rebalances`],
		...connections.map(({ name, target, state: connection, message }) => [
			name,
			`${target}, ${connection}${message ? `: ${message}` : ""}`,
		]),
		[
			"writer",
			`${writer.queue} rows wait, ${writer.inFlight} statements in flight${writer.lastError ? `, last error: ${writer.lastError.message}` : ""}`,
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
		each.reason ?? each.lastFailure?.message ?? "",
	]);
	const table = textTable(
		["TOPIC", "PARTITION", "STATE", "POSITION", "COMMITTED", "LAG", "QUEUED", "IN-FLIGHT", "RESTARTS", "REASON OR LAST FAILURE"],
		rows,
	);
	return `${lines.join("\n")}\n\n${table}`;
}
