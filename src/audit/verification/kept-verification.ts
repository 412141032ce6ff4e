/**
 * The progress of a verification, saved in a folder so that an interrupted one can continue, even after a kill: how far each partition was
 * read, the rows folded so far (sorted runs), and the dead letters as they were at its beginning. It can only be continued for the same
 * configuration, handler and scope, which its identity records.
 *
 * A state is one file, which replaces the former one when it is complete. Runs that no state counts yet are overwritten.
 */
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, open, readdir, readFile, rename, rm, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { LetterPosition } from "../../core/dead-letters/dead-letter.ts";
import { ExitError, exitCodes, messageOf } from "../../core/errors.ts";
import { isAlive } from "../../core/is-alive.ts";
import { readLines } from "../../core/text/lines.ts";
import type { CoveredPartition, KeptCoverage } from "../log/log-coverage.ts";
import type { Difference } from "./findings.ts";

/** The saved state, without the runs. */
export interface VerificationState {
	readonly ranges: readonly CoveredPartition[];
	/** Null if their table or topic was missing. */
	readonly letters: readonly LetterPosition[] | null;
	readonly coverage: readonly KeptCoverage[];
	/** By partition, where to go on; this may be before the end of what was read. */
	readonly next: ReadonlyMap<string, number>;
	/** Messages read. */
	readonly messages: number;
	/** Runs by table. */
	readonly runs: Readonly<Record<string, number>>;
	readonly failed: number;
	readonly differences: readonly Difference[];
}

/** What a verification was made for, part by part: each text changes when that part changes. */
export type VerificationIdentity = Readonly<Record<string, string>>;

const FORMAT = 2;
const [STATE, NEXT, LETTERS, LOCK] = ["state.jsonl", "state.next", "letters.jsonl", "lock"];
const OWN = /^(state\.jsonl|state\.next|letters\.jsonl|lock|.*\.run)$/;
/** Characters written at a time. */
const WRITE_CHARACTERS = 65_536;

type Head = Omit<VerificationState, "letters" | "coverage" | "next"> & {
	readonly format: number;
	readonly identity: VerificationIdentity;
	readonly lettersMissing: boolean;
	readonly next: readonly (readonly [string, number])[];
};
/** A partition; its pages of gaps follow, one per line. */
type Line = { readonly partition: string; readonly next: number; readonly count: number; readonly ranges: readonly number[] } | Page;
type Page = { readonly page: number; readonly bits: string };

/** The progress of a verification, saved in a folder. One process at a time; dispose it. */
export class KeptVerification implements AsyncDisposable {
	readonly folder: string;
	readonly #identity: VerificationIdentity;
	/** The state that an earlier verification saved; null at the beginning. */
	readonly state: VerificationState | null;
	#areLettersKept: boolean;

	private constructor(folder: string, identity: VerificationIdentity, state: VerificationState | null) {
		this.folder = folder;
		this.#identity = identity;
		this.state = state;
		this.#areLettersKept = state !== null;
	}

	/** Creates the folder if it is missing. Rejects (ExitError, usage) if it is another's, in use, or of another verification. */
	static async open(folder: string, identity: VerificationIdentity): Promise<KeptVerification> {
		try {
			// For the owner only: it contains rows.
			await mkdir(folder, { recursive: true, mode: 0o700 });
			const names = await readdir(folder);
			if (!names.every((name) => OWN.test(name)))
				throw refusal(folder, "holds other files: name an empty folder, or one that does not exist");
			await lock(folder);
			try {
				return new KeptVerification(folder, identity, names.includes(STATE) ? await stateIn(folder, identity) : null);
			} catch (error) {
				await rm(join(folder, LOCK), { force: true });
				throw error;
			}
		} catch (cause) {
			if (cause instanceof ExitError) throw cause;
			throw refusal(folder, `can't be used: ${messageOf(cause)}`, cause);
		}
	}

