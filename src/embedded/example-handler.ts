/**
 * The example's handler: a module as a user writes one, about sensors that report an amount. It also shows a crash: an event with
 * `"crash": true` ends its thread once, and the next thread handles the same event. Imports nothing.
 *
 * How it knows that it crashed before: a thread that is younger than the event was started to handle it again.
 */

/** The part of a message that is used. */
interface Message {
	readonly offset: number;
	readonly key: Buffer | null;
	readonly value: Buffer | null;
	/** Record timestamp in ms. */
	readonly ts: number;
}

/** Lives as long as the worker; each restart begins a new one. Only counts: a row must be made from its message alone. */
interface State {
	handled: number;
}

interface SensorEvent {
	readonly name?: unknown;
	readonly amount?: unknown;
	readonly crash?: unknown;
}

type Outcome =
	| { readonly id: string; readonly fields: { readonly name: unknown; readonly amount: unknown; readonly note: string } }
	| { readonly id: string; readonly delete: true }
	| { readonly reject: string };

const threadStartedAt = Date.now();

/** Called once per worker start. */
export function init(): State {
	return { handled: 0 };
}

/** One event becomes one row; an empty value deletes its sensor's row. */
export function handleMessage(message: Message, state: State): Outcome | Promise<Outcome> {
	const id = message.key?.toString("utf8");
	if (!id) return { reject: "an event needs a key" };
	if (message.value === null) return { id, delete: true };
	const event = JSON.parse(message.value.toString("utf8")) as SensorEvent;
	if (event.crash === true && message.ts >= threadStartedAt) return crash();
	state.handled++;
	const note = event.crash === true ? "handled after a crash" : `event at offset ${message.offset}`;
	return { id, fields: { name: event.name ?? null, amount: event.amount ?? null, note } };
}

/** Throws an exception that no promise catches, like a faulty callback: it ends the whole thread. */
function crash(): Promise<Outcome> {
	return new Promise(() => {
		setImmediate(() => {
			throw new Error("the example crashes on purpose, about every 20 s");
		});
	});
}
