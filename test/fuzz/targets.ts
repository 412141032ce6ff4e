/** What is fuzzed: each target takes what a seed decides and throws where it meets what must not be. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { loadConfig } from "../../src/config/load.ts";
import { systemClock } from "../../src/core/clock.ts";
import type { DeadLetter } from "../../src/core/dead-letters/dead-letter.ts";
import { ExitError } from "../../src/core/errors.ts";
import type { Header, ReceivedMessage } from "../../src/core/messages/message.ts";
import { visibleText } from "../../src/core/text/visible-text.ts";
import type { Message, PartitionInfo } from "../../src/handler-api.ts";
import { letterHeaders, readLetterRecord } from "../../src/kafka/dead-letters/dead-letter-record.ts";
import { createHttpServer, type HttpServer } from "../../src/observe/http/http-server.ts";
import type { Status } from "../../src/observe/status.ts";
import { handleMessage, init } from "../../src/worker/inside/json/json-handler.ts";
import { BadOutcomeError } from "../../src/worker/inside/rows/bad-outcome.ts";
import { fieldsOf, RowEncoder } from "../../src/worker/inside/rows/row-encoder.ts";
import { deadLetter } from "../support/fakes/dead-letters.ts";
import { columnOf, layoutOf } from "../support/fakes/row-submissions.ts";
import type { Chance } from "./chance.ts";

/** One kind of input. */
export interface FuzzTarget extends AsyncDisposable {
	/** Throws, or rejects, where the input did what no input may. */
	run(chance: Chance): void | Promise<void>;
}

const nothing = async () => {};

function expectThat(holds: boolean, what: string): asserts holds {
	if (!holds) throw new Error(what);
}

/** Text on a terminal holds nothing that steers it. */
function expectHarmless(text: string): void {
	expectThat(!/(?![\t\n])[\p{Cc}\p{Bidi_Control}\u2028\u2029]/u.test(visibleText(text)), "a control character reaches the terminal");
}

const SECRET = "s3cr3t-value";
const secretKeys = [
	"database.url",
	"database",
	"kafka.sasl.password",
	"kafka.sasl",
	"kafka.tls.key",
	"http.token",
	"http",
	"kafka.properties.ssl.key.password",
];
const keys = [
	"kafka",
	"handler",
	"tables",
	"database",
	"http",
	"log",
	"batch",
	"x-own",
	"group",
	"topics",
	"columns",
	"id",
	"type",
	"port",
	"maxRows",
	"a",
];

/** Documents: loaded, or one error in words, without a secret. */
function configurations(): FuzzTarget {
	const folder = mkdtempSync(join(tmpdir(), "pockaffe-fuzz-"));
	const file = join(folder, "pockaffe.yaml");
	const tree = (chance: Chance, depth: number): unknown => {
		if (depth > 3 || chance.is(0.3))
			return chance.is(0.5) ? chance.text() : chance.pick([1, 0, -1, 70_000, true, null, [], {}, "text[]", "earliest", "127.0.0.1:1"]);
		if (chance.is(0.2)) return chance.several(3, () => tree(chance, depth + 1));
		return Object.fromEntries(chance.several(4, () => [chance.is(0.9) ? chance.pick(keys) : chance.text(), tree(chance, depth + 1)]));
	};
	return {
		run(chance) {
			const document = tree(chance, 0);
			if (typeof document === "object" && document !== null && !Array.isArray(document)) {
				const [section = "", ...rest] = chance.pick(secretKeys).split(".");
				const value: unknown = rest.reduceRight<unknown>(
					(inner, key) => ({ [key]: inner }),
					chance.pick<unknown>([SECRET, [SECRET], { a: SECRET }, `postgres://u:${SECRET}@h/d`]),
				);
				(document as Record<string, unknown>)[section] = value;
			}
			let text = stringify(document);
			const isIntact = chance.is(0.7);
			if (!isIntact) {
				const at = chance.below(text.length + 1);
				text = text.slice(0, at) + chance.text() + text.slice(at + chance.below(4));
			}
			writeFileSync(file, text);
			try {
				loadConfig({ file, environment: chance.is(0.3) ? { POCKAFFE_TABLES: chance.json() } : {}, cwd: folder });
			} catch (error) {
				expectThat(
					error instanceof ExitError && error.exitCode === 2,
					`no error in words: ${error instanceof Error ? error.stack : String(error)}\n${text}`,
				);
				// A text that was changed may have put the secret where no secret belongs.
				if (isIntact) expectThat(!error.message.includes(SECRET), `a secret is told: ${error.message}`);
				expectHarmless(error.message);
			}
		},
		[Symbol.asyncDispose]: async () => rmSync(folder, { recursive: true }),
	};
}

