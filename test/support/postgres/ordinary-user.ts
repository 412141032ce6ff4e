/** A user of a test's database who is not its owner. */
import { randomBytes } from "node:crypto";
import { systemClock } from "../../../src/core/clock.ts";
import { connectDatabase, type Database } from "../../../src/sink/database/database.ts";
import type { TestDatabase } from "./test-database.ts";

/** A session of such a user; `grant` and `revoke` are said by the owner, with USER in place of the name. */
export interface OrdinaryUser extends AsyncDisposable {
	readonly database: Database;
	readonly url: string;
	admin(text: string): Promise<void>;
}

/** Who may use tables (select, insert, update), or owns them; `create`: and make others. */
export async function ordinaryUser(db: TestDatabase, right: "use" | "own" | "none", ...tables: readonly string[]): Promise<OrdinaryUser> {
	const role = `user_${randomBytes(4).toString("hex")}`;
	const admin = async (text: string) => void (await db.database.query(text.replaceAll("USER", role)));
	await admin("create role USER login password 'secret'");
	for (const table of tables) {
		if (right === "own") await admin(`alter table ${table} owner to USER`);
		if (right === "use") await admin(`grant select, insert, update on ${table} to USER`);
	}
	const url = db.url.replace(/\/\/[^@]*@/, `//${role}:secret@`);
	const database = connectDatabase({ url, connections: 1, clock: systemClock });
	return { database, url, admin, [Symbol.asyncDispose]: () => database.close() };
}
