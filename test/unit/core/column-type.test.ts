/** A configured column's type, taken apart. */
import { expect, it } from "vitest";
import { columnTypeOf, ordinaryTypes } from "../../../src/core/rows/column-type.ts";

it.each([
	["text", { name: "text", args: "", dimensions: 0 }],
	["varchar(8)[]", { name: "varchar", args: "(8)", dimensions: 1 }],
	["numeric(10,2)[][]", { name: "numeric", args: "(10,2)", dimensions: 2 }],
	["double precision[]", { name: "double precision", args: "", dimensions: 1 }],
	['app."Odd(x)"', { name: 'app."Odd(x)"', args: "", dimensions: 0 }],
])("%s", (type, expected) => {
	expect(columnTypeOf(type)).toEqual(expected);
});

it("an ordinary one has neither arguments nor dimensions", () => {
	for (const name of ordinaryTypes) expect(columnTypeOf(name)).toEqual({ name, args: "", dimensions: 0 });
});

it("the ordinary ones are these: of another a list or a cast may do more than an assignment", () => {
	const names = "bigint boolean bytea char date double precision inet int4 interval json jsonb numeric real smallint text time timestamp";
	expect([...ordinaryTypes].sort().join(" ")).toBe(`${names} timestamptz uuid varchar`);
});
