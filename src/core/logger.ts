/**
 * How a part reports to people: structured fields and one sentence. The real one is observe/logs/log.ts; tests use a list. Fields never
 * hold values of messages or rows.
 */

/** Writes records. None of the methods throws or waits, whatever becomes of the output. */
export interface Logger {
	debug(fields: object, message: string): void;
	info(fields: object, message: string): void;
	warn(fields: object, message: string): void;
	error(fields: object, message: string): void;
}
