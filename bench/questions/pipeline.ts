/**
 * Question: how many messages a second does the daemon bring from a preloaded topic into a table, at what CPU per message? With
 * pockaffe:json and with a user's handler that does the same, over ids that are all as frequent and over hot ones; beside a server that
 * writes as many rows of its own making with as many connections.
 */
import type { EventLogOptions } from "../../test/support/daemons/event-log.ts";
import { defineBench } from "../bench.ts";
import type { Contender } from "../contenders/contender.ts";
import { daemonContender, handlerFile } from "../contenders/daemon-contender.ts";
import { noteRun, runContender } from "../contenders/run-contender.ts";
import { serverUpserts } from "../contenders/server-upserts.ts";
import { TableCheck } from "../measuring/event-tables.ts";
import { loadLog, startServers } from "../measuring/servers.ts";
import { amount, number, words } from "../options.ts";
import { measures, Tally, timesOf } from "../report/figures.ts";

const TOPICS = { uniform: "bench-events", hot: "bench-hot-events" };
/** The mock cluster keeps 5 MiB a partition: more would fall out of its log before it is read. */
const MOCK_MESSAGES = 60_000;
const MOCK_PARTITIONS = 4;
const ROWS_PER_STATEMENT = 5_000;
const handlers = {
	json: daemonContender("pockaffe:json", { handler: { module: "pockaffe:json" } }),
	js: daemonContender("handler in JavaScript", { handler: { module: handlerFile("json-row.mjs") } }),
} satisfies Record<string, Contender>;

interface Case {
	readonly subject: string;
	readonly contender: Contender;
	readonly log: EventLogOptions;
	readonly keys: "uniform" | "hot";
}

const notes = [
	"Measured between a tenth and 85 % of the messages, by committed offsets; every table was compared with the fold of its log.",
	`The server's own rows: insert … select … from generate_series(…), ${ROWS_PER_STATEMENT} a statement, the ids of the uniform log.`,
];

export const pipelineBench = defineBench({
	name: "pipeline",
	question: "preloaded topic → handler → table, compared with rows that the server generates itself",
	options: {
		messages: amount("--messages <count>", "messages in the topic", 1_000_000),
		ids: number("--ids <count>", "different ids", 100_000),
		hotIds: number("--hot-ids <count>", "different ids if some are hot", 10_000),
		partitions: number("--partitions <count>", "partitions", 4),
		connections: number("--connections <count>", "connections to the database", 2),
		handler: words("--handler <names>", "what makes the rows", ["json", "js"]),
		keys: words("--keys <names>", "how frequent ids are (hot: Zipf)", ["uniform", "hot"]),
	},
	async run(options, setting) {
		await using servers = await startServers(setting, Object.values(TOPICS));
		const isMock = servers.broker === "mock cluster";
		const count = isMock ? Math.min(options.messages, MOCK_MESSAGES) : options.messages;
		const shape = { count, partitions: isMock ? MOCK_PARTITIONS : options.partitions, seed: 1, wander: false, deletes: 0 };
		const logs = {
			uniform: { topic: TOPICS.uniform, ids: options.ids, ...shape },
			hot: { topic: TOPICS.hot, ids: options.hotIds, zipf: 1, ...shape },
		};
		for (const keys of options.keys) {
			setting.say(`loading ${count} messages of ${logs[keys].ids} ids (${keys}) into a ${servers.broker}`);
			await loadLog(servers, logs[keys]);
		}
		const cases = options.keys.flatMap((keys) =>
			options.handler.map(
				(name): Case => ({ subject: `${handlers[name].name}, ${keys}`, contender: handlers[name], log: logs[keys], keys }),
			),
		);
		const tally = new Tally();
		const check = new TableCheck();
		const findings: string[] = [];
		for (let round = 1; round <= setting.repeats; round++) {
			const { rowsPerSecond: limit, databaseMicros } = await serverUpserts(servers.db, {
				...{ count, ids: options.ids, rows: ROWS_PER_STATEMENT, connections: options.connections },
			});
			tally.note("server's own rows", measures.messagesPerSecond, limit);
			tally.note("server's own rows", measures.databaseMicros, databaseMicros);
			const uniform = new Map<Contender, number>();
			for (const { subject, contender, log, keys } of cases) {
				const run = await runContender(contender, { servers, log, connections: options.connections, check });
				setting.say(`round ${round}, ${subject}: ${Math.round(run.messagesPerSecond)} messages/s`);
				noteRun(tally, subject, run);
				tally.note(subject, timesOf("server's own rows"), run.messagesPerSecond / limit);
				if (keys === "uniform") uniform.set(contender, run.messagesPerSecond);
				else tally.note(subject, timesOf("uniform keys"), run.messagesPerSecond / (uniform.get(contender) ?? Number.NaN));
				findings.push(...run.findings);
			}
		}
		return { broker: servers.broker, database: servers.db.version, figures: tally.figures(), courses: [], notes, findings };
	},
});
