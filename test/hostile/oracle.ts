/**
 * What must hold behind every hostile case, whatever was done: each message but the culprit is its own row with its own coordinates, the
 * culprit is what its case says, letters are as the log has them, offsets, metrics and `/readyz` agree with the tables, nothing burns a
 * processor, and the partition beside it never began anew.
 */
import { readFileSync } from "node:fs";
import { expect } from "vitest";
import type { GroupOffset } from "../../src/kafka/topics.ts";
import type { DaemonProcess } from "../support/daemons/daemon-process.ts";
import type { TestDatabase } from "../support/postgres/test-database.ts";
import { waitFor } from "../support/wait-for.ts";
import { CULPRIT } from "./handler-module.ts";
import type { HostileCase, Way } from "./hostile-case.ts";

export const PARTITIONS = 2;

/** A message as it was produced. */
export interface Produced {
	readonly partition: number;
	readonly key: string | null;
	readonly value: string | Buffer;
	readonly timestamp: number;
}

/** A topic of the scene: its case, and what was produced to it, by partition and offset. */
export interface PlayedTopic {
	readonly topic: string;
	readonly hostile: HostileCase;
	readonly produced: readonly (readonly Produced[])[];
}

interface Letter {
	readonly partition: number;
	readonly offset: number;
	readonly reason: string;
	readonly error: string;
	readonly stack: string | null;
	readonly state: string;
}

interface Row {
	readonly id: string;
	readonly n: number | null;
	readonly doc: string | null;
	readonly partition: number;
	readonly offset: number;
	readonly ts: number;
	readonly deleted: boolean;
}

/** What the tables hold of a topic. */
export interface Stored {
	readonly rows: readonly Row[];
	readonly letters: readonly Letter[];
}

const isCulprit = ({ partition, offset }: { readonly partition: number; readonly offset: number }) => partition === 0 && offset === CULPRIT;

/** Rows are told apart by their ids, which begin with the topic's name. */
export async function readTables({ database }: TestDatabase, { topic, produced }: PlayedTopic): Promise<Stored> {
	const ids = produced.flat().flatMap(({ key }) => key ?? []);
	const rows = await database.query(
		`select id, n::int4 as n, doc::text as doc, kafka_partition as partition, kafka_offset::int4 as "offset", kafka_ts::float8 as ts, deleted
		from events where id = any(string_to_array($1, ',')) order by kafka_partition, kafka_offset, id`,
		[ids.join()],
	);
	const letters = await database.query(
		`select partition, "offset"::int4 as "offset", reason, error, stack, state, key, value, kafka_ts::float8 as ts
		from pockaffe_dead_letters where topic = $1 order by partition, pockaffe_dead_letters."offset"`,
		[topic],
	);
	return { rows: rows as unknown as Row[], letters: letters as unknown as Letter[] };
}

/** Every message but the culprit is its row, and the culprit what its case says. A letter holds its message as the log does. */
export function tablesAreRight({ hostile: { culprit, what }, produced }: PlayedTopic, { rows, letters }: Stored): void {
	const expected = produced.flatMap((messages, partition) => messages.map((message, offset) => rowOf(message, partition, offset)));
	expect(
		rows.filter((row) => !isCulprit(row)),
		what,
	).toEqual(expected.filter((row) => !isCulprit(row)));
	expect(
		letters.filter((letter) => !isCulprit(letter)),
		what,
	).toEqual([]);
	const row = rows.find(isCulprit);
	const fate = letters.length > 0 ? "letter" : row ? "row" : "none";
	if (culprit === "row or letter") expect(["row", "letter"], what).toContain(fate);
	else if (culprit !== "any") expect([fate, letters], what).toEqual([culprit, expect.anything()]);
	if (fate === "row" && culprit !== "any") expect(row, what).toEqual(expected.find(isCulprit));
	if (fate !== "letter") return;
	const { key, value, timestamp } = (produced[0] as readonly Produced[])[CULPRIT] as Produced;
	const asProduced = { key: key === null ? null : Buffer.from(key), value: Buffer.from(value), ts: timestamp, state: "open" };
	expect(letters, what).toEqual([expect.objectContaining(asProduced)]);
	expect(["rejected", "poison", "timeout", "process_died", "row_fault"], what).toContain(letters[0]?.reason);
}

function rowOf({ key, timestamp }: Produced, partition: number, offset: number): Row {
	return { id: key ?? "", n: offset, doc: `[${offset}]`, partition, offset, ts: timestamp, deleted: false };
}

