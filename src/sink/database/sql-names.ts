/** SQL identifiers: from the configuration only, always quoted. Pure. */

/** `"name"`, quotes doubled. */
export function quoted(name: string): string {
	return `"${name.replaceAll('"', '""')}"`;
}

/** A table's name; `schema.table` is split at the first dot. */
export function quotedTable(name: string): string {
	return name.split(".", 2).map(quoted).join(".");
}
