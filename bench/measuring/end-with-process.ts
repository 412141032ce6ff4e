/** Servers and daemons that must not outlive the bench, also where it is ended by Ctrl-C or an error that nobody expected. */

const endings = new Set<() => void>();

process.on("exit", () => {
	for (const end of endings) end();
});
// Not once: npm and the terminal may both send it, and the second would end the process before its servers.
for (const [signal, code] of [
	["SIGINT", 130],
	["SIGTERM", 143],
] as const)
	process.on(signal, () => process.exit(code));

/** Calls `end` when the process ends; it can't wait for anything. Returns how to take that back. */
export function endWithProcess(end: () => void): () => void {
	endings.add(end);
	return () => endings.delete(end);
}

/** A signal to a process that may be gone. */
export function signalTo(pid: number, signal: NodeJS.Signals): void {
	try {
		process.kill(pid, signal);
	} catch {
		// Gone already.
	}
}
