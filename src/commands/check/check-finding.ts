/** One line of `check`'s report, and helpers to make it. */

/** One line of the report. `commands` correct it, if a right is missing. */
export interface Finding {
	readonly item: string;
	readonly result: "ok" | "warning" | "failed";
	readonly detail: string;
	readonly commands?: readonly string[];
}

export function ok(item: string, detail: string): Finding {
	return { item, result: "ok", detail };
}

export function warning(item: string, detail: string, commands: readonly string[] = []): Finding {
	return { item, result: "warning", detail, ...(commands.length > 0 ? { commands } : {}) };
}

export function failed(item: string, detail: string, commands: readonly string[] = []): Finding {
	return { item, result: "failed", detail, ...(commands.length > 0 ? { commands } : {}) };
}
