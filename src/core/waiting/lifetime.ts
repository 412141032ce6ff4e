/** The end of a part's life, for everything in it that waits. */
import { setMaxListeners } from "node:events";

/** An AbortController that any number of waits may listen to at a time; for others Node warns at the eleventh. */
export function lifetime(): AbortController {
	const controller = new AbortController();
	setMaxListeners(0, controller.signal);
	return controller;
}
