/**
 * Imports `handler.module` and finds the exported handleMessage or handleMessages. If there is neither, says what was found instead. Runs
 * in a worker thread (for `check`, in a throw-away one).
 */
import { existsSync } from "node:fs";
import { pathToFileURL } from "node:url";
import type { Handler } from "../../handler-api.ts";
import type { HandlerFailure } from "../thread/handler-thread.ts";
import { failureOf } from "./handler-failure.ts";

/** A loaded module with its functions. */
export interface LoadedHandler {
	readonly handler: Handler;
	readonly handles: "message" | "batch";
	/** True for pockaffe:json: it reads messages from their bytes and ignores fields without a column, and its init gets the tables. */
	readonly readsBytes: boolean;
}

/** The built-in handlers. */
const builtIns: Readonly<Record<string, () => Promise<object>>> = {
	"pockaffe:json": () => import("./json/json-handler.ts"),
	"pockaffe:log": () => import("./log-handler.ts"),
	"pockaffe:example": () => import("../../embedded/example-handler.ts"),
};

/** Loads a module by absolute path or built-in name. Never rejects: a failure is returned as data. */
export async function loadHandler(module: string): Promise<{ ok: true; loaded: LoadedHandler } | { ok: false; failure: HandlerFailure }> {
	let exported: Record<string, unknown>;
	try {
		const builtIn = builtIns[module] ?? (() => import(pathToFileURL(module).href) as Promise<object>);
		exported = (await builtIn()) as Record<string, unknown>;
	} catch (error) {
		const code = (error as { code?: unknown } | null)?.code;
		return { ok: false, failure: explainLoadFailure(module, failureOf("load", error), code) };
	}
	const problem = problemOf(exported);
	if (problem) return { ok: false, failure: { kind: "load", name: "HandlerError", message: `${module}: ${problem}`, stack: null } };
	const handles = exported.handleMessage === undefined ? "batch" : "message";
	return { ok: true, loaded: { handler: exported as Handler, handles, readsBytes: module === "pockaffe:json" } };
}

function problemOf(exported: Record<string, unknown>): string | null {
	const { handleMessage, handleMessages } = exported;
	const wanted = "export a function handleMessage(message, state) or handleMessages(batch, state)";
	if (handleMessage !== undefined && handleMessages !== undefined)
		return "exports both handleMessage and handleMessages: export one of them";
	for (const name of ["handleMessage", "handleMessages", "init", "terminate"]) {
		const value = exported[name];
		if (value !== undefined && typeof value !== "function") return `exports ${name} as ${typeof value}, not as a function`;
	}
	if (handleMessage !== undefined || handleMessages !== undefined) return null;
	const names = Object.keys(exported);
	if (names.length === 0) return `exports nothing: ${wanted}`;
	if (names.includes("default")) return `exports ${names.join(", ")}: ${wanted} by name, not as (part of) the default`;
	return `exports ${names.join(", ")}: ${wanted}`;
}

/** Explains a failed import in words that say what to do; `code` is Node's. */
export function explainLoadFailure(module: string, failure: HandlerFailure, code?: unknown): HandlerFailure {
	// A missing module that the handler imports has the same code: its message names both.
	if (code === "ERR_MODULE_NOT_FOUND" && !existsSync(module)) {
		return {
			...failure,
			message: `${module}: there is no such file; put one there that exports handleMessage or handleMessages, or correct handler.module and restart`,
		};
	}
	if (/Module did not self-register|node-librdkafka/.test(failure.message)) {
		return {
			...failure,
			message: `${module}: imports node-rdkafka, which can't be loaded in a worker thread: produce from a process of its own`,
		};
	}
	if (code === "ERR_UNKNOWN_FILE_EXTENSION") {
		const hint = "compile it to JavaScript (npx tsc), and name that file in handler.module";
		return { ...failure, message: `${module}: Node.js ${process.version} can't load it: ${failure.message}; ${hint}` };
	}
	return { ...failure, message: `${module}: ${failure.name}: ${failure.message}${placeOf(failure)}` };
}

/** Where a syntax error is. Only the first line of its stack may say so; often that has the words once more, and no place. */
function placeOf({ name, message, stack }: HandlerFailure): string {
	if (name !== "SyntaxError") return "";
	const first = stack?.split("\n")[0] ?? "";
	return first === "" || first.includes(message) ? " (node --check FILE says where)" : ` (${first})`;
}
