/** The configuration's type: what the schema makes of a file and the environment. Everything else takes parts of this. */
import type { z } from "zod";
import type { configSchema } from "./schema/schema.ts";

type DeepReadonly<T> = T extends (infer Item)[]
	? readonly DeepReadonly<Item>[]
	: T extends object
		? { readonly [Key in keyof T]: DeepReadonly<T[Key]> }
		: T;

/** A whole, validated configuration: every default filled in, frozen. Empty strings and lists stand for "not given". */
export type Config = DeepReadonly<z.output<typeof configSchema>>;
