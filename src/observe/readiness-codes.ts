/**
 * Every code of `/readyz`: what it means, what to look at, what to do, when it ends. Codes are API. The table of docs/failures.md is
 * rendered from this file, and a test compares the two. Knows no reasons: readiness.ts collects them.
 */

/** One code. Texts are Markdown, sentences without full stop. */
export interface CodeSpec {
	readonly means: string;
	/** What to look at. */
	readonly look: string;
	/** What to type or to correct. */
	readonly remedy: string;
	/** When it ends by itself. */
	readonly ends: string;
}

/** The codes, in the order in which a daemon may meet them. */
export const readinessCodes = {
	starting: {
		means:
			"the daemon has not joined its group yet; or, if a partition is named, the daemon does not know yet where it begins, could not store it yet, or waits until the group assigns it again",
		look: "the message: it says what the daemon waits for",
		remedy: "nothing in the first minute; then what the message says",
		ends: "with the first assignment; for a partition, once its start is stored",
	},
	handler_not_loaded: {
		means:
			"the handler's module can't be loaded: it is missing, has a syntax error, lacks a dependency, or exports no handler; messages wait",
		look: "the message: it names the module and what was found; `pockaffe check` tries it too",
		remedy: "correct the file and save it; if the name is mistyped, correct `handler.module` and restart",
		ends: "when the module is loaded: it is tried again every ten seconds, and within two seconds after a file in its folder is saved",
	},
	not_in_group: {
		means: "no connection to Kafka or to the group's coordinator",
		look: "the message: it names the address, and any certificate or password that is refused, and why; then the broker itself",
		remedy:
			"run `pockaffe check` on this machine to test the connection; start the broker, or correct address, listeners, TLS or credentials",
		ends: "when the coordinator answers again",
	},
	cannot_join: {
		means: "the group refuses this member: another protocol, too many members, a name that is taken, or a broker without KIP-848",
		look: "the message: it has Kafka's words; `pockaffe offsets GROUP` lists the members",
		remedy: "correct what the message names; restart only if the configuration has to change",
		ends: "when the group accepts the member; it asks again every few seconds",
	},
	not_authorized: {
		means: "Kafka denies this user a right on the group or on a topic",
		look: "the message: it names user, operation and topic or group",
		remedy: "run the `kafka-acls.sh` command in the message; `pockaffe check --rights` prints the commands for all missing rights",
		ends: "within half a minute after the right is granted",
	},
	topic_missing: {
		means: "a topic of `kafka.topics` does not exist, or was deleted",
		look: "the name in the message: is it mistyped, or has nobody created the topic yet? (A topic that this user may not see is `not_authorized` instead)",
		remedy:
			"`pockaffe topic create TOPIC -p N` (or `kafka-topics.sh --create --topic TOPIC --partitions N`); if the name is mistyped, correct `kafka.topics` and restart",
		ends: "about ten seconds after the topic is created; it is read from its beginning",
	},
	commits_failing: {
		means: "offsets could not be committed for half a minute or longer; rows are still written if the database accepts them",
		look: "the message: the coordinator, a right, or the table of offsets",
		remedy: "what the message says; nothing has to be restarted",
		ends: "with the next commit that succeeds",
	},
	standing_transaction: {
		means: "a producer's transaction has been open for half a minute or longer, and nothing after its first record can be read",
		look: "the message: it has both offsets and the command that finds the producer",
		remedy: "end the producer, or abort its transaction with the `kafka-transactions.sh` command in the message",
		ends: "when the transaction ends",
	},
	database: {
		means: "rows of a table can't be written",
		look: "the message: it has the SQLSTATE and, if known, what to correct ([all SQLSTATEs](faults.md#faults-of-the-database-by-sqlstate)); `pockaffe check` compares the tables",
		remedy: "what the message says, e.g. `grant …` or `pockaffe schema \\| psql …`; nothing has to be restarted",
		ends: "with the first batch that is written",
	},
	row_stuck: {
		means:
			"one row can't be written although others of its table can: another session has locked it, a trigger or an extension fails on it, or it is slow by itself; only its partition's commits wait",
		look: "the message: it has the row's id and offset, the server's words, and who holds the lock",
		remedy:
			"end the session that holds the lock: `select pg_terminate_backend(PID)` with the PID in the message; or correct the trigger. Nothing has to be restarted",
		ends: "when the row is written or refused, or its partition goes to another member",
	},
	parent_missing: {
		means: "a row has waited for its foreign key's row longer than half of `tables.<name>.references.waitMs` (at most 30 s)",
		look: "the message: it has id, offset and constraint; then the parent's topic: its lag (`pockaffe offsets GROUP`), its dead letters (`pockaffe dead-letters list`), its producer",
		remedy:
			"make the parent row arrive: let its topic's lag shrink, start its producer, or run `pockaffe dead-letters replay` if it became a dead letter",
		ends: "when the parent row is written; when `waitMs` is over and the row becomes a dead letter; or when its partition goes to another member",
	},
	crash_loop: {
		means: "the partition's handler failed at least twice in a row",
		look: "the message and `pockaffe status`: the failing offset, the error and its stack",
		remedy:
			"correct the handler's module and save it: the partition starts again at once; or `pockaffe skip TOPIC PARTITION OFFSET` if nobody needs the message",
		ends: "when the message is handled, dead-lettered or skipped; when nothing is left in hand; or when the partition goes to another member",
	},
	thread_stuck: {
		means:
			"a handler's thread can't be ended: it waits in a native call, or walks a sparse list with billions of holes; its message counts as a `timeout`, and a new thread already works beside it",
		look: "the message: it names the place in the module; `pockaffe_threads_stuck` counts such threads",
		remedy: "correct the module at that place; a restart of the daemon ends the thread",
		ends: "when the thread ends; with more than 2 × `handler.maxAttempts` of them (and more than 4) the daemon drains and ends (exit 6)",
	},
	parked: {
		means:
			"the partition stopped: too many restarts, a poison message under `onPoison: park`, too many dead letters (the breaker is open), an offset outside the log, or nothing arrives although its log grows",
		look: "the message: it says which; `pockaffe status` has the last failures; for the breaker also `pockaffe dead-letters list`",
		remedy:
			"correct the cause, then save the handler's file or run `pockaffe resume TOPIC PARTITION`; if nobody needs the message, run `pockaffe skip TOPIC PARTITION OFFSET`",
		ends: "too many restarts and poison: tried again every `supervisor.maxBackoffMs` (a message that killed the process: never); nothing arrives: with the next message; breaker and offset outside the log: never",
	},
	dead_letter_target: {
		means: "dead letters can't be stored; their partitions wait",
		look: "the message: it names the table or topic and the error",
		remedy: "what the message says; nothing has to be restarted",
		ends: "when the letters are stored, or their partitions go to another member",
	},
	table_restored: {
		means:
			"only with `offsets.store: kafka`: the database is older than the group's committed offset. Either it was restored to an earlier time (a backup, a fail-over to a server that lagged), or another tool moved the offset forward. Rows of the offsets in between may be missing",
		look: "the message: it has the partition and both offsets; [after a restored backup](delivery.md#after-a-restored-backup)",
		remedy:
			"run the command in the message. A running daemon carries it out if it has `http.admin: true`; otherwise stop the group's daemons first",
		ends: "when the group's offset is set back, or set by `pockaffe offsets set`",
	},
	produce_blocked: {
		means:
			"records of a handler can't be produced: the topic is missing, the right to write to it is missing, no broker answers, or the broker that has the topic is down or can't write to its disk; their messages wait, uncommitted",
		look: "the message: it names the topic and the error",
		remedy:
			"what the message says: `pockaffe topic create TOPIC -p N` (or `kafka-topics.sh --create --topic TOPIC --partitions N`); correct a mistyped name in the handler and save the file; grant the right with the `kafka-acls.sh` command in the message; or start the broker, with room on its disk. The daemon need not be restarted",
		ends: "with the first record that the broker accepts; tried again within seconds",
	},
	draining: {
		means: "the daemon is stopping",
		look: "nothing",
		remedy: "nothing",
		ends: "when the process ends",
	},
} as const satisfies Record<string, CodeSpec>;

/** A code of `/readyz`. */
export type ReadinessCode = keyof typeof readinessCodes;

/** All codes of `/readyz`. */
export const readinessCodeNames = Object.keys(readinessCodes) as ReadinessCode[];
