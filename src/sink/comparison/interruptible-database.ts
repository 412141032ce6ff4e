/**
 * A database whose answers somebody may stop waiting for: a comparison asks for minutes, and its first page may take as long as a sort of
 * the whole table. What runs meanwhile ends with the connections, when their owner closes them.
 */
import { unlessAborted } from "../../core/unless-aborted.ts";
import type { Database } from "../database/database.ts";

/** `database`, whose calls and pages reject with the signal's reason as soon as it is aborted. */
export function interruptible(database: Database, signal: AbortSignal): Database {
	return {
		async query(text, parameters, limits) {
			signal.throwIfAborted();
			return await unlessAborted(database.query(text, parameters, limits), signal);
		},
		async transaction(statements, limits) {
			signal.throwIfAborted();
			return await unlessAborted(database.transaction(statements, limits), signal);
		},
		async *stream(text, batchRows) {
			signal.throwIfAborted();
			const pages = database.stream(text, batchRows)[Symbol.asyncIterator]();
			try {
				for (;;) {
					const { done, value } = await unlessAborted(pages.next(), signal);
					if (done) return;
					yield value;
				}
			} finally {
				// Not waited for: it comes behind the page that is under way.
				void pages.return?.().catch(() => {});
			}
		},
		close: () => database.close(),
	};
}
