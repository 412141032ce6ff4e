/**
 * How much slower the machine is than a free one, for bounds of what takes seconds: a process that begins is the measure, for it needs a
 * processor, as what is timed does.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

/** Of one that begins on a free machine, rather more than less. */
const USUAL_START_MS = 100;

/** At least 1. A bound times this is as strict on a free machine as it says, and no stricter on a busy one. */
export async function slowness(): Promise<number> {
	const startedAt = performance.now();
	for (let i = 0; i < 3; i++) await promisify(execFile)(process.execPath, ["-e", "0"]);
	return Math.max(1, (performance.now() - startedAt) / 3 / USUAL_START_MS);
}
