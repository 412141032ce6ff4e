import type { HostileCase, HostileKind } from "../hostile-case.ts";

const sends = (what: string, signal: string, culprit: HostileCase["culprit"]): HostileCase => ({
	what,
	act: `process.kill(process.pid, "${signal}"); Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);`,
	culprit,
	mayEndProcess: true,
	// It runs the handler too, and ends as the daemon would.
	verify: false,
});

/** What no thread can be kept from. */
export const endsProcess: HostileKind = {
	title: "ends the process",
	happens:
		"nothing wrong is committed; the service manager starts the daemon again, and it goes on from the last commit. A message that ends the process at each start is found by notes in the database, and is poison after 2 + `handler.maxAttempts` deaths",
	costs: "all partitions stand still until the daemon is started again",
	cases: [
		sends("kills the process", "SIGKILL", "letter"),
		sends("crashes natively", "SIGSEGV", "letter"),
		sends("asks the daemon to stop", "SIGTERM", "row or letter"),
	],
};
