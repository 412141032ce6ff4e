/** Options of the contract that this version reads but does not yet act on: any value but the one in force is refused, never ignored. */
import type { z } from "zod";

/** `schema`, of which only `supported` is accepted. */
export function notBuiltYet<S extends z.ZodType>(schema: S, supported: z.output<S>): S {
	return schema.refine((value) => value === supported, `not built in this version: only ${JSON.stringify(supported)}`) as S;
}
