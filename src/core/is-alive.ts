/** Whether a process with this id exists. One that we may not signal does; 0 and below, which mean groups of processes, never do. */
export function isAlive(pid: number): boolean {
	if (!Number.isSafeInteger(pid) || pid <= 0) return false;
	try {
		process.kill(pid, 0);
		return true;
	} catch (error) {
		return (error as { code?: string }).code === "EPERM";
	}
}
