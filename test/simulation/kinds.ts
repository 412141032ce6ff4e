/**
 * What may happen in a run beside failures that come and go. Each kind is drawn by its own chance, also one that is off, so that the other
 * seeds stay the runs they are when it is switched on; off are those that the daemon does not stand yet.
 */
import type { World } from "./world.ts";

/** While the daemon has to be spared: see KafkaTraits. */
export const KAFKA_FORGIVES: boolean = false;

/** What becomes of a log, of offsets or of the database; one of them in a run, for each has its own idea of what must be there. */
export const histories = {
	/** The topic is deleted and made again. */
	remade: { isOn: true, share: 0.3 },
	/** Kafka forgets the group's offsets while nobody is in it. */
	forgotten: { isOn: true, share: 0.12 },
	/** The log's beginning moves past what was not read yet. */
	"records deleted": { isOn: true, share: 0.15 },
	/** The log loses its end, as by an unclean election of its leader. */
	truncated: { isOn: true, share: 0.1 },
	/** The whole database is put back to an earlier state. */
	restored: { isOn: true, share: 0.15 },
} as const;

/** What may be there beside each other. `needsAll`: not where a message may be lost, for others build on it. */
export const extras = {
	/** Rows that refer to rows of another table (a foreign key), in one message and in several. */
	references: { isOn: true, share: 0.25, needsAll: true },
	/** Lines whose row is in another partition, before them in time or behind: they wait for it. Only where it is asked for. */
	"parents elsewhere": { isOn: true, share: 0, needsAll: true, byName: true },
	/** The rows of one message land together. Only where it is asked for. */
	together: { isOn: true, share: 0, byName: true },
	/** Addresses that only one row may have (a unique column), given up and taken over. */
	addresses: { isOn: true, share: 0.25, needsAll: true },
	/** Messages that end the process that handles them; it is started again. Only where it is asked for: each costs many sessions. */
	deadly: { isOn: true, share: 0, onlyRough: true, byName: true },
	/** Handlers produce a record of each message that has rows. Only where it is asked for. */
	records: { isOn: true, share: 0, byName: true },
	/** The client brings messages again, behind what lies after them. Only where it is asked for: it is not known to. */
	repeats: { isOn: true, share: 0, onlyRough: true, byName: true },
	/** Beginnings of the handler (its module, its init) that end the process. Only where it is asked for, as above. */
	"deadly beginnings": { isOn: true, share: 0, onlyRough: true, byName: true },
	/** More dead letters, and a breaker that opens at a few in a row; what it stops is given away unfinished. */
	breaker: { isOn: true, share: 0.15, onlyRough: true },
	/** The server answers commits before they are on disk, and crashes. */
	"commits that don't wait": { isOn: true, share: 0.2 },
	/** Rows that were there before PocKaffe, without coordinates. */
	"rows of before": { isOn: true, share: 0.2 },
	/** Room for a few messages' bytes. */
	"tight bytes": { isOn: true, share: 0.25 },
} as const;

/** The name of a kind. */
export type History = keyof typeof histories;
export type Extra = keyof typeof extras;

/** Kinds of a run. */
export interface Kinds {
	readonly history: History | null;
	readonly extras: ReadonlySet<Extra>;
}

/** Draws the kinds of a run. `forced` are on in any case; a calm run has no history. */
export function drawKinds(world: World, calm: boolean, forced: readonly string[]): Kinds {
	const share = world.random();
	const drawn = Object.entries(extras).filter(([, kind]) => !("byName" in kind) && world.chance(kind.share) && kind.isOn);
	const all = [...drawn.map(([name]) => name), ...forced.filter((name) => name in extras)] as Extra[];
	// What becomes of a log or of the database may take the row that a line waits for.
	const isBroken = !calm && !forced.includes("parents elsewhere");
	const history = isBroken ? (forcedHistory(forced) ?? historyAt(share)) : null;
	const isWhole = history === null || history === "remade" || history === "forgotten";
	const names = all.filter((name) => !(calm && "onlyRough" in extras[name]) && !(!isWhole && "needsAll" in extras[name]));
	return { history, extras: new Set(names) };
}

function forcedHistory(forced: readonly string[]): History | null {
	return (forced.find((name) => name in histories) as History | undefined) ?? null;
}

function historyAt(share: number): History | null {
	let sum = 0;
	for (const [name, kind] of Object.entries(histories)) {
		sum += kind.share;
		if (share < sum) return kind.isOn ? (name as History) : null;
	}
	return null;
}
