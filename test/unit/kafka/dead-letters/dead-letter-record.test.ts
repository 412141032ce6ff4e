import { expect, it } from "vitest";
import type { DeadLetter, StoredLetter } from "../../../../src/core/dead-letters/dead-letter.ts";
import type { Header, ReceivedMessage } from "../../../../src/core/messages/message.ts";
import { letterHeaders, markHeaders, readLetterRecord, type TextHeader } from "../../../../src/kafka/dead-letters/dead-letter-record.ts";
import { deadLetter } from "../../../support/fakes/dead-letters.ts";

const origin = { consumerGroup: "g", version: "1.2.3" };
const AT = Date.parse("2026-01-02T03:04:05.000Z");

const poison = { partition: 3, offset: 17, stack: "TypeError: can't be read\n    at handler.mjs:3:1", attempts: 5 };
const letterOf = (over: Partial<DeadLetter> = {}) => deadLetter({ ...poison, key: Buffer.from("k"), value: Buffer.from("v"), ...over });

/** What a consumer gives of a record that was produced with `headers`. */
function received(headers: readonly TextHeader[], content: Pick<ReceivedMessage, "key" | "value">): ReceivedMessage {
	const asBytes = headers.map(([name, value]): Header => [name, Buffer.from(value)]);
	const { key, value } = content;
	return { topic: "dlq", partition: 0, offset: 0, key, value, timestamp: AT, headers: asBytes };
}

function roundTrip(letter: DeadLetter) {
	return readLetterRecord(received(letterHeaders(letter, origin), letter));
}

it("a letter comes back as it was", () => {
	const letter = letterOf({
		topicId: "Xy_1",
		sqlstate: "22003",
		table: "events",
		rowId: "ä",
		refusedRows: [
			["events", "a", "23514"],
			["events", "ä", "22003"],
		],
		headers: [["trace", Buffer.from("ünï")]],
	});
	const at = "2026-01-02T03:04:05.000Z";
	const { receivedAtMs, ...kept } = letter;
	expect(roundTrip(letter)).toEqual({
		type: "letter",
		consumerGroup: "g",
		partition: 0,
		offset: 0,
		recordedAtMs: AT,
		receivedAtMs: AT,
		letter: { ...kept, state: "open", firstAt: at, lastAt: at, pockaffeVersion: "1.2.3" },
	});
});

it.each<[string, Partial<DeadLetter>]>([
	["a null key and value", { key: null, value: null }],
	["an empty key and value", { key: Buffer.alloc(0), value: Buffer.alloc(0) }],
	["no timestamp", { timestamp: -1 }],
	["no stack", { stack: null }],
	["a skipped one", { state: "skipped" }],
	["one without its value", { value: null, omitted: { value: { bytes: 20_971_520, sha256: "ab12" } } }],
	[
		"a null header beside an empty one",
		{
			headers: [
				["n", null],
				["n", Buffer.alloc(0)],
			],
		},
	],
	[
		"headers of one name, in order",
		{
			headers: [
				["n", Buffer.from("2")],
				["m", Buffer.from("x")],
				["n", Buffer.from("1")],
			],
		},
	],
	["a header with NUL", { headers: [["n", Buffer.from("a\0b")]] }],
	["a header that isn't UTF-8", { headers: [["n", Buffer.from([0xff, 0xfe])]] }],
	["a header whose name has NUL", { headers: [["a\0b", Buffer.from("x")]] }],
	["a header named like one of ours", { headers: [["pockaffe.reason", Buffer.from("theirs")]] }],
	[
		"a letter's own record as message",
		{ headers: letterHeaders(letterOf(), origin).map(([name, value]): Header => [name, Buffer.from(value)]) },
	],
])("%s comes back exactly", (_, changes) => {
	const letter = letterOf(changes);
	expect(roundTrip(letter)).toMatchObject({ type: "letter", letter: changes });
});

