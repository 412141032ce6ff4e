/**
 * The batch writer as the daemon runs it: from dist, with the configuration's defaults. The benches' own files go through tsx, which
 * wraps functions to keep their names; what is measured must not.
 */
import { configSchema } from "../../src/config/schema/schema.ts";
import { systemClock } from "../../src/core/clock.ts";
import type { BatchWriter } from "../../src/sink/writer/batch-writer.ts";
import type { WriterParts } from "../../src/sink/writer/writer-events.ts";

const built = new URL("../../dist/sink/writer/batch-writer.js", import.meta.url).href;

/** A writer on a table and a pool of the caller's. */
export async function builtWriter(parts: Pick<WriterParts, "layouts" | "database" | "connections">): Promise<BatchWriter> {
	const { BatchWriter: Built } = (await import(built)) as typeof import("../../src/sink/writer/batch-writer.ts");
	const { batch } = configSchema.parse({});
	return new Built({ ...parts, batch, clock: systemClock, random: Math.random });
}