	/** Saves this state in place of the former one; the runs are on disk by then. */
	async save({ letters, coverage, next, ...rest }: VerificationState): Promise<void> {
		try {
			if (!this.#areLettersKept) await this.#write(LETTERS, linesOf(letters ?? []));
			this.#areLettersKept = true;
			const head: Head = { format: FORMAT, identity: this.#identity, lettersMissing: letters === null, next: [...next], ...rest };
			await this.#write(NEXT, stateLines(head, coverage));
			await rename(join(this.folder, NEXT), join(this.folder, STATE));
		} catch (cause) {
			const what = `the progress can't be saved in ${this.folder}: ${messageOf(cause)}`;
			throw new ExitError(exitCodes.found, "spill", what, { cause });
		}
	}

	/** Removes everything: there is nothing to go on with. */
	async finish(): Promise<void> {
		for (const name of await readdir(this.folder)) if (OWN.test(name)) await rm(join(this.folder, name), { force: true });
		await rmdir(this.folder).catch(() => {});
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await rm(join(this.folder, LOCK), { force: true });
	}

	#write(name: string, lines: Iterable<string>): Promise<void> {
		return pipeline(lines, createWriteStream(join(this.folder, name), { mode: 0o600, flush: true }));
	}
}

async function stateIn(folder: string, identity: VerificationIdentity): Promise<VerificationState> {
	const lines = readLines(createReadStream(join(folder, STATE)));
	const { value: first } = await lines.next();
	const { format, identity: was, lettersMissing, next, ...rest } = JSON.parse(first as string) as Head;
	if (format !== FORMAT) throw refusal(folder, "is of another version of PocKaffe: remove it to begin anew");
	const others = Object.keys(identity).filter((part) => identity[part] !== was[part]);
	if (others.length > 0)
		throw refusal(folder, `was begun with another ${others.join(", another ")}: use the former one, or remove the folder to begin anew`);
	const coverage: (KeptCoverage & { gaps: { pages: Map<number, Uint8Array> } })[] = [];
	for await (const text of lines) {
		const line = JSON.parse(text) as Line;
		if ("page" in line) coverage.at(-1)?.gaps.pages.set(line.page, Buffer.from(line.bits, "base64"));
		else coverage.push({ partition: line.partition, next: line.next, gaps: { count: line.count, ranges: line.ranges, pages: new Map() } });
	}
	const letters: LetterPosition[] = [];
	for await (const line of readLines(createReadStream(join(folder, LETTERS)))) letters.push(JSON.parse(line) as LetterPosition);
	return { ...rest, coverage, next: new Map(next), letters: lettersMissing ? null : letters };
}

function* stateLines(head: Head, coverage: readonly KeptCoverage[]): Generator<string> {
	yield `${JSON.stringify(head)}\n`;
	for (const { partition, next, gaps } of coverage) {
		const { count, ranges, pages } = gaps;
		yield* linesOf([{ partition, next, count, ranges }]);
		yield* linesOf(Array.from(pages, ([page, bits]) => ({ page, bits: Buffer.from(bits).toString("base64") })));
	}
}

function* linesOf(all: Iterable<Line | LetterPosition>): Generator<string> {
	let lines = "";
	for (const each of all) {
		lines += `${JSON.stringify(each)}\n`;
		if (lines.length < WRITE_CHARACTERS) continue;
		yield lines;
		lines = "";
	}
	if (lines !== "") yield lines;
}

/** Locks the folder: two at once would overwrite each other's runs. A killed process leaves its lock behind. */
async function lock(folder: string): Promise<void> {
	const file = join(folder, LOCK);
	try {
		const handle = await open(file, "wx", 0o600);
		await handle.writeFile(String(process.pid));
		await handle.close();
	} catch (error) {
		if ((error as { code?: string }).code !== "EEXIST") throw error;
		const pid = Number(await readFile(file, "utf8"));
		if (pid !== process.pid && isAlive(pid)) throw refusal(folder, `is in use by process ${pid} (if that is not PocKaffe, remove ${file})`);
		await writeFile(file, String(process.pid));
	}
}

function refusal(folder: string, why: string, cause?: unknown): ExitError {
	return new ExitError(exitCodes.usage, "resume", `--resume ${folder}: ${why}`, { cause });
}