/** Counters begin at 0 with each process: only one that lived through all of it can be held against the tables. */
export async function metricsAreRight(
	daemon: DaemonProcess,
	{ topic, hostile, produced }: PlayedTopic,
	stored: Stored,
	way: Way,
): Promise<void> {
	const text = await daemon.metrics();
	const metric = (name: string, labels: string) => sumOf(text, name, [`topic="${topic}"`, labels]);
	const { rows, letters } = stored;
	const sum = (name: string, label: string, values: readonly string[]) =>
		values.reduce((total, value) => total + metric(name, `${label}="${value}"`), 0);
	const givenUp = letters.filter(({ reason }) => ["poison", "timeout", "process_died"].includes(reason)).length;
	expect(
		{
			messages: metric("pockaffe_messages_consumed_total", ""),
			finished: sum("pockaffe_handler_outcomes_total", "outcome", ["row", "delete", "none", "rejected"]) + givenUp,
			rejected: metric("pockaffe_handler_outcomes_total", 'outcome="rejected"'),
			letters: metric("pockaffe_dead_letters_total", ""),
			lag: metric("pockaffe_consumer_lag_messages", ""),
			committed: metric("pockaffe_committed_offset", ""),
			disturbed: metric("pockaffe_worker_restarts_total", 'partition="1"') > 0,
		},
		hostile.what,
	).toEqual({
		messages: produced.flat().length,
		finished: produced.flat().length,
		rejected: letters.filter(({ reason }) => reason === "rejected").length,
		letters: letters.length,
		lag: 0,
		committed: produced.flat().length,
		disturbed: way === "shared thread" || hostile.disturbs ? expect.any(Boolean) : false,
	});
	if (hostile.culprit !== "any")
		expect(metric("pockaffe_handler_outcomes_total", 'outcome="row"'), hostile.what).toBe(rows.length + refused(letters));
}

/** The rows of all topics, and no other, went in once. */
export async function rowsAreCounted(daemon: DaemonProcess, stored: readonly Stored[]): Promise<void> {
	const text = await daemon.metrics();
	const results = ["inserted", "updated", "deleted"].map((result) => sumOf(text, "pockaffe_cas_rows_total", [`result="${result}"`]));
	expect(results).toEqual([stored.flatMap(({ rows }) => rows).length, 0, 0]);
}

const refused = (letters: readonly Letter[]) => letters.filter(({ reason }) => reason === "row_fault").length;

function sumOf(text: string, name: string, labels: readonly string[]): number {
	const lines = text.split("\n").filter((line) => line.startsWith(`${name}{`) && labels.every((label) => line.includes(label)));
	return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
}

/** All of it is committed, and no more. */
export function isCommitted(offsets: readonly GroupOffset[], count: number): boolean {
	return offsets.every(({ committed }) => committed === count);
}

/** Threads that can't be ended are the only reason, and it names the module; without one there is none. */
export async function readinessIsRight(daemon: DaemonProcess, isStuck: boolean): Promise<void> {
	if (!isStuck) {
		await daemon.ready();
		expect([await daemon.metric("pockaffe_ready"), await daemon.metric("pockaffe_threads_stuck")]).toEqual([1, 0]);
		return;
	}
	await waitFor(
		() => `thread_stuck alone\n${daemon.output.slice(-2000)}`,
		async () => {
			const reasons = await daemon.notReady();
			return reasons.length > 0 && reasons.every(({ code, message }) => code === "thread_stuck" && message.includes("handler.mjs stands"));
		},
	);
	expect([await daemon.metric("pockaffe_ready"), (await daemon.metric("pockaffe_threads_stuck")) > 0]).toEqual([0, true]);
}

/** Nothing burns a processor when all is done. */
export async function isIdle(daemon: DaemonProcess): Promise<void> {
	let before = cpuTicks(daemon);
	await waitFor(
		"the daemon to be idle",
		async () => {
			await new Promise((resolve) => setTimeout(resolve, 400));
			const after = cpuTicks(daemon);
			const used = after - before;
			before = after;
			return used < 15;
		},
		20_000,
	);
}

/** Hundredths of a second. */
function cpuTicks({ child }: DaemonProcess): number {
	const fields = readFileSync(`/proc/${child.pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
	return Number(fields[11]) + Number(fields[12]);
}
