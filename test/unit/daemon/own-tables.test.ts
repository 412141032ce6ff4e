/** Which tables of PocKaffe's own a daemon has: they are prepared, checked, and told where they would not survive a crash. */
import { expect, it } from "vitest";
import { loadConfig } from "../../../src/config/load.ts";
import { ownTables } from "../../../src/daemon/daemon-parts.ts";

const tables = (written: Record<string, unknown>) =>
	ownTables(loadConfig({ written, environment: {}, cwd: "/" }).config).map(({ name, isNeeded }) => [name, isNeeded]);

it("letters and notes, if offsets are in Kafka", () => {
	expect(tables({})).toEqual([
		["pockaffe_dead_letters", true],
		["pockaffe_offsets_start", false],
	]);
});

it("offsets too, if they are in the database; no letters, if those go to a topic", () => {
	expect(tables({ offsets: { store: "postgres", table: "app.o" }, deadLetters: { target: "topic", topic: "letters" } })).toEqual([
		["app.o", true],
		["app.o_start", false],
	]);
});