it("names that Kafka Connect's and Spring's tools read are there, as text", () => {
	const headers = Object.fromEntries(letterHeaders(letterOf(), origin));
	expect(headers).toMatchObject({
		"__connect.errors.topic": "orders",
		"__connect.errors.partition": "3",
		"__connect.errors.offset": "17",
		"__connect.errors.connector.name": "g",
		"__connect.errors.stage": "TRANSFORMATION",
		"__connect.errors.exception.class.name": "TypeError",
		"__connect.errors.exception.message": "can't be read",
		"__connect.errors.exception.stacktrace": expect.stringContaining("handler.mjs:3:1"),
		"kafka_dlt-original-topic": "orders",
		"kafka_dlt-original-consumer-group": "g",
		"kafka_dlt-exception-fqcn": "TypeError",
		"kafka_dlt-exception-message": "can't be read",
	});
	const refused = Object.fromEntries(letterHeaders(letterOf({ stack: null, sqlstate: "22003", table: "events" }), origin));
	expect(refused).toMatchObject({ "__connect.errors.stage": "TASK_PUT", "kafka_dlt-exception-fqcn": "SQLSTATE 22003" });
});

it("texts are free of NUL and lone surrogates, and cut", () => {
	const headers = Object.fromEntries(letterHeaders(letterOf({ error: `a\0b\ud800${"x".repeat(20_000)}` }), origin));
	const message = headers["__connect.errors.exception.message"] as string;
	expect([message.slice(0, 3), message.length, message.at(-1)]).toEqual(["ab\ufffd", 8_193, "…"]);
});

it("texts are shorter still where they alone are too large for the topic", () => {
	const headers = Object.fromEntries(
		letterHeaders(letterOf({ error: "x".repeat(20_000), stack: "y".repeat(20_000) }), origin, { ageMs: 0, isBrief: true }),
	);
	expect(JSON.stringify(headers).length).toBeLessThan(2_000);
});

it("rows that were refused are named as far as there is room, and how many more there are is told", () => {
	const refusedRows = Array.from({ length: 5_000 }, (_, row) => ["events", `id-${row}`, "23514"] as const);
	const record = roundTrip(letterOf({ refusedRows }));
	const { letter } = record as { letter: StoredLetter };
	expect([letter.refusedRows.length > 1_000, letter.refusedRows.length + letter.rowsLeftOut]).toEqual([true, 5_000]);
	const few = roundTrip(letterOf({ refusedRows: refusedRows.slice(0, 300) })) as { letter: StoredLetter };
	expect([few.letter.refusedRows.length, few.letter.rowsLeftOut]).toEqual([300, 0]);
	// An earlier version's names.
	const before: TextHeader[] = [...letterHeaders(letterOf(), origin), ["pockaffe.refused-rows", '[["events","a"],["events","b"]]']];
	expect(readLetterRecord(received(before, letterOf()))).toMatchObject({
		letter: {
			refusedRows: [
				["events", "a", null],
				["events", "b", null],
			],
		},
	});
});

it("rows are named up to 64 KiB, and one that is beyond that is counted; a single row has the letter's own fields", () => {
	const row = (length: number) => ["t", "x".repeat(length - JSON.stringify(["t", "", "y"]).length - 1), "y"] as const;
	const named = (...lengths: number[]) => (roundTrip(letterOf({ refusedRows: lengths.map(row) })) as { letter: StoredLetter }).letter;
	expect(named(65_036, 500)).toMatchObject({ refusedRows: { length: 2 }, rowsLeftOut: 0 });
	expect(named(65_036, 501)).toMatchObject({ refusedRows: { length: 1 }, rowsLeftOut: 1 });
	expect(named(100)).toMatchObject({ refusedRows: [], rowsLeftOut: 0 });
	const names = (refusedRows: DeadLetter["refusedRows"]) => letterHeaders(letterOf({ refusedRows }), origin).map(([name]) => name);
	expect(names([row(100), row(100)]).filter((name) => name.startsWith("pockaffe.refused"))).toEqual(["pockaffe.refused-rows"]);
	expect(names([row(100)]).filter((name) => name.startsWith("pockaffe.refused"))).toEqual([]);
	const brief = letterHeaders(letterOf({ refusedRows: [row(50), row(50)] }), origin, { ageMs: 0.6, isBrief: true });
	expect(readLetterRecord(received(brief, letterOf()))).toMatchObject({
		letter: { refusedRows: [], rowsLeftOut: 2 },
		receivedAtMs: AT - 1,
	});
});