const types = [
	"text",
	"int4",
	"numeric(5,2)",
	"jsonb",
	"json",
	"bytea",
	"text[]",
	"jsonb[]",
	"bytea[]",
	"app.mood",
	"varchar(3)",
	"timestamptz",
	"boolean",
];

/** What a handler returns: rows, a fault, or a failed attempt that says so. */
function outcomes(): FuzzTarget {
	const layout = layoutOf({ columns: types.map((type, index) => columnOf(["a", "b"][index] ?? `c${index}`, type)) });
	return {
		run(chance) {
			const encoder = new RowEncoder(layout);
			const id = chance.is(0.7) ? chance.text() : chance.value();
			const fields = chance.is(0.8)
				? Object.fromEntries(layout.columns.filter(() => chance.is(0.4)).map(({ name }) => [name, chance.value()]))
				: chance.value();
			try {
				const row = encoder.upsert(0, id, fieldsOf(fields, true, encoder.known));
				expectThat("bytes" in row === (encoder.length === 1), "a row and a fault, or neither");
				const [block] = encoder.take({ from: 0, offsets: [0], timestamps: [0] });
				expectThat("bytes" in row === (block !== undefined), "what was taken is not what was added");
				for (const text of block?.columns ?? []) expectThat(text.isWellFormed() && !text.includes("\0"), "a text that can't be sent");
			} catch (error) {
				expectThat(error instanceof BadOutcomeError, `no failed attempt in words: ${error instanceof Error ? error.stack : String(error)}`);
				expectThat(encoder.length === 0, "a row stays behind of what failed");
			}
		},
		[Symbol.asyncDispose]: nothing,
	};
}

/** Bytes of keys and values through `pockaffe:json`: a row, a delete, nothing or a rejection, never a failure. */
function jsonMessages(): FuzzTarget {
	const states = [{}, { id: "id" }, { id: "a" }].map((options) =>
		init({ topic: "t", partition: 0, tables: ["t"] } as unknown as PartitionInfo, options, {
			tables: [layoutOf()],
			lanes: 1,
			maxBytes: 1e6,
		}),
	);
	return {
		run(chance) {
			const bytes = () => (chance.is(0.1) ? null : chance.is(0.7) ? Buffer.from(chance.json()) : chance.bytes());
			const message = {
				topic: "t",
				partition: 0,
				offset: 0,
				key: bytes(),
				value: bytes(),
				ts: 0,
				tsType: "create",
				headers: [],
			} as unknown as Message;
			const outcome = handleMessage(message, chance.pick(states)) as unknown;
			expectThat(
				typeof outcome === "object" && outcome !== null && ("id" in outcome || "reject" in outcome),
				`no row and no rejection: ${String(outcome)}`,
			);
		},
		[Symbol.asyncDispose]: nothing,
	};
}

