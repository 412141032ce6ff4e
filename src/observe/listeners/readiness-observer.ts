/**
 * Sets and clears reasons of `/readyz` that only events show, by listening to the parts. Reasons that a part shows in its own state are
 * read from there (readiness.ts). Decides only when a reason holds.
 */
import type { TopicPartition } from "../../core/messages/message.ts";
import type { Readiness } from "../readiness.ts";

/** What is read from the parts. */
export interface ReadinessParts {
	readonly readiness: Readiness;
	/** True while rows of this table can't be written, for whatever reason. */
	readonly rowsStuck: (table: string) => boolean;
	/** True while rows of this table wait for somebody to mend something. */
	readonly rowsBlocked: (table: string) => boolean;
}

/** Stands for the failed preparation of tables in place of a table: no table has such a name. */
const PREPARATION = "";
/** Stands for what is read before the member joins. */
const FIRST_LOOK = " ";
const JOINING =
	"it waits to be let into the group; a member that was killed counts until its session is over: 45 s, unless session.timeout.ms says otherwise";
/** A start is reported after this many failures: a second attempt often succeeds. */
const START_TRIES_UNTIL_TOLD = 3;

/** Listeners by part, then by event name. */
export function observeReadiness({ readiness, rowsStuck, rowsBlocked }: ReadinessParts) {
	const database = new DatabaseReasons(readiness);
	const rowsGoIn = ({ table }: { table: string }) => {
		if (!rowsStuck(table)) database.forget(table);
	};
	return {
		consumer: {
			"connect:failed": ({ message }: { message: string }) => readiness.set("not_in_group", message),
			"look:failed": ({ message, isOfDatabase }: { message: string; isOfDatabase: boolean }) => {
				if (!isOfDatabase) return readiness.set("not_in_group", `the group's offsets can't be read yet: ${message}`);
				readiness.clear("not_in_group");
				database.set(FIRST_LOOK, `the group's positions can't be read: ${message}`);
			},
			"group:joining": () => {
				database.forget(FIRST_LOOK);
				readiness.clear("not_in_group");
				readiness.set("starting", JOINING);
			},
			"group:joined": () => {
				readiness.clear("starting");
				readiness.clear("not_in_group");
			},
			rebalanced: ({ kind, partitions }: { kind: string; partitions: readonly TopicPartition[] }) => {
				if (kind !== "assign") for (const partition of partitions) readiness.clearPartition(partition);
			},
			"start:failed": ({ topic, partition, message, failures }: TopicPartition & { message: string; failures: number }) => {
				if (failures >= START_TRIES_UNTIL_TOLD)
					readiness.set("starting", `its start can't be resolved yet: ${message}`, { topic, partition });
			},
			"start:resolved": ({ topic, partition }: TopicPartition) => readiness.clear("starting", { topic, partition }),
			membership: ({ member, message }: { member: boolean; message: string }) =>
				member ? readiness.clear("not_in_group") : readiness.set("not_in_group", message),
		},
		writer: {
			"batch:written": rowsGoIn,
			"table:unblocked": rowsGoIn,
			"write:retried": ({ table, message, hint }: { table: string; message: string; hint: string | null }) => {
				// A single retry is not reported, and a blocked table has its own reason already.
				const isToBeTold = rowsStuck(table) && !rowsBlocked(table);
				if (isToBeTold) database.set(table, `rows can't be written: ${hint ? `${message}; ${hint}` : message}`);
			},
			"table:blocked": ({ table, message, hint }: { table: string; message: string; hint: string | null }) => {
				database.set(table, hint ? `${message}; ${hint}` : message);
			},
		},
		deadLetters: {
			"target:blocked": ({ message }: { message: string }) => readiness.set("dead_letter_target", message),
			"target:unblocked": () => readiness.clear("dead_letter_target"),
		},
		tables: {
			failed: (message: string) => database.set(PREPARATION, `tables can't be prepared: ${message}`),
			prepared: () => database.forget(PREPARATION),
		},
	};
}

/** The database's problems by table: one table that can be written says nothing about another. */
class DatabaseReasons {
	readonly #readiness: Readiness;
	readonly #messages = new Map<string, string>();

	constructor(readiness: Readiness) {
		this.#readiness = readiness;
	}

	set(table: string, message: string): void {
		this.#messages.set(table, message);
		this.#show();
	}

	/** This one is over, which says nothing about others. */
	forget(table: string): void {
		if (this.#messages.delete(table)) this.#show();
	}

	#show(): void {
		const messages = new Set(this.#messages.values());
		if (messages.size === 0) this.#readiness.clear("database");
		else this.#readiness.set("database", [...messages].join(" | "));
	}
}
