/**
 * `pockaffe:json` reads most messages from their bytes (json-reader.ts), and any message by its handler. Whatever is read in the first way
 * must come to the very rows of the second.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { packMessages } from "../../../src/core/messages/message-codec.ts";
import type { PackedBatch } from "../../../src/core/messages/packed-batch.ts";
import { seededRandom } from "../../../src/core/random.ts";
import { splitTexts } from "../../../src/core/rows/joined-texts.ts";
import { type ColumnLayout, rowsOf, type TableLayout } from "../../../src/core/rows/rows.ts";
import type { Handler } from "../../../src/handler-api.ts";
import { beginRun } from "../../../src/worker/inside/handler-runs.ts";
import * as handler from "../../../src/worker/inside/json/json-handler.ts";
import { OutcomeCollector } from "../../../src/worker/inside/outcome-collector.ts";
import type { BatchOutcome, RunReply } from "../../../src/worker/thread/handler-thread.ts";
import { type PartReply, SharedProgress } from "../../../src/worker/thread/thread-protocol.ts";
import { jsonMessages } from "../../hostile/kinds/json-messages.ts";
import { Documents, type Usual } from "../../support/daemons/json-documents.ts";
import { columnOf, layoutOf } from "../../support/fakes/row-submissions.ts";

/** With TEST_JSON=all as many as take some ten seconds; the fast run has a part of them. */
const DOCUMENTS = process.env.TEST_JSON === "all" ? 100_000 : process.env.TEST_LONG ? 35_000 : 5_000;
/** Short, for a run that fails is gone on with behind its failure. */
const RUN = 50;

interface Case {
	readonly layout: TableLayout;
	readonly options?: { readonly id: string };
	readonly lanes?: number;
	readonly maxOutcomeBytes?: number;
}

interface Received {
	readonly key: Buffer | null;
	readonly value: Buffer | null;
	readonly headers?: [string, Buffer | null][];
}

/** One way of `pockaffe:json`, from message to rows. `read`: how many messages were read from their bytes. */
class Way {
	read = 0;
	lastBatch: WeakRef<PackedBatch["bytes"]> | null = null;
	readonly #state: handler.JsonState;
	readonly #results: OutcomeCollector;
	readonly #reader: handler.JsonState["reader"];

	constructor(of: Case, { fromBytes }: { readonly fromBytes: boolean }) {
		const { layout, options = {}, lanes = 1, maxOutcomeBytes: maxBytes = 1_000_000 } = of;
		const tables = [layout];
		const info = { topic: "t", partition: 0, purpose: "run", tables: [layout.name] } as const;
		this.#state = handler.init(info, options, { tables, lanes, maxBytes });
		this.#results = new OutcomeCollector({ tables, maxOutcomeBytes: maxBytes, lenient: true, lanes });
		this.#reader = fromBytes ? this.#state.reader : null;
		const reader = this.#reader;
		if (reader === null) return;
		const read = reader.read.bind(reader);
		reader.read = (...args) => {
			const bytes = read(...args);
			if (bytes > 0) this.read++;
			return bytes;
		};
	}

