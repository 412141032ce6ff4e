/** Tables for a terminal: columns aligned, no lines, so that awk and cut can read them. */
import Table from "cli-table3";
import { visibleLine } from "../../core/text/visible-text.ts";

/** Rows below a head, columns two spaces apart. */
export function textTable(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
	const none = {
		top: "",
		"top-mid": "",
		"top-left": "",
		"top-right": "",
		bottom: "",
		"bottom-mid": "",
		"bottom-left": "",
		"bottom-right": "",
		left: "",
		"left-mid": "",
		mid: "",
		"mid-mid": "",
		right: "",
		"right-mid": "",
		middle: "  ",
	};
	const table = new Table({ chars: none, style: { head: [], border: [], "padding-left": 0, "padding-right": 0 } });
	table.push([...head], ...rows.map((row) => row.map((cell) => visibleLine(String(cell)))));
	return table
		.toString()
		.split("\n")
		.map((line) => line.trimEnd())
		.join("\n");
}
