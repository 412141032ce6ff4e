/** What the run of mutants and the process that runs their tests say to each other. */

/** Run this test file, on the source file as it is now. */
export interface RunOrder {
	readonly changed: string;
	readonly test: string;
}

export interface RunAnswer {
	/** The first test that failed, by its full name; null where all passed. */
	readonly failed: string | null;
	/** It failed by its time limit. */
	readonly isLate: boolean;
	/** Of the longest test, and of the file with what it imports. */
	readonly longestMs: number;
	readonly wholeMs: number;
}

/** Of one test: nearly all take a hundredth of it. */
export const testLimitMs = 8_000;
/** Of one test file: a change that never gives the thread back is ended from outside. */
export const fileLimitMs = 40_000;

/** How many times as fast the test of the unchanged code has to be, so that one over its limit has noticed the change. */
const faster = 4;

/** Whether the unchanged code's run was so far within the limits that the change made it late, and not the machine. */
export function isFarWithinLimits({ failed, longestMs, wholeMs }: RunAnswer): boolean {
	return failed === null && longestMs * faster < testLimitMs && wholeMs * faster < fileLimitMs;
}
