/** What a command says of an error. */
import { messageOf, PocKaffeError } from "../core/errors.ts";
import { problemOf } from "../sink/database/sql-faults.ts";

/** PocKaffe's own words, or what an error of the database means, without values. An error without a code comes from no server. */
export function failureWords(error: unknown): string {
	const isServers = !(error instanceof PocKaffeError) && (error as { code?: unknown } | null)?.code !== undefined;
	return isServers ? problemOf(error).message : messageOf(error);
}
