/**
 * Structured logs: JSON on a pipe, text on a terminal. Written in order and in the caller's thread: a crash would cut off a transport
 * thread. Lines that can't be written are dropped and counted, and the daemon goes on.
 */
import { createRequire } from "node:module";
import { pino } from "pino";
import type { Logger } from "../../core/logger.ts";
import { knownSecrets } from "../../core/text/secret-mask.ts";
import { indentedText } from "../../core/text/visible-text.ts";
import { LogOutput, type OutputStream } from "./log-output.ts";
import { textRecord } from "./text-record.ts";

/** `log` of the configuration. `auto` is `text` on a terminal, else `json`. */
export interface LogConfig {
	readonly level: "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";
	readonly format: "auto" | "json" | "text";
}

/** The daemon's logger. `dropped` counts the records that could not be written. */
export interface DaemonLogger extends Logger {
	readonly dropped: number;
}

const MASK = "***";
const secretKeys = ["password", "secret", "token", "sasl"];

/** Loaded only to write text: most daemons write JSON. */
function textPrinter(): typeof import("pino-pretty") {
	return createRequire(import.meta.url)("pino-pretty");
}

/** Text from a message can't control the terminal, nor begin a line that looks like a record. */
function indented(_key: string, value: unknown): unknown {
	return typeof value === "string" ? indentedText(value) : value;
}

/** A logger that writes to `stream`, usually `process.stdout`. `mask` hides secrets in a line. */
export function createLogger(config: LogConfig, stream: OutputStream, mask = knownSecrets.mask): DaemonLogger {
	const asText = config.format === "text" || (config.format === "auto" && stream.isTTY === true);
	const output = new LogOutput(stream);
	const pretty = asText
		? textPrinter().prettyFactory({
				// https://no-color.org
				colorize: stream.isTTY === true && !process.env.NO_COLOR,
				translateTime: "SYS:HH:MM:ss.l",
				ignore: "pid,hostname",
				singleLine: true,
				errorLikeObjectKeys: [],
			})
		: null;
	// Masks the finished line, so that no way of making a record can leak secrets.
	const asLines = (line: string) => {
		const { record, below } = textRecord(JSON.parse(line));
		return [`${pretty?.(JSON.parse(JSON.stringify(record), indented))}`.trimEnd(), ...below, ""].join("\n");
	};
	const write = (line: string) => output.write(mask(pretty ? asLines(line) : line));
	const options = {
		level: config.level,
		base: null,
		timestamp: pino.stdTimeFunctions.isoTime,
		formatters: { level: (label: string) => ({ level: label }) },
		redact: { paths: secretKeys.flatMap((key) => [key, `*.${key}`]), censor: MASK },
	};
	const log = pino(options, { write });
	return {
		debug: (fields, message) => log.debug(fields, message),
		info: (fields, message) => log.info(fields, message),
		warn: (fields, message) => log.warn(fields, message),
		error: (fields, message) => log.error(fields, message),
		get dropped() {
			return output.dropped;
		},
	};
}
