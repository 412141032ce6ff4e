/**
 * A Postgres by script, on a loopback socket: it begins sessions, and answers each statement as the test says, in its own time or never.
 * For what a real one does only by accident. It knows as much of the protocol as the client library uses for `query` and `transaction`.
 */
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { errorFields, fieldOf, int16, int32, message, textsOf, typeOf, type Value, zeroed } from "./postgres-messages.ts";

/** An error comes behind the rows. */
export interface Answer {
	readonly rows?: readonly Readonly<Record<string, Value>>[];
	readonly error?: readonly [code: string, message: string];
	readonly hangsUp?: true;
}

/** How sessions begin. */
export interface Greeting {
	/** The process id in the greeting; null: none. Default: 1, 2, 3 … */
	readonly pid?: number | null;
	/** What `pg_backend_pid()` returns. Default: the same. */
	readonly backend?: number;
	readonly takesNoWrites?: boolean;
	/** Refuses a session that begins with this parameter. */
	readonly refuses?: readonly [parameter: string, code: string, message: string];
	/** Closes the connection instead. */
	readonly hangsUp?: boolean;
	/** Bytes that are sent at a time. Default: all. */
	readonly piece?: number;
}

export interface SentStatement {
	readonly text: string;
	/** It has a name, so that the session remembers it. */
	readonly isPrepared: boolean;
	/** Its session's number, from 1. */
	readonly session: number;
}

/** A statement without an answer yet. */
export interface HeldStatement {
	/** It has arrived. */
	readonly came: Promise<void>;
	answer(answer: Answer): void;
}

const PROTOCOL_3 = 196_608;

/** See the file's header; use with `await using`. */
export class ScriptedPostgres implements AsyncDisposable {
	readonly statements: SentStatement[] = [];
	readonly sessions: Session[] = [];
	/** Of new sessions. */
	greeting: Greeting = {};
	answer: (text: string) => Answer = () => ({});
	readonly #held: { readonly words: string; readonly came: () => void; readonly answered: Promise<Answer> }[] = [];
	readonly #server: Server;

