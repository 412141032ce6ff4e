/** How deep lists and maps stand in each other: what is read from outside may be deeper than a stack. */

/** Of a configuration; no option is a tenth as deep. */
export const DEEPEST = 100;

/** True where values stand in more than `levels` others. Takes no stack itself. */
export function isDeeperThan(levels: number, value: unknown): boolean {
	let level: unknown[] = [value];
	for (let depth = 0; level.length > 0; depth++) {
		if (depth > levels) return true;
		level = level.flatMap((each) => (typeof each === "object" && each !== null ? Object.values(each) : []));
	}
	return false;
}
