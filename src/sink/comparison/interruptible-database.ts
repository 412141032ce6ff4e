/**
 * A database whose answers the caller may stop waiting for. A comparison takes minutes, and its first page may take as long as sorting the
 * whole table. Statements under way end when the owner closes the connections.
 */
import { unlessAborted } from "../../core/waiting/unless-aborted.ts";
import type { Database } from "../database/database.ts";

/** Wraps `database`: its calls and pages reject with the signal's reason as soon as it is aborted. */
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
				// Not awaited: it would wait for the page that is under way.
				void pages.return?.().catch(() => {});
			}
		},
		close: () => database.close(),
	};
}