	private constructor() {
		this.#server = createServer((socket) => {
			this.sessions.push(new Session(this, socket, this.sessions.length + 1));
		});
	}

	static async start(): Promise<ScriptedPostgres> {
		const postgres = new ScriptedPostgres();
		await new Promise<void>((resolve) => postgres.#server.listen(0, "127.0.0.1", resolve));
		return postgres;
	}

	/** `host:port`. */
	get address(): string {
		return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
	}

	/** Session and text of each statement of the user's, in the order of arrival. */
	get told(): string[] {
		return this.statements.filter(({ text }) => !text.includes("pg_backend_pid")).map(({ session, text }) => `${session}: ${text.trim()}`);
	}

	/** The next statement with these words waits for its answer. */
	hold(words: string): HeldStatement {
		let [came, answer] = [() => {}, (_: Answer) => {}];
		const hasCome = new Promise<void>((resolve) => (came = resolve));
		const answered = new Promise<Answer>((resolve) => (answer = resolve));
		this.#held.push({ words, came, answered });
		return { came: hasCome, answer };
	}

	async answerTo(text: string, { pid }: Session): Promise<Answer> {
		const at = this.#held.findIndex(({ words }) => text.includes(words));
		const [held] = at < 0 ? [] : this.#held.splice(at, 1);
		held?.came();
		if (held) return await held.answered;
		if (!text.includes("pg_backend_pid")) return this.answer(text);
		const { backend = pid ?? 0, takesNoWrites = false } = this.greeting;
		return { rows: [{ backend, takesNone: takesNoWrites && text.includes("pg_is_in_recovery") }] };
	}

	async [Symbol.asyncDispose](): Promise<void> {
		for (const { socket } of this.sessions) socket.destroy();
		await new Promise((resolve) => this.#server.close(resolve));
	}
}

/** One connection, whose messages are answered one after the other. */
class Session {
	readonly socket: Socket;
	/** What the client said at its start. */
	readonly parameters = new Map<string, string>();
	/** Resolves when the connection is closed. */
	readonly closed: Promise<void>;
	isOpen = true;
	pid: number | null = null;
	readonly #postgres: ScriptedPostgres;
	readonly #number: number;
	/** By name. */
	readonly #texts = new Map<string, string>();
	#state: "I" | "T" | "E" = "I";
	#bytes = Buffer.alloc(0);
	#begun = false;
	#bound = "";
	#described: Answer | null = null;
	/** Behind an error, everything up to the next Sync is passed over. */
	#failed = false;
	#turn: Promise<void> = Promise.resolve();

	constructor(postgres: ScriptedPostgres, socket: Socket, number: number) {
		this.#postgres = postgres;
		this.socket = socket
			.setNoDelay()
			.on("error", () => {})
			.on("data", (bytes) => this.#take(bytes));
		this.#number = number;
		this.closed = new Promise((resolve) =>
			socket.once("close", () => {
				this.isOpen = false;
				resolve();
			}),
		);
	}

	#take(bytes: Buffer): void {
		this.#bytes = Buffer.concat([this.#bytes, bytes]);
		for (;;) {
			// Only the first message has no letter.
			const header = this.#begun ? 1 : 0;
			if (this.#bytes.length < header + 4) return;
			const end = header + this.#bytes.readInt32BE(header);
			if (this.#bytes.length < end) return;
			const [letter, body] = [this.#begun ? String.fromCharCode(this.#bytes[0] as number) : "", this.#bytes.subarray(header + 4, end)];
			this.#bytes = this.#bytes.subarray(end);
			this.#begun = true;
			this.#turn = this.#turn.then(() => this.#heard(letter, body));
		}
	}

	async #heard(letter: string, body: Buffer): Promise<void> {
		if (this.#failed && letter !== "S") return;
		if (letter === "") this.#begin(body);
		else if (letter === "Q") {
			await this.#give(await this.#asked(textsOf(body)[0] as string, false), true);
			this.#say("Z", this.#state);
		} else if (letter === "P") {
			const [name, text] = textsOf(body) as [string, string];
			this.#texts.set(name, text);
			this.#say("1");
		} else if (letter === "D") {
			const name = textsOf(body.subarray(1))[0] as string;
			this.#bound = name;
			const text = this.#texts.get(name) as string;
			this.#described = await this.#asked(text, name !== "");
			const count = new Set(text.match(/\$\d+/g)).size;
			this.#say("t", int16(count), ...Array.from({ length: count }, () => int32(25)));
			this.#describe(this.#described);
		} else if (letter === "B") {
			this.#bound = textsOf(body)[1] as string;
			this.#say("2");
		} else if (letter === "E") {
			const answer = this.#described ?? (await this.#asked(this.#texts.get(this.#bound) as string, this.#bound !== ""));
			this.#described = null;
			await this.#give(answer, false);
		} else if (letter === "S") {
			this.#failed = false;
			this.#say("Z", this.#state);
		} else if (letter === "X") this.socket.end();
	}

	#begin(body: Buffer): void {
		const { pid = this.#number, hangsUp, refuses, piece } = this.#postgres.greeting;
		if (hangsUp || body.readInt32BE() !== PROTOCOL_3) {
			this.socket.end();
			return;
		}
		const texts = textsOf(body.subarray(4));
		for (let at = 0; at + 1 < texts.length; at += 2) this.parameters.set(texts[at] as string, texts[at + 1] as string);
		if (refuses && this.parameters.has(refuses[0])) {
			this.#say("E", errorFields("FATAL", refuses[1], refuses[2]));
			this.socket.end();
			return;
		}
		this.pid = pid;
		const key = pid === null ? [] : [message("K", int32(pid), int32(7))];
		const greeting = Buffer.concat([message("R", int32(0)), ...key, message("Z", "I")]);
		for (let at = 0; at < greeting.length; at += piece ?? greeting.length) {
			// Each piece is a packet of its own.
			this.#turn = this.#turn.then(() => new Promise((sent) => setImmediate(sent)));
			const bytes = greeting.subarray(at, at + (piece ?? greeting.length));
			this.#turn = this.#turn.then(() => void this.socket.write(bytes));
		}
	}

	async #asked(text: string, isPrepared: boolean): Promise<Answer> {
		this.#postgres.statements.push({ text, isPrepared, session: this.#number });
		const word = text.trim().split(/\s/)[0];
		if (word === "begin") this.#state = "T";
		if (word === "commit" || word === "rollback") this.#state = "I";
		if (word === "begin" || word === "commit" || word === "rollback" || word === "set") return {};
		return await this.#postgres.answerTo(text, this);
	}

	#describe({ rows: [row] = [] }: Answer): void {
		if (!row) {
			this.#say("n");
			return;
		}
		const columns = Object.entries(row).map(([name, value]) =>
			Buffer.concat([zeroed(name), int32(0), int16(0), int32(typeOf(value)), int16(-1), int32(-1), int16(0)]),
		);
		this.#say("T", int16(columns.length), ...columns);
	}

	async #give(answer: Answer, describes: boolean): Promise<void> {
		const { rows = [], error, hangsUp } = answer;
		if (hangsUp) {
			this.socket.end();
			return;
		}
		if (describes && rows.length > 0) this.#describe(answer);
		for (const row of rows) {
			const values = Object.values(row).map(fieldOf);
			this.#say("D", int16(values.length), ...values);
		}
		if (error) {
			this.#failed = !describes;
			if (this.#state === "T") this.#state = "E";
			this.#say("E", errorFields("ERROR", ...error));
		} else this.#say("C", zeroed(`SELECT ${rows.length}`));
	}

	#say(letter: string, ...parts: readonly (Buffer | string)[]): void {
		if (!this.socket.destroyed) this.socket.write(message(letter, ...parts));
	}
}