/** Records of a topic of dead letters: those of ours come back as they were, all others are read, or are none. */
function letterRecords(): FuzzTarget {
	const received = (headers: readonly Header[], { key, value }: Pick<DeadLetter, "key" | "value">): ReceivedMessage => ({
		topic: "dlq",
		partition: 0,
		offset: 0,
		key,
		value,
		timestamp: 0,
		headers,
	});
	return {
		run(chance) {
			const bytesOrNone = () => (chance.is(0.2) ? null : chance.bytes());
			const letter = deadLetter({
				key: bytesOrNone(),
				value: bytesOrNone(),
				headers: chance.several(4, (): Header => [chance.text() || "h", bytesOrNone()]),
				error: chance.text(),
				stack: chance.is(0.5) ? chance.text() : null,
				rowId: chance.is(0.5) ? chance.text() : null,
				refusedRows: chance.several(3, () => [chance.text(), chance.text(), chance.is(0.5) ? "22003" : null] as const),
			});
			const headers = letterHeaders(letter, { consumerGroup: "g", version: "1" }).map(
				([name, value]): Header => [name, Buffer.from(value)],
			);
			const record = readLetterRecord(received(headers, letter));
			expectThat(record?.type === "letter", "a letter of ours is read as none");
			const { key, value } = record.letter;
			expectThat(
				(key?.equals(letter.key ?? Buffer.of()) ?? letter.key === null) &&
					(value?.equals(letter.value ?? Buffer.of()) ?? letter.value === null),
				"other bytes come back",
			);
			expectThat(
				JSON.stringify(record.letter.headers) === JSON.stringify(letter.headers),
				`other headers come back: ${JSON.stringify([letter.headers, record.letter.headers])}`,
			);
			const strange = headers
				.map(([name, content]): Header => (chance.is(0.3) ? [chance.is(0.8) ? name : chance.text(), bytesOrNone()] : [name, content]))
				.filter(() => chance.is(0.9));
			readLetterRecord(received(strange, letter));
		},
		[Symbol.asyncDispose]: nothing,
	};
}

/** Requests as bytes: the server answers with HTTP or hangs up, and answers the next one. */
async function httpRequests(): Promise<FuzzTarget> {
	let failure: string | null = null;
	const server: HttpServer = await createHttpServer({
		host: "127.0.0.1",
		port: 0,
		metrics: async () => ({ contentType: "text/plain", body: "up 1\n" }),
		readiness: () => ({ ready: true }),
		status: () => ({}) as Status,
		clock: systemClock,
		control: {
			control: () => true,
			skip: async () => ({ outcome: "finished", position: 1 }),
			setOffsets: async () => ({ outcome: "busy" }),
			drain: () => {},
		},
		token: "a-token-of-some-length",
		onError: (path, error) => {
			failure ??= `${path}: ${String(error)}`;
		},
	});
	const ask = (request: string | Buffer) =>
		new Promise<string>((resolve) => {
			let answer = "";
			const socket = connect(server.port, "127.0.0.1", () => socket.end(request));
			socket.setEncoding("latin1").on("data", (text: string) => {
				answer += text;
			});
			socket.on("error", () => {}).on("close", () => resolve(answer));
		});
	return {
		async run(chance) {
			const line = `${chance.pick(["GET", "POST", "HEAD", "PUT", chance.text()])} ${chance.pick(["/status", "/readyz", "/drain", "/partitions/t/0/pause", `/partitions/${chance.text()}/${chance.text()}/restart`, chance.text()])} HTTP/1.${chance.below(3)}`;
			const header = () =>
				`${chance.pick(["Host", "Authorization", "Origin", "Content-Length", "Transfer-Encoding", "X"])}: ${chance.pick(["localhost", "LOCALHOST:1", "[::1]", "evil.example", "Bearer x", "5", "chunked", chance.text()])}`;
			const request = chance.is(0.1) ? chance.bytes() : `${line}\r\n${chance.several(4, header).join("\r\n")}\r\n\r\n${chance.text()}`;
			const answer = await ask(request);
			expectThat(answer === "" || answer.startsWith("HTTP/1.1 "), `no HTTP: ${answer.slice(0, 100)}`);
			expectThat(
				!/^HTTP\/1.1 5/.test(answer) && failure === null,
				`${failure ?? answer.slice(0, 200)}\n${JSON.stringify(String(request))}`,
			);
			expectThat(
				(await ask("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")).includes("200 OK"),
				"it answers no more",
			);
		},
		[Symbol.asyncDispose]: () => server.close(0),
	};
}

/** All of them, by name. */
export const targets: Readonly<Record<string, () => FuzzTarget | Promise<FuzzTarget>>> = {
	configurations,
	outcomes,
	"json-messages": jsonMessages,
	"letter-records": letterRecords,
	"http-requests": httpRequests,
};
