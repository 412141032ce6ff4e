/** Messages packed and unpacked: nothing of one gets into another, and null is not empty. */
import { describe, expect, it } from "vitest";
import type { Header, ReceivedMessage } from "../../../src/core/messages/message.ts";
import { keyAt, messageAt, packMessages, sizeOfMessage, sliceBatch, unpackMessages } from "../../../src/core/messages/message-codec.ts";

const t3 = { topic: "t", partition: 3 };
const bytes = (text: string) => Buffer.from(text);

/** Every length another one, so that no place can be mistaken for another. */
const messages: readonly ReceivedMessage[] = [
	{ ...t3, offset: 7, timestamp: 1_700, timestampType: "create", key: bytes("k"), value: bytes("value"), headers: [] },
	{
		...t3,
		offset: 9,
		timestamp: -1,
		timestampType: "undefined",
		key: null,
		value: bytes("second value"),
		headers: [
			["nämé", bytes("first header")],
			["b", null],
			["nämé", bytes("")],
			["", bytes("x")],
		],
	},
	{ ...t3, offset: 10, timestamp: 1_701, timestampType: "append", key: bytes("longer key"), value: null, headers: [["one", null]] },
	{ ...t3, offset: 400, timestamp: 0, timestampType: "create", key: bytes(""), value: bytes(""), headers: [] },
	{ ...t3, offset: 2 ** 40, timestamp: 1_702, timestampType: "append", key: null, value: null, headers: [["z", bytes("zz")]] },
];
const unplaced = messages.map(({ topic: _, partition: __, ...rest }) => rest);

describe("a packed batch", () => {
	const batch = packMessages(messages);

	it("gives each message as it was", () => {
		expect(messages.map((_, index) => messageAt(batch, index))).toEqual(unplaced);
		expect(messages.map((_, index) => keyAt(batch, index))).toEqual(messages.map(({ key }) => key));
		expect(unpackMessages(t3, batch)).toEqual(messages);
	});

	it("takes as many bytes as its messages are said to", () => {
		expect(batch.bytes.byteLength).toBe(messages.reduce((sum, message) => sum + sizeOfMessage(message), 0));
		expect(messages.map(sizeOfMessage)).toEqual([6, 12 + 4 + 4 * 8 + 6 + 12 + 1 + 6 + 1, 10 + 4 + 8 + 3, 0, 4 + 8 + 3]);
		expect(batch.length).toBe(messages.length);
	});

	it.each([
		[0, 5],
		[1, 3],
		[2, 5],
		[4, 5],
		[0, 1],
	])("is cut from %i to %i, with no more bytes than those have", (from, to) => {
		const piece = sliceBatch(batch, from, to);
		expect(Array.from({ length: piece.length }, (_, index) => messageAt(piece, index))).toEqual(unplaced.slice(from, to));
		expect(piece.bytes.byteLength).toBe(messages.slice(from, to).reduce((sum, message) => sum + sizeOfMessage(message), 0));
		expect(piece.bytes.buffer).not.toBe(batch.bytes.buffer);
	});

	it("is cut once more from a piece", () => {
		const piece = sliceBatch(sliceBatch(batch, 1, 5), 1, 3);
		expect([0, 1].map((index) => messageAt(piece, index))).toEqual(unplaced.slice(2, 4));
	});

	it("that is empty has nothing", () => {
		const none = packMessages([]);
		expect([none.length, none.bytes.byteLength, unpackMessages(t3, none)]).toEqual([0, 0, []]);
	});
});

it("key and value are views of the batch; unpacked for keeping they are not", () => {
	const batch = packMessages(messages);
	expect(keyAt(batch, 0)?.buffer).toBe(batch.bytes.buffer);
	const own = unpackMessages(t3, batch);
	batch.bytes.fill(0);
	expect(own).toEqual(messages);
});

it("a message without a kind of timestamp has none", () => {
	const [first] = messages as [ReceivedMessage];
	const { timestampType: _, ...without } = first;
	expect(messageAt(packMessages([without]), 0).timestampType).toBe("undefined");
});

it("headers of a handler's size come back in their order", () => {
	const headers = Array.from({ length: 300 }, (_, index): Header => [`h${index % 7}`, index % 3 === 0 ? null : bytes("x".repeat(index))]);
	const message: ReceivedMessage = { ...t3, offset: 1, timestamp: 1, timestampType: "create", key: null, value: bytes("v"), headers };
	expect(messageAt(packMessages([message]), 0).headers).toEqual(headers);
});
