/** What a hostile case is: a few lines of a handler that misbehaves, and what must become of the message that it does so at. */

/**
 * What becomes of the culprit: a row like any other, nothing, a dead letter, either of row and letter, or a row that is not looked at
 * (or none), where what is right depends on the eye.
 */
export type Fate = "row" | "none" | "letter" | "row or letter" | "any";

/** How a handler's calls are made: each partition in a thread of its own, all in one thread, with calls that overlap, or in batches. */
export type Way = "own thread" | "shared thread" | "overlapping calls" | "batches";

/** A handler that misbehaves. The module's `ROW(message)` is the row that a message should become, `CULPRIT(message)` tells the sixth. */
export interface HostileCase {
	/** Completes "a handler that …". */
	readonly what: string;
	/** Code of the module's top. */
	readonly top?: string;
	/** Runs at the culprit, each time it is handled. Falls through to the good row where it doesn't return. */
	readonly act?: string;
	/** The whole module, in place of the two above. */
	readonly source?: string;
	/** No handler of ours: `pockaffe:json`, and the culprit has this key and value. */
	readonly message?: { readonly key?: string | null; readonly value: string | Buffer };
	readonly culprit: Fate;
	/** What the letter's or a report's words must say. */
	readonly words?: RegExp;
	/** Ways beside its own in which it is run too; every act can be run in each. */
	readonly also?: readonly Way[];
	/** Its own way: `own thread` where nothing is said. */
	readonly way?: Way;
	/** Sections of the configuration, over the scene's. */
	readonly config?: Readonly<Record<string, Record<string, unknown>>>;
	/** Its thread can't be ended, and outlives the case: `/readyz` must say so, and nothing else. It `waits`, or `burns` a processor. */
	readonly stuck?: "waits" | "burns";
	/** The process may go with it; the service manager starts it again. */
	readonly mayEndProcess?: true;
	/** A processor stays busy for as long as the thread lives: who answers is not ended. */
	readonly worksOn?: true;
	/** The daemon's exit code at the end; 0 where nothing is said. */
	readonly exit?: 4;
	/** The other partition begins anew too: they share more than the process. */
	readonly disturbs?: true;
	/** `verify` runs the handler too, and some acts can't be told from real work there. */
	readonly verify?: false;
	/** Runs with every test run, together with the others in one daemon. */
	readonly short?: true;
}

/** Cases that break the same thing, and what the handbook says of them. */
export interface HostileKind {
	/** Completes "a handler that …". */
	readonly title: string;
	/** What PocKaffe does about it. */
	readonly happens: string;
	/** What it costs whoever runs the daemon. */
	readonly costs: string;
	readonly cases: readonly HostileCase[];
}

/** All ways in which a case is run, its own first. */
export function waysOf({ way = "own thread", also = [] }: HostileCase): readonly Way[] {
	return [way, ...also.filter((each) => each !== way)];
}

/** Most kinds' acts are tried in each way. */
export const everyWay: readonly Way[] = ["own thread", "shared thread", "overlapping calls", "batches"];