it("a letter of the first message of the first partition is one", () => {
	expect(roundTrip(letterOf({ partition: 0, offset: 0, timestamp: 0 }))).toMatchObject({
		letter: { partition: 0, offset: 0, timestamp: 0 },
	});
});

it.each(["replayed", "discarded"] as const)("a record tells that a letter was %s, and which", (state) => {
	const of = { topic: "orders", partition: 3, offset: 17, topicId: "Xy_1", timestamp: 1_700 };
	const content = { key: Buffer.from("k"), value: null };
	const said = { type: "mark", consumerGroup: "g", partition: 0, offset: 0, recordedAtMs: AT, state };
	expect(readLetterRecord(received(markHeaders(of, state, origin), content))).toEqual({ ...said, of });
	const ofBefore = markHeaders(of, state, origin).filter(([name]) => name !== "pockaffe.timestamp" && name !== "pockaffe.topic-id");
	expect(readLetterRecord(received(ofBefore, content))).toEqual({ ...said, of: { ...of, topicId: null, timestamp: null } });
});

it("a letter tells when its message was received", () => {
	const record = readLetterRecord(received(letterHeaders(letterOf(), origin, { ageMs: 1_500, isBrief: false }), letterOf()));
	expect(record).toMatchObject({
		receivedAtMs: AT - 1_500,
		letter: { firstAt: "2026-01-02T03:04:03.500Z", lastAt: "2026-01-02T03:04:05.000Z" },
	});
});

it.each<[string, TextHeader[]]>([
	["without headers", []],
	[
		"of Kafka Connect",
		[
			["__connect.errors.topic", "t"],
			["__connect.errors.partition", "0"],
			["__connect.errors.offset", "1"],
		],
	],
	[
		"with a partition that is no number",
		[
			["__connect.errors.topic", "t"],
			["pockaffe.consumer-group", "g"],
			["__connect.errors.partition", "x"],
		],
	],
	["with headers of ours that aren't JSON", [...letterHeaders(letterOf(), origin), ["pockaffe.headers", "{"]]],
	["that says of what is left out what can't be read", [...letterHeaders(letterOf(), origin), ["pockaffe.omitted", "{"]]],
	["with headers of ours of another shape", [...letterHeaders(letterOf(), origin), ["pockaffe.headers", "[1]"]]],
])("a record %s is none of ours", (_, headers) => {
	expect(readLetterRecord(received(headers, { key: null, value: null }))).toBeNull();
});

it("a record that somebody else wrote under these names is read as far as it makes sense, or is none", () => {
	const written = (over: Record<string, string>) => {
		const headers = letterHeaders(letterOf(), origin).map(([name, value]): TextHeader => [name, over[name] ?? value]);
		return readLetterRecord(received([...headers, ["pockaffe.age-ms", over["pockaffe.age-ms"] ?? "0"]], letterOf()));
	};
	const strange = { "pockaffe.age-ms": "1e300", "pockaffe.attempts": "many", "pockaffe.timestamp": "then" };
	expect(written(strange)).toMatchObject({ letter: { attempts: 1, timestamp: -1, firstAt: new Date(AT).toISOString() } });
	for (const number of ["", "-1", "1.5", "0x10", "9".repeat(20)]) expect(written({ "__connect.errors.offset": number })).toBeNull();
});
