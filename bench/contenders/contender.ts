/**
 * What can be measured on a topic: the daemon, and what somebody would write or take instead of it. A contender reads a topic from its
 * beginning with a group of its own, writes a table (or none), and commits behind what it has written; everything else is seen from
 * outside.
 */
import type { NewestBy } from "../measuring/event-tables.ts";
import type { Servers } from "../measuring/servers.ts";

/** The work. */
export interface Task {
	readonly servers: Servers;
	readonly topic: string;
	readonly group: string;
	/** There already, and empty. */
	readonly table: string;
	readonly connections: number;
}

/** A started contender. Disposing it kills what is left. */
export interface Running extends AsyncDisposable {
	readonly pid: number;
	/** What it said last, where it has ended by itself; null while it runs. */
	ended(): string | null;
	/** CPU seconds of all its threads so far; null where they can't be known. */
	cpuSeconds(): Promise<number | null>;
	/** Lets it finish and commit what it has, and end. */
	stop(): Promise<void>;
}

/** See the file's header. */
export interface Contender {
	readonly name: string;
	readonly newestBy: NewestBy;
	/** Messages that count as its warm-up, at least; above the usual share for what a virtual machine has to compile first. */
	readonly warmUp?: number;
	/** It is so slow that it is stopped after so many seconds of measuring. */
	readonly secondsAtMost?: number;
	start(task: Task): Promise<Running>;
}
