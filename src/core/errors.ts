/** Errors that code acts on: a stable `code`, a message that says what was tried with which value, and the `cause`. */

/** Base of our errors. `code` is stable and machine-readable; `message` is for people. */
export class PocKaffeError extends Error {
	readonly code: string;
	constructor(code: string, message: string, options?: ErrorOptions) {
		super(message, options);
		this.name = "PocKaffeError";
		this.code = code;
	}
}

/** Exit codes of the command line. They are API: service managers depend on them. */
export const exitCodes = {
	done: 0,
	found: 1,
	usage: 2,
	stoppedByPolicy: 3,
	drainDeadline: 4,
	fatalKafka: 5,
	stuckThreads: 6,
	killed: 137,
} as const;

/** An exit code. */
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** An error that ends the process with a code of its own: `main` prints the message as one line and exits. */
export class ExitError extends PocKaffeError {
	readonly exitCode: number;
	constructor(exitCode: number, code: string, message: string, options?: ErrorOptions) {
		super(code, message, options);
		this.name = "ExitError";
		this.exitCode = exitCode;
	}
}

/** For the `default` of a switch over a union: a new member that nobody handles is a type error. */
export function assertNever(value: never): never {
	throw new PocKaffeError("unreachable", `no case for ${JSON.stringify(value)}`);
}

/** `error.message`, or what was thrown as text; never throws itself, whatever was thrown. */
export function messageOf(thrown: unknown): string {
	try {
		return thrown instanceof Error ? thrown.message : String(thrown);
	} catch {
		return "a value that can't be shown as text";
	}
}
