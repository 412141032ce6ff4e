/** What a process has cost so far, seen from outside, where there is /proc (Linux); null elsewhere. */
import { readdir, readFile } from "node:fs/promises";

/** The kernel tells times to user space in hundredths of a second, whatever its own tick. */
const TICKS_PER_SECOND = 100;

/** `/proc/<pid>/stat` as far as it matters here; times in seconds. */
export interface ProcessTimes {
	readonly command: string;
	readonly parent: number;
	/** User and system time of all its threads. */
	readonly own: number;
	/** The same of children that have ended and were waited for. */
	readonly ended: number;
}

/** Pure. The command stands in brackets and may hold brackets and spaces itself. */
export function parseStat(stat: string): ProcessTimes {
	const end = stat.lastIndexOf(")");
	const fields = stat.slice(end + 2).split(" ");
	// Field 3 of proc(5) is the first behind the command.
	const seconds = (field: number) => Number(fields[field - 3]) / TICKS_PER_SECOND;
	return {
		command: stat.slice(stat.indexOf("(") + 1, end),
		parent: Number(fields[1]),
		own: seconds(14) + seconds(15),
		ended: seconds(16) + seconds(17),
	};
}

/** CPU seconds of one process. */
export async function cpuSecondsOf(pid: number): Promise<number | null> {
	return (await timesOfProcess(pid))?.own ?? null;
}

/** CPU seconds of a server of many processes: its own, its children's, and what children that ended had used. */
export async function cpuSecondsWithChildren(pid: number): Promise<number | null> {
	const parent = await timesOfProcess(pid);
	if (!parent) return null;
	let sum = parent.own + parent.ended;
	for (const name of await readdir("/proc")) {
		if (!/^\d+$/.test(name)) continue;
		const times = await timesOfProcess(Number(name));
		if (times?.parent === pid) sum += times.own + times.ended;
	}
	return sum;
}

/** The most memory it ever had resident, MiB. */
export async function peakRssMib(pid: number): Promise<number | null> {
	const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
	const kib = /^VmHWM:\s*(\d+) kB$/m.exec(status)?.[1];
	return kib === undefined ? null : Number(kib) / 1024;
}

/** Null where there is no such process, or no /proc. */
export async function timesOfProcess(pid: number): Promise<ProcessTimes | null> {
	const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => null);
	return stat === null ? null : parseStat(stat);
}
