/**
 * What must hold of letters and rows at every moment, whoever dies meanwhile: a letter changes its state only along the line of
 * docs/dead-letters.md, only where somebody is at it, and none goes unless it is purged; no row moves back; one is marked as replayed only
 * where its row, or a newer one, is there. Knows what is stored, and nothing of who stores it.
 */
import type { LetterState } from "../../../src/core/dead-letters/letter-state.ts";
import type { World } from "../world.ts";

/** Where letters go. */
export type Target = "table" | "topic";

/** How exactly it is known that an attempt began before its letter changed: up to an answer's time, or a difference of clocks. */
const INACCURACY_MS = { table: 100, topic: 10_100 } as const;

/** A message by its place. */
export interface Place {
	readonly partition: number;
	readonly offset: number;
}

/** A row's version: the later one of two holds. */
export interface Version extends Place {
	readonly timestamp: number;
}

/** What a person is at, of which letters. */
export interface Wish {
	readonly verb: "replay" | "discard" | "purge";
	readonly means: (place: Place, state: string) => boolean;
}

/** See the file's header. */
export class LetterInvariants {
	readonly #world: World;
	readonly #target: Target;
	/** Also of commands that were killed: what they sent may still take effect. */
	readonly wishes: Wish[] = [];
	/** The newest row of each id. */
	readonly rows = new Map<string, Version>();
	/** Letters by place, as they stand. */
	readonly letters = new Map<string, LetterState>();
	/** Messages whose letter was purged without a replay: nobody promises a row of them. */
	readonly forgone = new Set<string>();
	/** When a daemon was given each message last. */
	readonly deliveredAt = new Map<string, number>();
	/** When its letter came to where it stands. */
	readonly #changedAt = new Map<string, number>();
	readonly #idOf: (place: Place) => string;
	readonly #versionOf: (place: Place) => Version;
	/** Transitions that there were, for who wants to know whether the runs meet them. */
	readonly met = new Set<string>();

	constructor(world: World, target: Target, idOf: (place: Place) => string, versionOf: (place: Place) => Version) {
		this.#world = world;
		this.#target = target;
		this.#idOf = idOf;
		this.#versionOf = versionOf;
	}

	/** A row was stored. */
	rowStored(id: string, row: Version): void {
		const before = this.rows.get(id);
		if (before && compare(before, row) >= 0) this.#world.fail("row-moved-back", `row ${id} went from ${name(before)} to ${name(row)}`);
		this.rows.set(id, row);
	}

	/** A letter came to stand so; null: it is gone. */
	letterStored(place: Place, state: LetterState | null): void {
		const before = this.letters.get(name(place)) ?? null;
		if (state === before) return;
		this.met.add(`${before} ${state}`);
		if (!this.#mayGo(place, before, state)) this.#world.fail("letter-lost", `the letter of ${name(place)} went from ${before} to ${state}`);
		if (state === null) this.letters.delete(name(place));
		else this.letters.set(name(place), state);
		this.#changedAt.set(name(place), this.#world.now);
		if (state === null && before !== "replayed") this.forgone.add(name(place));
	}

	/** Nothing of the message is outstanding: a daemon may pass it. */
	isSettled(place: Place): boolean {
		return this.letters.has(name(place)) || this.hasRow(place) || this.forgone.has(name(place));
	}

	/** Its row is there, or a newer one. */
	hasRow(place: Place): boolean {
		const row = this.rows.get(this.#idOf(place));
		return row !== undefined && compare(row, this.#versionOf(place)) >= 0;
	}

	#mayGo(place: Place, before: LetterState | null, after: LetterState | null): boolean {
		const isWished = (verb: Wish["verb"]) => this.wishes.some((wish) => wish.verb === verb && wish.means(place, before ?? ""));
		switch (after) {
			case null:
				return isWished("purge");
			case "replayed":
				return before !== null && isWished("replay") && this.hasRow(place);
			case "discarded":
				return (before === "open" || before === "skipped") && isWished("discard");
			case "open":
			case "skipped":
				if (before === null || before === "skipped") return this.deliveredAt.has(name(place));
				if (before === "open") return false;
				return this.#isDeliveredAnew(place) || this.#isBeingRenewed(place, before);
		}
	}

	#isDeliveredAnew(place: Place): boolean {
		const deliveredAt = this.deliveredAt.get(name(place)) ?? Number.NEGATIVE_INFINITY;
		return deliveredAt >= (this.#changedAt.get(name(place)) ?? 0) - INACCURACY_MS[this.#target];
	}

	/** A replay of a discarded letter has failed: in a topic the letter comes before the mark that it is discarded. */
	#isBeingRenewed(place: Place, before: LetterState): boolean {
		return (
			this.#target === "topic" && before === "discarded" && this.wishes.some((wish) => wish.verb === "replay" && wish.means(place, before))
		);
	}
}

/** Below 0 where `left` is older. */
export function compare(left: Version, right: Version): number {
	return left.timestamp - right.timestamp || left.offset - right.offset || left.partition - right.partition;
}

/** `1@7` */
export function name({ partition, offset }: Place): string {
	return `${partition}@${offset}`;
}