	/** What all messages come to, as data that can be compared. */
	async outcomes(received: readonly Received[]): Promise<readonly unknown[]> {
		const told: unknown[] = [];
		for (let from = 0; from < received.length; ) {
			const { reply, outcomes } = await this.#run(received, from);
			told.push(this.#told(outcomes));
			if (reply.ok) break;
			const { failed, failure } = reply;
			told.push({ failed, name: failure.name, message: failure.message, kind: failure.kind });
			from = failed + 1;
		}
		return told;
	}

	async #run(received: readonly Received[], from: number): Promise<{ reply: RunReply; outcomes: BatchOutcome[] }> {
		const messages = received.slice(from).map(({ key, value, headers = [] }, i) => ({
			...{ topic: "t", partition: 0, offset: 100 + from + i, timestamp: 7_000 + Math.floor((from + i) / 3), key, value, headers },
		}));
		const batch = packMessages(messages);
		this.lastBatch = new WeakRef(batch.bytes);
		this.#results.begin({ from, offsets: batch.offsets, timestamps: batch.timestamps });
		const { parts, first } = beginRun({
			...{ handler: handler as Handler, partition: { topic: "t", partition: 0 }, state: () => this.#state, batch, from, rule: "free" },
			...{ timestampType: "undefined", concurrency: 1, results: this.#results, progress: SharedProgress.forCalls(1), reader: this.#reader },
			looksFull: () => false,
			renew: () => Promise.reject(new Error("not here")),
		});
		// On a slow machine it comes in parts.
		const outcomes: BatchOutcome[] = [];
		let reply: RunReply | PartReply = await first;
		for (; "goesOn" in reply; reply = await parts.ask()) outcomes.push(reply.outcome);
		return { reply, outcomes: [...outcomes, reply.outcome] };
	}

	/** Rows by message, whatever part and block they are in. */
	#told(outcomes: readonly BatchOutcome[]): unknown {
		const each = outcomes.flatMap(({ blocks }) =>
			blocks.flatMap((block) => {
				const { length, messages, superseded, separators, lane } = block;
				const positionsOf = (texts: "offsets" | "timestamps") => [
					...(superseded ? splitTexts(superseded[texts], messages.length - length, separators) : []),
					...splitTexts(block[texts], length, separators),
				];
				const [offsets, timestamps] = [positionsOf("offsets"), positionsOf("timestamps")];
				return rowsOf(block).map((row, i) => ({ ...row, lane, offset: offsets[i], timestamp: timestamps[i] }));
			}),
		);
		each.sort((one, other) => one.message - other.message);
		const sum = (name: keyof BatchOutcome["counts"]) => outcomes.reduce((total, { counts }) => total + counts[name], 0);
		return {
			to: outcomes.at(-1)?.to,
			counts: [sum("row"), sum("delete"), sum("none"), sum("rejected")],
			rows: outcomes.reduce((total, { rows }) => total + rows, 0),
			faults: outcomes.flatMap(({ faults }) => faults),
			rejected: outcomes.flatMap(({ rejected }) => rejected),
			warnings: outcomes.flatMap(({ warnings }) => warnings),
			each,
		};
	}
}

const all: readonly ColumnLayout[] = [
	columnOf("name", "text"),
	{ ...columnOf("amount", "bigint"), path: ["price", "amount"] },
	{ ...columnOf("currency", "varchar(3)"), path: ["price", "currency"] },
	columnOf("doc", "jsonb"),
	columnOf("plain", "json"),
	columnOf("n", "numeric(10,2)"),
	columnOf("on", "boolean"),
	columnOf("at", "timestamptz"),
	columnOf("mood", "app.mood"),
	columnOf("tags", "text[]"),
	columnOf("grid", "int4[][]"),
	columnOf("docs", "jsonb[]"),
	{ ...columnOf("raw", "bytea"), encoding: "hex" },
	{ ...columnOf("blob", "bytea"), encoding: "base64" },
	{ ...columnOf("again", "text"), path: ["name"] },
];

const cases: readonly [what: string, of: Case][] = [
	["columns of every kind", { layout: layoutOf({ columns: all }), lanes: 3 }],
	[
		"a few columns that most documents fill",
		{ layout: layoutOf({ columns: [columnOf("name", "text"), columnOf("doc", "jsonb"), columnOf("mood", "app.mood")] }) },
	],
	[
		"an object and what is in it",
		{
			layout: layoutOf({
				columns: [
					columnOf("price", "jsonb"),
					{ ...columnOf("amount", "text"), path: ["price", "amount"] },
					{ ...columnOf("deep", "text"), path: ["price", "x", "deep"] },
					{ ...columnOf("odd", "text"), path: ["price", "length"] },
					{ ...columnOf("wide", "text"), path: ["é"] },
					{ ...columnOf("zero", "text"), path: ["doc", "0"] },
				],
			}),
		},
	],
	[
		"a field that is the id, an integer, and a version field",
		{
			layout: layoutOf({
				id: { column: "id", type: "int" },
				columns: [columnOf("n", "numeric(10,2)"), columnOf("name", "text"), columnOf("id2", "text")],
				version: { kind: "field", column: "n", type: "numeric" },
			}),
			options: { id: "amount" },
		},
	],
	[
		"a field that is the id, a text, and a column that takes it too",
		{ layout: layoutOf({ columns: [columnOf("name", "text"), columnOf("at", "timestamptz")] }), options: { id: "name" }, lanes: 4 },
	],
	[
		"a path to the id, which no column takes",
		{
			layout: layoutOf({ id: { column: "id", type: "bigint" }, columns: [columnOf("n", "int4"), columnOf("name", "text")] }),
			options: { id: "price.amount" },
		},
	],
	[
		"a uuid as the id, and a column that must have a value",
		{
			layout: layoutOf({ id: { column: "id", type: "uuid" }, columns: [{ ...columnOf("name", "text"), nullable: false }] }),
			options: { id: "id" },
		},
	],
	["rows that may be of 200 bytes", { layout: layoutOf({ columns: all }), maxOutcomeBytes: 200 }],
];

const fields = {
	name: "text",
	price: "object",
	amount: "number",
	currency: { oneOf: ['"EUR"', '"CHF"', "17"] },
	doc: "object",
	plain: "any",
	n: "number",
	on: "boolean",
	at: { oneOf: ['"2026-01-01T10:00:00Z"', '"2026-01-01T10:00:00.123456+02:00"', '"infinity"', '"yesterday"'] },
	mood: "text",
	tags: "list",
	grid: { oneOf: ["[[1,2],[3,4]]", "[[1.50]]", '"{1,2}"', "[]"] },
	docs: "list",
	raw: { oneOf: ['"0aff"', '""', '"0"', '"AB"'] },
	blob: { oneOf: ['"AQID"', '"AQ=="', '"A"'] },
	id: { oneOf: ['"550e8400-e29b-41d4-a716-446655440000"', '"{550E8400E29B41D4A716446655440000}"', '"5"', "7"] },
} satisfies Record<string, Usual>;
const keys = ["k", "id-17", "é", "日本", "", "a\u001eb", "\u001d", "n\0l", "550e8400-e29b-41d4-a716-446655440000", "12", "012"];

describe("pockaffe:json, read from the bytes and by its handler", () => {
	it.each(cases)("comes to the same of generated documents: %s", async (_, of) => {
		const random = seededRandom(11);
		const documents = new Documents({ random, fields });
		const oneOf = <T>(values: readonly T[]) => values[Math.floor(random() * values.length)] as T;
		const [reads, handles] = [new Way(of, { fromBytes: true }), new Way(of, { fromBytes: false })];
		const count = Math.ceil(DOCUMENTS / cases.length / RUN);
		for (let run = 0; run < count; run++) {
			// In every other run all is UTF-8, so that what is not ASCII is not looked at message by message.
			const badKeys = run % 2 === 0 ? [] : [Buffer.from([0xc3]), Buffer.from([0xa9])];
			const received = Array.from({ length: RUN }, () => ({
				key: random() < 0.01 ? null : oneOf([...keys.map((key) => Buffer.from(key)), ...badKeys]),
				value: random() < 0.02 ? null : documents.next(),
				headers: random() < 0.02 ? ([["h", Buffer.from([0xff, 0xc3])]] as [string, Buffer][]) : [],
			}));
			const [is, must] = [await reads.outcomes(received), await handles.outcomes(received)];
			// A comparison by the test runner takes longer than both ways.
			if (JSON.stringify(is) !== JSON.stringify(must)) expect(is).toEqual(must);
		}
		expect(reads.read / count / RUN).toBeGreaterThan(0.01);
	});

	it.each(cases)("comes to the same of what hostile messages bring, and of numbers that need care: %s", async (_, of) => {
		const hostile = jsonMessages.cases.map(({ message = {} }) => message.value ?? null);
		const numbers = ["-0", "1e400", "0.10", "12345678901234567890", "1E-7", "0.0000001"].map((n) => `{"n":${n},"doc":[${n}],"name":${n}}`);
		const received = [...hostile, ...numbers].map((value) => ({
			key: Buffer.from("k"),
			value: typeof value === "string" ? Buffer.from(value) : value,
		}));
		const [reads, handles] = [new Way(of, { fromBytes: true }), new Way(of, { fromBytes: false })];
		expect(await reads.outcomes(received)).toEqual(await handles.outcomes(received));
	});
});

/** Otherwise the handler reads it, which takes several times as long: the rows are the same, so no other test would tell. */
describe("a usual document is read from its bytes alone", () => {
	const columns = [
		...[columnOf("name", "text"), columnOf("n", "int8"), columnOf("on", "boolean"), columnOf("tags", "jsonb")],
		{ ...columnOf("amount", "text"), path: ["price", "amount"] },
	];
	it.each([
		["flat", '{"name":"a","n":17,"on":true}'],
		["with nulls and negative numbers", '{"name":null,"n":-3,"on":false}'],
		["with an object whose field is wanted", '{"price":{"currency":"EUR","amount":"1.50"},"n":1}'],
		["with an empty object and an empty list", '{"price":{},"tags":[],"n":1}'],
		["with objects and lists that nobody wants", '{"other":{"a":{"b":[1,{"c":null,"d":"e"}]},"f":[[],{}]},"name":"a"}'],
		["with a list that is a column", '{"tags":["a",{"b":[1,2.5]},null,true],"name":"x"}'],
		["with characters beyond ASCII", '{"name":"é日本😀","n":1}'],
		["with an escape", '{"name":"a\\nb \\"c\\" \\u00e9","n":1}'],
		["with white space", ' {\n\t"name" : "a" ,\r\n "n" : 1 , "tags" : [ 1 , 2 ] }\n'],
		["long", `{"name":"${"x".repeat(5_000)}","n":1}`],
	])("%s", async (_, text) => {
		const reads = new Way({ layout: layoutOf({ columns }) }, { fromBytes: true });
		// The handler reads the first with a field that no column takes, because it warns of it.
		const values = ['{"name":"a","stranger":1}', text];
		await reads.outcomes(values.map((value) => ({ key: Buffer.from("k"), value: Buffer.from(value) })));
		expect(reads.read).toBe(1);
	});
});

it("holds the bytes of a run no longer than the run", async () => {
	const reads = new Way({ layout: layoutOf({ columns: [columnOf("name", "text")] }) }, { fromBytes: true });
	const received = (i: number) => ({ key: Buffer.from(`k${i}`), value: Buffer.from('{"name":"é"}') });
	await reads.outcomes(Array.from({ length: 10 }, (_, i) => received(i)));
	const batch = reads.lastBatch;
	expect([reads.read, batch?.deref() !== undefined]).toEqual([10, true]);
	setFlagsFromString("--expose-gc");
	const collect = runInNewContext("gc") as () => void;
	// A reference that was looked at lives to the end of the turn.
	await new Promise((resolve) => setImmediate(resolve));
	collect();
	expect(batch?.deref()).toBeUndefined();
});
