/**
 * Faults of the database under the daemon's own tables, dead letters and offsets: nothing is skipped, nothing moves back, and they go on by
 * themselves.
 */
import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { systemClock } from "../../../src/core/clock.ts";
import type { DeadLetter } from "../../../src/core/dead-letters/dead-letter.ts";
import { connectDatabase, type DatabaseOptions } from "../../../src/sink/database/database.ts";
import { DeadLetterTable } from "../../../src/sink/dead-letters/dead-letter-table.ts";
import { OffsetTable } from "../../../src/sink/offsets/offset-table.ts";
import { deadLetter } from "../../support/fakes/dead-letters.ts";
import { DatabaseProxy } from "../../support/postgres/database-proxy.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { waitFor } from "../../support/wait-for.ts";

const orders = { topic: "orders", partition: 0 };
const letters = 'select "offset"::int as at from pockaffe_dead_letters order by 1';

describe("dead letters", () => {
	it("whose answer is lost are stored again, and are there once", async () => {
		await using test = await opened();
		await test.store(1);
		test.proxy.cutAnswers(1);
		await test.store(2);
		expect(test.proxy.cut).toBe(1);
		expect(await test.admin(letters)).toEqual([{ at: 1 }, { at: 2 }]);
		expect(test.blocked).toEqual([]);
	});

	it("wait behind a half-open connection, and are stored over a new one", async () => {
		await using test = await opened({ deadlineMs: 2_000 });
		await test.store(1);
		test.proxy.fallSilent();
		const stored = test.store(2);
		await waitFor("the block", () => test.blocked.length > 0);
		expect(test.blocked).toEqual([expect.stringMatching(/can't be stored in pockaffe_dead_letters: QUERY_DEADLINE.*orders\/0 offset 2/)]);
		test.proxy.mend();
		await stored;
		expect([await test.admin(letters), test.unblocked()]).toEqual([[{ at: 1 }, { at: 2 }], 1]);
	});

	it("wait while the server is read-only", async () => {
		await using test = await opened();
		const name = test.db.url.split("/").at(-1);
		await test.admin(`alter database ${name} set default_transaction_read_only = on`);
		const stored = test.store(1);
		await waitFor("the block", () => test.blocked.length > 0);
		expect(test.blocked.join()).toContain("25006");
		await test.admin(`alter database ${name} reset default_transaction_read_only`);
		await stored;
		expect(await test.admin(letters)).toEqual([{ at: 1 }]);
	});

	it("go to a table made anew where theirs was dropped", async () => {
		await using test = await opened();
		await test.store(1);
		await test.admin("drop table pockaffe_dead_letters");
		await test.store(2);
		expect([await test.admin(letters), test.blocked]).toEqual([[{ at: 2 }], []]);
	});

	it("say what to grant where the table may not be written, and go in once it may", async () => {
		await using test = await opened({}, true);
		await test.admin("revoke insert on pockaffe_dead_letters from USER");
		const stored = test.store(1);
		await waitFor("the block", () => test.blocked.length > 0);
		expect(test.blocked).toEqual([expect.stringMatching(/42501.*grant select, insert, update on pockaffe_dead_letters/)]);
		await test.admin("grant insert on pockaffe_dead_letters to USER");
		await stored;
		expect(test.unblocked()).toBe(1);
	});

	it("say what to create where the table was dropped and may not be made", async () => {
		await using test = await opened({}, true);
		await test.admin("alter table pockaffe_dead_letters rename to gone");
		const stored = test.store(1);
		await waitFor("the block", () => test.blocked.length > 0);
		expect(test.blocked).toEqual([expect.stringMatching(/42P01.*create pockaffe_dead_letters/)]);
		await test.admin("alter table gone rename to pockaffe_dead_letters");
		await stored;
		expect(await test.admin(letters)).toEqual([{ at: 1 }]);
	});
});

describe("offsets", () => {
	it("whose answer is lost hold, and storing them again changes nothing", async () => {
		await using test = await opened();
		await test.offsets.begin([{ ...orders, offset: 0 }]);
		test.proxy.cutAnswers(1);
		await expect(test.offsets.store([{ ...orders, offset: 5 }])).rejects.toMatchObject({
			code: expect.stringMatching(/CONNECTION_CLOSED|ECONNRESET/),
		});
		expect(await test.admin("select next_offset::int as at from pockaffe_offsets")).toEqual([{ at: 5 }]);
		expect(await test.offsets.store([{ ...orders, offset: 5 }])).toEqual([]);
		expect(await test.offsets.stored([orders])).toEqual([{ ...orders, offset: 5 }]);
	});

	it("are refused by a read-only server, and stored by the next primary under the same epoch", async () => {
		await using test = await opened();
		const name = test.db.url.split("/").at(-1);
		await test.offsets.begin([{ ...orders, offset: 0 }]);
		await test.admin(`alter database ${name} set default_transaction_read_only = on`);
		test.proxy.cutAll();
		const refused = await waitFor("25006", async () => {
			const code = await test.offsets.store([{ ...orders, offset: 5 }]).then(String, (error) => error.code);
			return code === "25006" && code;
		});
		expect(refused).toBe("25006");
		await test.admin(`alter database ${name} reset default_transaction_read_only`);
		expect(await test.offsets.store([{ ...orders, offset: 5 }])).toEqual([]);
		expect(await test.offsets.stored([orders])).toEqual([{ ...orders, offset: 5 }]);
	});

	it("of a table that was dropped are lost to their owner, who begins anew in the one made again", async () => {
		await using test = await opened();
		await test.offsets.begin([{ ...orders, offset: 0 }]);
		await test.offsets.store([{ ...orders, offset: 5 }]);
		await test.admin("drop table pockaffe_offsets");
		await expect(test.offsets.store([{ ...orders, offset: 6 }])).rejects.toMatchObject({ code: "42P01" });
		expect(await test.offsets.store([{ ...orders, offset: 6 }])).toEqual([{ ...orders, kind: "gone", expected: 5, found: null }]);
		expect(await test.offsets.claim([orders])).toEqual([{ ...orders, offset: null }]);
		expect(await test.offsets.begin([{ ...orders, offset: 3 }])).toEqual([{ ...orders, offset: 3 }]);
	});
});

/** Both tables, reached through a proxy, as an ordinary user where wanted; what the letters' table tells is noted. */
async function opened(over: Partial<DatabaseOptions> = {}, ordinary = false) {
	const db = await createTestDatabase();
	const role = `letters_${randomBytes(4).toString("hex")}`;
	const said = (text: string) => text.replaceAll("USER", role);
	const admin = (text: string) => waitFor("an answer", () => db.database.query(said(text)));
	const proxy = await DatabaseProxy.to(ordinary ? db.url.replace(/\/\/[^@]*@/, `//${role}:secret@`) : db.url);
	const database = connectDatabase({ url: proxy.url, connections: 1, clock: systemClock, ...over });
	const parts = { consumerGroup: "g", version: "0", clock: systemClock, random: () => 0.1, table: "pockaffe_dead_letters" };
	await new DeadLetterTable({ ...parts, database: db.database }).prepare();
	await new OffsetTable({ database: db.database, table: "pockaffe_offsets", consumerGroup: "g" }).prepare();
	if (ordinary) {
		await admin("create role USER login password 'secret'");
		await admin("grant select, insert, update on pockaffe_dead_letters to USER");
	}
	const table = new DeadLetterTable({ ...parts, database });
	const blocked: string[] = [];
	let unblocked = 0;
	table.on("target:blocked", ({ message }) => blocked.push(message));
	table.on("target:unblocked", () => unblocked++);
	return {
		db,
		admin,
		proxy,
		blocked,
		unblocked: () => unblocked,
		offsets: new OffsetTable({ database, table: "pockaffe_offsets", consumerGroup: "g" }),
		store: (offset: number) => table.store(letterAt(offset), new AbortController().signal),
		async [Symbol.asyncDispose]() {
			await table.dispose();
			await proxy[Symbol.asyncDispose]();
			await database.close();
			await db[Symbol.asyncDispose]();
		},
	};
}

function letterAt(offset: number): DeadLetter {
	return deadLetter({ ...orders, offset, reason: "rejected" });
}
