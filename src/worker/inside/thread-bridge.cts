/**
 * What piscina loads first: it tries `require` before `import`, and Node 20 ends the whole process by an assertion where a thread is ended
 * while it requires an ES module (seen once in an hour of chaos, at a stop of a thread that was only starting). This file may be required;
 * what it imports may be interrupted.
 *
 * Step 5 of a message's way (docs/architecture.md).
 */
module.exports = async (request: unknown): Promise<unknown> => {
	const entry = (await import("./thread-entry.ts")) as { default(request: unknown): Promise<unknown> };
	return entry.default(request);
};
