import { expect, it } from "vitest";
import type { Database } from "../../../src/sink/database/database.ts";
import { StartTable } from "../../../src/sink/offsets/start-table.ts";

/** In a database whose server refuses to make the table with this code, until somebody makes it. */
function refused(code: string) {
	let isThere = false;
	const database = {
		query: async (text: string) => {
			if (text.includes("create table")) throw Object.assign(new Error(code), { code });
			return [{ found: isThere }];
		},
	} as unknown as Database;
	return {
		table: new StartTable({ database, offsetsTable: "pockaffe_offsets", consumerGroup: "g" }),
		make: () => {
			isThere = true;
		},
	};
}

it.each(["57P01", "55P03", "40P01", "CONNECTION_CLOSED"])(
	"a table that can't be made for a moment (%s) is not done without",
	async (code) => {
		await expect(refused(code).table.prepare()).rejects.toMatchObject({ code });
	},
);

it.each(["42501", "23505"])("a table that can't be made (%s) is done without", async (code) => {
	expect(await refused(code).table.prepare()).toBe("none");
});

it("a table that was missing for a while, as a backup is put back, is found again", async () => {
	const { table, make } = refused("42501");
	await table.prepare();
	expect(await table.keepsNotes()).toBe(false);
	make();
	expect(await table.keepsNotes()).toBe(true);
});
