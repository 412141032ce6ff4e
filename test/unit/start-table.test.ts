import { expect, it } from "vitest";
import type { Database } from "../../src/sink/database.ts";
import { StartTable } from "../../src/sink/start-table.ts";

/** A database without the table, whose server refuses to make it with this code. */
function refusing(code: string): Database {
	return {
		query: async (text: string) => {
			if (text.includes("create table")) throw Object.assign(new Error(code), { code });
			return [{ found: false }];
		},
	} as unknown as Database;
}

const prepare = (code: string) =>
	new StartTable({ database: refusing(code), offsetsTable: "pockaffe_offsets", consumerGroup: "g" }).prepare();

it.each(["57P01", "55P03", "40P01", "CONNECTION_CLOSED"])(
	"a table that can't be made for a moment (%s) is not done without",
	async (code) => {
		await expect(prepare(code)).rejects.toMatchObject({ code });
	},
);

it.each(["42501", "23505"])("a table that can't be made (%s) is done without", async (code) => {
	expect(await prepare(code)).toBe("none");
});
