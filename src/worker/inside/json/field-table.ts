/** Names that are wanted in JSON objects, found by the hash of their bytes, level by level. Pure. */

/** A wanted name at one level. */
export interface Field {
	readonly name: Uint8Array;
	/** Slot in which its value is noted; -1: none. */
	readonly slot: number;
	/** Names that are wanted inside its value. */
	readonly fields: FieldTable | null;
	/** Number of the last message that had this field. */
	seen: number;
}

/** Fields by the hash of their names; fields with equal hashes share a list. */
export interface FieldTable {
	readonly mask: number;
	readonly lists: readonly (Field[] | undefined)[];
}

/** A wanted value: its path, and the slot in which it is noted. */
interface Wanted {
	readonly path: readonly string[];
	readonly slot: number;
}

/** The hash of a name so far, and one more byte of it. */
export function hashWith(hash: number, byte: number): number {
	return (Math.imul(hash, 31) + byte) | 0;
}

/** The field whose name lies in these bytes and has this hash; null if that name is not wanted. */
export function fieldNamed({ mask, lists }: FieldTable, bytes: Uint8Array, start: number, stop: number, hash: number): Field | null {
	const list = lists[hash & mask];
	if (list === undefined) return null;
	search: for (let i = 0; i < list.length; i++) {
		const field = list[i] as Field;
		const { name } = field;
		if (name.length !== stop - start) continue;
		for (let at = 0; at < name.length; at++) if (name[at] !== bytes[start + at]) continue search;
		return field;
	}
	return null;
}

/** The table of these paths. Names are compared by their bytes. */
export function tableOf(wanted: readonly Wanted[]): FieldTable {
	// A name with a lone surrogate has no UTF-8 bytes; in a message it comes with escapes.
	const names = new Set(wanted.map(({ path }) => path[0] as string).filter((name) => name.isWellFormed()));
	let size = 4;
	while (size < 4 * names.size) size *= 2;
	const lists = new Array<Field[] | undefined>(size).fill(undefined);
	for (const text of names) {
		const those = wanted.filter(({ path }) => path[0] === text);
		const inside = those.filter(({ path }) => path.length > 1).map(({ path, slot }) => ({ path: path.slice(1), slot }));
		const name = new Uint8Array(Buffer.from(text));
		const hash = name.reduce(hashWith, 0);
		const slot = those.find(({ path }) => path.length === 1)?.slot ?? -1;
		const field: Field = { name, slot, fields: inside.length === 0 ? null : tableOf(inside), seen: 0 };
		const at = hash & (size - 1);
		lists[at] = [...(lists[at] ?? []), field];
	}
	return { mask: size - 1, lists };
}
