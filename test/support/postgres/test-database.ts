/** A database of its own for a test, on the run's Postgres. */
import { randomBytes } from "node:crypto";
import { inject } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import { connectDatabase, type Database } from "../../../src/sink/database/database.ts";

/** A fresh database and a connection to it. */
export interface TestDatabase extends AsyncDisposable {
	readonly url: string;
	readonly database: Database;
}

export async function createTestDatabase(): Promise<TestDatabase> {
	const name = `test_${randomBytes(6).toString("hex")}`;
	const admin = connectDatabase({ url: inject("postgresUrl"), connections: 1, clock: systemClock });
	await admin.query(`create database ${name}`);
	await admin.close();
	const url = inject("postgresUrl").replace(/\/[^/]*$/, `/${name}`);
	const database = connectDatabase({ url, connections: 2, clock: systemClock });
	return { url, database, [Symbol.asyncDispose]: () => database.close() };
}
