/** `json-row.mjs` with so much work before each row. */
import { busy } from "./busy-work.mjs";
import { handleMessage as makeRow } from "./json-row.mjs";

/** `options.work` in rounds. */
export function init(_partition, { work }) {
	return { work };
}

export function handleMessage(message, { work }) {
	busy(work);
	return makeRow(message);
}
