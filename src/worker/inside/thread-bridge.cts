/**
 * The file that piscina loads first. Piscina tries `require` before `import`, and Node 20 ends the whole process by an assertion if a
 * thread ends while it requires an ES module (seen once in an hour of chaos, when a thread that was just starting was stopped). Requiring
 * this file is safe, and so is interrupting the import inside it.
 *
 * Step 5 of a message's way (docs/architecture.md).
 */
module.exports = async (request: unknown): Promise<unknown> => {
	const entry = (await import("./thread-entry.ts")) as { default(request: unknown): Promise<unknown> };
	return entry.default(request);
};
