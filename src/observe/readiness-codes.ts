/**
 * Every code that `/readyz` may give: what it means, what ends it, what to do. Codes are API; the table of docs/failures.md is rendered
 * from here and held against it by a test. Knows no reasons: readiness.ts collects them.
 */

/** One code. Texts are Markdown, sentences without full stop. */
export interface CodeSpec {
	readonly means: string;
	/** When it goes by itself. */
	readonly ends: string;
	readonly remedy: string;
}

/** The codes, in the order in which a daemon may meet them. */
export const readinessCodes = {
	starting: {
		means: "the daemon has no place in its group yet, or, with a partition, that partition's start is not known or not stored yet",
		ends: "with the first assignment, or with the partition's start",
		remedy: "nothing; after a minute look at the message: it says what the daemon waits for",
	},
	not_in_group: {
		means:
			"no way to Kafka or to the group's coordinator; the message names the address, and of a certificate or password that is not taken which and why",
		ends: "when the coordinator answers again",
		remedy: "bring the broker back, or mend address, listeners, TLS or credentials as the message says",
	},
	cannot_join: {
		means:
			"the group refuses this member: another protocol, too many members, a name that is taken, no KIP-848; the message has Kafka's words",
		ends: "when the group takes it; asked again every few seconds",
		remedy: "mend what the message says; nothing has to be restarted, unless the configuration is what has to change",
	},
	not_authorized: {
		means: "Kafka refuses this user the right to the group or to a topic",
		ends: "when the right is given, within half a minute",
		remedy: "give it: the message has the command",
	},
	topic_missing: {
		means: "a topic of `kafka.topics` does not exist, or was deleted",
		ends: "when it is made: found within ten seconds or so and read from its beginning",
		remedy: "`pockaffe topic create TOPIC -p N`, or take it out of `kafka.topics`",
	},
	commits_failing: {
		means: "offsets can't be committed for half a minute or longer; rows are written where the database takes them",
		ends: "with the next commit that goes in",
		remedy: "mend what the message says: the coordinator, the right, or the table of offsets",
	},
	standing_transaction: {
		means: "a producer's transaction is open for half a minute or longer, and nothing behind its first record comes",
		ends: "when the transaction ends",
		remedy: "end its producer or the transaction: the message has both commands",
	},
	database: {
		means: "rows of a table can't be written; the message has the SQLSTATE and, where it is known, what to mend",
		ends: "with the first batch that is written",
		remedy: "mend what the message says; nothing has to be restarted",
	},
	row_stuck: {
		means:
			"a row of the partition does not go in though others of its table do: another session keeps it locked, or a trigger or an extension fails at it; the message has its id and offset, the server's words, and who holds the lock",
		ends: "when the row goes in, is refused, or its partition goes to another member",
		remedy: "end the transaction that is named (`select pg_terminate_backend(pid)`), or mend the trigger; nothing has to be restarted",
	},
	parent_missing: {
		means:
			"a row of the partition waits for the row that its foreign key asks for, longer than half of `tables.<name>.references.waitMs` (at most 30 s); the message has its id, offset and constraint",
		ends: "when that row comes, when the time is over and it is a dead letter, or when its partition goes to another member",
		remedy: "look where the other row stays: the lag of its topic, its dead letters, its producer",
	},
	crash_loop: {
		means: "the partition's handler failed at least twice in a row",
		ends: "when the message is settled in whatever way: handled, dead-lettered, skipped; when nothing is left in hand; or when the partition goes to another member",
		remedy: "mend the handler's module and save it; the failing partition begins anew at once",
	},
	thread_stuck: {
		means:
			"a handler's thread can't be ended: it waits in a native call, or walks a list of billions of holes; its message was judged (`timeout`), and the next thread works beside it",
		ends: "when the thread ends; the daemon ends by itself (exit 6) with more than twice `handler.maxAttempts` of them, at least 4",
		remedy: "mend the module at the place that the message names; a restart is rid of the thread",
	},
	parked: {
		means:
			"the partition's worker may not go on by itself: too many restarts, a poison message under `onPoison: park`, the breaker; or its log goes on while it stands still",
		ends: "too many restarts and poison: tried again every `supervisor.maxBackoffMs`; a standstill: with the next message; the breaker: never",
		remedy: "mend what the message names, then save the handler's file or `pockaffe resume TOPIC PARTITION`",
	},
	dead_letter_target: {
		means: "dead letters can't be stored; their partitions wait",
		ends: "when the letters are stored, or their partitions go to another member",
		remedy: "mend the table or the topic as the message says",
	},
	table_restored: {
		means:
			"`offsets.store: kafka`: the database is older than the group's offset of the partition: it was put back to another time (a backup, a fail-over to a server that was behind), or another tool set the offset forward. Rows of the offsets between may be missing",
		ends: "when the group's offset was set back, or set by `pockaffe offsets set`",
		remedy: "stop the group's daemons, run the command of the message, start them",
	},
	produce_blocked: {
		means:
			"records of a handler can't be produced: their topic is missing, the right to write to it, or no broker answers; the messages that they are of wait, uncommitted",
		ends: "with the first record that the broker takes; tried again within seconds",
		remedy: "mend what the message says (`pockaffe topic create`, the right, the broker); nothing has to be restarted",
	},
	draining: {
		means: "the daemon stops",
		ends: "with the process",
		remedy: "nothing",
	},
} as const satisfies Record<string, CodeSpec>;

/** One of them. */
export type ReadinessCode = keyof typeof readinessCodes;

/** All of them. */
export const readinessCodeNames = Object.keys(readinessCodes) as ReadinessCode[];

const markers = { opening: "<!-- readiness -->", closing: "<!-- /readiness -->" } as const;

/** Markdown: code, meaning, end, remedy. */
export function renderReadinessTable(): string {
	const rows = Object.entries<CodeSpec>(readinessCodes).map(
		([code, { means, ends, remedy }]) => `| \`${code}\` | ${means} | ${ends} | ${remedy} |`,
	);
	return ["| code | means | ends by itself | what to do |", "| --- | --- | --- | --- |", ...rows].join("\n");
}

/** The page with the table between its markers replaced; unchanged where they are missing. */
export function withReadinessTable(readme: string): string {
	const from = readme.indexOf(markers.opening);
	const to = readme.indexOf(markers.closing, from);
	if (from < 0 || to < 0) return readme;
	return `${readme.slice(0, from + markers.opening.length)}\n${renderReadinessTable()}\n${readme.slice(to)}`;
}
