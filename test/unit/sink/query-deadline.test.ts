/** The deadline of our own that a query has: gone with the query's answer, or it would throw a pool away that is well. */
import { expect, it } from "vitest";
import { connectDatabase } from "../../../src/sink/database/database.ts";
import { ManualClock } from "../../support/fakes/manual-clock.ts";

it("is over with the query, whatever its answer was, and so is the time that a connection may take", async () => {
	const clock = new ManualClock();
	// Nobody listens there.
	const database = connectDatabase({ url: "postgres://u@127.0.0.1:1/d", connections: 1, clock });
	for (let times = 0; times < 3; times++) await expect(database.query("select 1")).rejects.toMatchObject({ code: "ECONNREFUSED" });
	expect(clock.pending).toEqual([]);
	await database.close();
	expect(clock.pending).toEqual([]);
});
