/** Limits the nesting of lists and maps: data from outside may be nested deeper than the stack allows. */

/** Maximum levels of a configuration; no option is a tenth as deep. */
export const DEEPEST = 100;

/** True if values are nested in more than `levels` others. Does not recurse itself. */
export function isDeeperThan(levels: number, value: unknown): boolean {
	let level: unknown[] = [value];
	for (let depth = 0; level.length > 0; depth++) {
		if (depth > levels) return true;
		level = level.flatMap((each) => (typeof each === "object" && each !== null ? Object.values(each) : []));
	}
	return false;
}
