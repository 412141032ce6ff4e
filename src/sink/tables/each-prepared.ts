/** Prepares one table after the other: one that can't be prepared keeps no other from it. */
import { mayPass } from "../database/sql-faults.ts";

/** Rejects with the first error, once all were tried; at once where the database is away, for then none can be prepared. */
export async function eachPrepared(steps: readonly (() => Promise<unknown>)[]): Promise<void> {
	const errors: unknown[] = [];
	for (const step of steps) {
		try {
			await step();
		} catch (error) {
			if (mayPass(error)) throw error;
			errors.push(error);
		}
	}
	if (errors.length > 0) throw errors[0];
}
