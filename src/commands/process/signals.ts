/**
 * What each signal does to our process, in one table; a test compares it with docs/operating.md. Node itself would end without a drain, or
 * open an inspector port.
 */

/** What a signal does. `drain`: drains and stops; `ignore`: only logs a line. */
export interface SignalAction {
	readonly action: "drain" | "ignore";
	/** True if it ends a process at once that is already draining: somebody is in a hurry. */
	readonly hurries: boolean;
}

const drain = { action: "drain", hurries: true } as const;
/** These may arrive twice although nobody is in a hurry: from a closed terminal and from its shell, or every second at a CPU limit. */
const drainOnce = { action: "drain", hurries: false } as const;
const ignore = { action: "ignore", hurries: false } as const;

/**
 * Every signal that would end a process and can be caught. SIGPIPE is left out: Node ignores it, and a listener that logs would write to
 * the broken pipe. Node itself would open an inspector on SIGUSR1.
 */
export const signalActions = {
	SIGTERM: drain,
	SIGINT: drain,
	SIGQUIT: drain,
	SIGHUP: drainOnce,
	SIGPWR: drainOnce,
	SIGXCPU: drainOnce,
	SIGUSR1: ignore,
	SIGUSR2: ignore,
	SIGALRM: ignore,
	SIGVTALRM: ignore,
	SIGIO: ignore,
} as const satisfies Partial<Record<NodeJS.Signals, SignalAction>>;

type HandledSignal = keyof typeof signalActions;

/** The part of a process that handles signals. */
export interface SignalTarget {
	readonly pid: number;
	on(signal: HandledSignal, listener: () => void): unknown;
	kill(pid: number, signal: "SIGKILL"): unknown;
}

/** Ctrl-C on `npm start` arrives twice at once, from the terminal and from npm: that counts as one signal. */
const SAME_SIGNAL_MS = 500;

/**
 * Listens to all signals. The first that drains aborts `interrupted`; a later one that hurries ends the process by SIGKILL (exit code 137).
 */
export function listenToSignals(target: SignalTarget, interrupted: AbortController, now: () => number): void {
	let interruptedAt = 0;
	for (const [signal, { action, hurries }] of entries()) {
		target.on(signal, () => {
			if (action === "ignore") return;
			if (!interrupted.signal.aborted) {
				interruptedAt = now();
				interrupted.abort(new Error(signal));
			} else if (hurries && now() - interruptedAt > SAME_SIGNAL_MS) {
				// SIGKILL ends even a client that hangs while closing.
				target.kill(target.pid, "SIGKILL");
			}
		});
	}
}

/** Calls `ignored` for each signal that does nothing, so that its sender finds out. */
export function onIgnoredSignals(target: Pick<SignalTarget, "on">, ignored: (signal: HandledSignal) => void): void {
	for (const [signal, { action }] of entries()) if (action === "ignore") target.on(signal, () => ignored(signal));
}

function entries(): [HandledSignal, SignalAction][] {
	return Object.entries(signalActions) as [HandledSignal, SignalAction][];
}
