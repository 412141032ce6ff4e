/** `pockaffe:log` prints each message as JSON, then its key and value. */
import { afterEach, expect, it, vi } from "vitest";
import { handleMessage } from "../../../src/worker/inside/log-handler.ts";

afterEach(() => void vi.restoreAllMocks());

function printed(message: object): string {
	const lines: string[] = [];
	vi.spyOn(process.stdout, "write").mockImplementation((text) => lines.push(String(text)) > 0);
	const outcome = handleMessage({
		topic: "t",
		partition: 3,
		offset: 7,
		timestamp: 9,
		headers: [],
		key: null,
		value: null,
		...message,
	} as never);
	vi.restoreAllMocks();
	expect(outcome).toBeNull();
	return lines.join("");
}

it("shows key, value and headers as text, and where the message is from", () => {
	const headers = [
		["a", Buffer.from("1")],
		["b", null],
	];
	expect(printed({ key: Buffer.from("k"), value: Buffer.from("wörter"), headers })).toBe(
		'{"topic":"t","partition":3,"offset":7,"timestamp":9,"key":"k","value":"wörter","headers":[["a","1"],["b",null]]}\nk: wörter\n',
	);
});

it("shows what is missing as null", () => {
	expect(printed({}).split("\n")[1]).toBe("null: null");
});
