/** How a thread's death is told from what a call rejected with. */
import { expect, it } from "vitest";
import { deathOf, ThreadDiedError } from "../../../src/worker/thread/handler-thread.ts";

it.each<[what: string, error: unknown, reason: string, message: string, hasStack: boolean]>([
	["a thread that died", new ThreadDiedError({ reason: "timeout", message: "too long", stack: null }), "timeout", "too long", false],
	["an error beside it, by its message alone", new TypeError("no such port"), "exception", "no such port", true],
	["what is no error", "gone", "exception", "gone", false],
])("the death of %s", (_, error, reason, message, hasStack) => {
	const death = deathOf(error);
	expect([death.reason, death.message, death.stack !== null]).toEqual([reason, message, hasStack]);
});
