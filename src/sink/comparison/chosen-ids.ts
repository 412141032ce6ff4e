/** Which ids of a table are compared: all, those of a list, or a random sample. Pure. */

/** A choice of ids, the same for the log's rows and the table's. */
export interface ChosenIds {
	/** Whether to keep rows that the log makes for this id; a sample may drop the id again later. */
	admit(id: string): boolean;
	/** Whether the id is chosen; ask after the last `admit`. */
	has(id: string): boolean;
}

export const everyId: ChosenIds = { admit: () => true, has: () => true };

/** Chooses the named ids. */
export function namedIds(ids: ReadonlySet<string>): ChosenIds {
	const has = (id: string) => ids.has(id);
	return { admit: has, has };
}

/**
 * Chooses the `size` ids with the smallest hashes, or all if there are no more. Another `seed` chooses other ids. Holds at most `2 * size`
 * hashes.
 */
export class SampledIds implements ChosenIds {
	readonly #size: number;
	readonly #seed: number;
	#hashes = new Set<number>();
	#limit = Number.POSITIVE_INFINITY;

	constructor(size: number, seed: number) {
		this.#size = size;
		this.#seed = seed | 0;
	}

	admit(id: string): boolean {
		const hash = hashOf(id, this.#seed);
		if (hash > this.#limit) return false;
		this.#hashes.add(hash);
		if (this.#hashes.size > 2 * this.#size) this.#narrow();
		return hash <= this.#limit;
	}

	has(id: string): boolean {
		if (this.#hashes.size > this.#size) this.#narrow();
		return hashOf(id, this.#seed) <= this.#limit;
	}

	#narrow(): void {
		const smallest = [...this.#hashes].sort((left, right) => left - right).slice(0, this.#size);
		this.#hashes = new Set(smallest);
		this.#limit = smallest.at(-1) as number;
	}
}

/** 52 bits of an id, by two rounds of FNV-1a and the finish of MurmurHash3. */
function hashOf(id: string, seed: number): number {
	return (half(id, seed ^ 0x811c9dc5) >>> 0) * 2 ** 20 + (half(id, seed ^ 0x5bd1e995) >>> 12);
}

function half(id: string, from: number): number {
	let hash = from;
	for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193);
	hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
	hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
	return hash ^ (hash >>> 16);
}
