/** What `check` says of the newest messages: which configured fields they lack, and which is probably meant. */
import { describe, expect, it } from "vitest";
import { judgeMessages } from "../../../src/commands/check/check-messages.ts";
import { columnOf, layoutOf } from "../../support/fakes/row-submissions.ts";

const layout = layoutOf({
	name: "orders",
	columns: [{ ...columnOf("customer", "text"), path: ["customer", "name"] }, columnOf("amount", "numeric")],
});
const message = (value: unknown, key: string | null = "k") => ({
	key: key === null ? null : Buffer.from(key),
	value: value === null ? null : Buffer.from(typeof value === "string" ? value : JSON.stringify(value)),
});
const whole = { id: 7, customer: { name: "Ada" }, amount: 1 };
const details = (...given: Parameters<typeof judgeMessages>) =>
	judgeMessages(...given).map(({ item, result, detail }) => [item, result, detail]);

describe("the newest messages", () => {
	it("that have all fields are said to", () => {
		const messages = [message(whole), message({ ...whole, amount: null }), message(null, null)];
		expect(details("shop", messages, { idPath: null, layout })).toEqual([
			["messages of shop", "ok", "each configured field is in one of the 2 newest messages"],
		]);
	});

	it("without a field in any of them name the column that would be null, and the field that is probably meant", () => {
		const mistyped = {
			...layout,
			columns: layout.columns.map((each) => ({ ...each, path: each.path.map((part) => part.replace("st", "ts")) })),
		};
		expect(details("shop", [message(whole), message({ ...whole, amount: 2 })], { idPath: null, layout: mistyped })).toEqual([
			[
				"messages of shop",
				"warning",
				"column customer of orders would be null in every row: none of the 2 newest messages has cutsomer.name (did you mean customer.name?)",
			],
		]);
	});

	it("of which one has the field are no reason for a warning", () => {
		const { amount: _, ...without } = whole;
		expect(details("shop", [message(without), message(whole), message(without)], { idPath: null, layout })[0]?.[1]).toBe("ok");
	});

	it("that lack the id, or the key where no field is named, would become dead letters", () => {
		const messages = [message({ ...whole, id: undefined }), message(whole), message(whole, null)];
		expect(details("shop", messages, { idPath: ["id"], layout })).toEqual([
			["messages of shop", "warning", "1 of the 3 newest messages would become dead letters: they lack id (handler.options.id)"],
		]);
		expect(details("shop", messages, { idPath: ["di"], layout })).toEqual([
			[
				"messages of shop",
				"warning",
				"3 of the 3 newest messages would become dead letters: they lack di (handler.options.id) (did you mean id?)",
			],
		]);
		expect(details("shop", messages, { idPath: null, layout })).toEqual([
			[
				"messages of shop",
				"warning",
				"1 of the 3 newest messages would become dead letters: they have no key to be the id; handler.options.id can name a field",
			],
		]);
	});

	it("that are no objects would become dead letters, for the reason that a run gives; nothing is said of fields then", () => {
		expect(details("shop", [message("{"), message("[1]")], { idPath: null, layout })).toEqual([
			["messages of shop", "warning", "2 of the 2 newest messages would become dead letters: the value is not JSON"],
		]);
	});

	it("that have none of a table's fields would become dead letters where the key is the id, as the handler has it", () => {
		const envelope = { before: null, after: whole };
		const messages = [message(envelope), message(whole), message({})];
		expect(details("shop", messages, { idPath: null, layout })).toEqual([
			[
				"messages of shop",
				"warning",
				"1 of the 3 newest messages would become dead letters: they have none of the fields that columns of orders are read from",
			],
		]);
		const [lacks, ...others] = details("shop", messages.slice(0, 2), { idPath: ["after", "id"], layout });
		expect([lacks?.[2], others]).toEqual([
			expect.stringContaining("1 of the 2 newest messages would become dead letters: they lack after.id"),
			[],
		]);
	});

	it("say nothing where there are none, or tombstones alone", () => {
		expect([details("shop", [], { idPath: null, layout }), details("shop", [message(null)], { idPath: null, layout })]).toEqual([[], []]);
	});
});
