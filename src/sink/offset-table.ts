/**
 * Offsets in the database (`offsets.store: postgres`): one row per partition of a consumer group, fenced by `epoch` and by the offset itself.
 * Whoever is assigned a partition raises its epoch, and every write names the epoch it was claimed under and the offset that its owner
 * stored last: a zombie's late write finds no row, nor does a write of an owner whose table was put back to another time.
 *
 * An offset is stored in a statement of its own, when the rows before it are durable. In the rows' own statements it would make the
 * writer's connections wait for each other's lock on the partition's row, and a message's rows may lie in several statements anyway.
 *
 * Step 10 of a message's way (README).
 */
import type { DisplacedOffset } from "../core/displaced-offset.ts";
import { partitionName, type TopicPartition, type TopicPartitionOffset } from "../core/message.ts";
import type { Database, DatabaseRow } from "./database.ts";
import { durably } from "./durable-commit.ts";
import { exists, offsetsDdl } from "./schema.ts";
import { quotedTable } from "./sql-names.ts";

const UNDEFINED_TABLE = "42P01";

/** What this member holds of a partition: under which epoch, and which offsets may be stored. */
interface Claim {
	readonly epoch: string;
	/** What was answered last: the only offset that may be there, but for those of statements without an answer. */
	offset: number;
	/** The least and greatest that may be there. */
	lowest: number;
	highest: number;
	/** Statements sent and not answered yet. */
	underway: number;
	/** Statements sent so far. */
	sent: number;
}

/** See the file's header. Promises reject with the database's error; calls may be repeated. */
export class OffsetTable {
	readonly #database: Database;
	readonly #table: string;
	readonly #group: string;
	readonly #readOnly: boolean;
	readonly #statements: { readonly stored: string; readonly claim: string; readonly begin: string; readonly store: string };
	readonly #claims = new Map<string, Claim>();

	/** `table` is `offsets.table`: a name or `schema.name`. `readOnly` is for who only looks: then it is never made. */
	constructor({
		database,
		table,
		consumerGroup,
		readOnly = false,
	}: {
		database: Database;
		table: string;
		consumerGroup: string;
		readOnly?: boolean;
	}) {
		this.#database = database;
		this.#table = table;
		this.#group = consumerGroup;
		this.#readOnly = readOnly;
		this.#statements = statementsFor(table);
	}

	/** Makes the table where it is missing. */
	async prepare(): Promise<void> {
		if (!(await exists(this.#database, this.#table))) await this.#database.query(offsetsDdl(this.#table));
	}

	/** What is stored; null where nothing is. */
	async stored(partitions: readonly TopicPartition[]): Promise<(TopicPartition & { offset: number | null })[]> {
		const rows = await this.#query(this.#statements.stored, partitions);
		return found(partitions, rows);
	}

	/** Raises the epoch of what is stored, so that nobody else can store any more; null where nothing is: `begin` has to follow. */
	async claim(partitions: readonly TopicPartition[]): Promise<(TopicPartition & { offset: number | null })[]> {
		for (const partition of partitions) this.#claims.delete(partitionName(partition));
		const rows = await this.#query(this.#statements.claim, partitions);
		this.#noteClaims(rows);
		return found(partitions, rows);
	}

	/** Stores first offsets; where another member did so meanwhile its offset holds and its epoch is raised. */
	async begin(starts: readonly TopicPartitionOffset[]): Promise<TopicPartitionOffset[]> {
		const rows = await this.#query(
			this.#statements.begin,
			starts.map(({ topic, partition, offset }) => ({ topic, partition, next_offset: offset })),
		);
		this.#noteClaims(rows);
		return rows.map(({ topic, partition, next_offset }) => ({
			topic: String(topic),
			partition: Number(partition),
			offset: Number(next_offset),
		}));
	}

	/**
	 * Stores offsets of partitions that are claimed and where what was stored last is still there; returns the others. A statement that
	 * arrives late changes nothing behind a later one.
	 */
	async store(offsets: readonly TopicPartitionOffset[]): Promise<DisplacedOffset[]> {
		const held = offsets.flatMap((each) => {
			const claim = this.#claims.get(partitionName(each));
			return claim ? [{ ...each, claim }] : [];
		});
		const rows = held.length === 0 ? [] : await this.#storeHeld(held);
		for (const row of rows) this.#answered(nameOf(row), Number(row.next_offset));
		const stored = new Set(rows.map(nameOf));
		const left = offsets.filter((each) => !stored.has(partitionName(each)));
		if (left.length === 0) return [];
		const displaced = await this.#displaced(left);
		for (const partition of displaced) this.#claims.delete(partitionName(partition));
		return displaced;
	}

	/** Those of these partitions, claimed by this member, of which not that is stored what it stored last. Changes nothing. */
	async look(partitions: readonly TopicPartition[]): Promise<DisplacedOffset[]> {
		const before = new Map(partitions.map((each) => [partitionName(each), this.#claims.get(partitionName(each))?.sent]));
		const idle = partitions.filter((each) => this.#claims.get(partitionName(each))?.underway === 0);
		if (idle.length === 0) return [];
		const displaced = await this.#displaced(idle);
		// What was stored meanwhile has been compared by the statement that did.
		return displaced.filter((each) => {
			const claim = this.#claims.get(partitionName(each));
			return claim !== undefined && claim.sent === before.get(partitionName(each));
		});
	}

	/** The range is widened before the statement is sent: from here on its effect may be there, answered or not. */
	async #storeHeld(held: readonly (TopicPartitionOffset & { readonly claim: Claim })[]): Promise<readonly DatabaseRow[]> {
		const entries = held.map(({ topic, partition, offset, claim: { epoch, lowest, highest } }) => ({
			topic,
			partition,
			next_offset: offset,
			epoch,
			lowest,
			highest,
		}));
		for (const { offset, claim } of held) {
			claim.underway++;
			claim.sent++;
			claim.lowest = Math.min(claim.lowest, offset);
			claim.highest = Math.max(claim.highest, offset);
		}
		try {
			return await this.#query(this.#statements.store, entries);
		} finally {
			for (const { claim } of held) claim.underway--;
		}
	}

	/** What is stored is known, unless another statement is under way. */
	#answered(name: string, offset: number): void {
		const claim = this.#claims.get(name);
		if (!claim) return;
		claim.offset = offset;
		if (claim.underway === 0) Object.assign(claim, { lowest: offset, highest: offset });
	}

	async #displaced(partitions: readonly TopicPartition[]): Promise<DisplacedOffset[]> {
		const rows = new Map((await this.#query(this.#statements.stored, partitions.map(keyOf))).map((row) => [nameOf(row), row]));
		return partitions.flatMap((each): DisplacedOffset[] => {
			const name = partitionName(each);
			const [claim, row] = [this.#claims.get(name), rows.get(name)];
			const partition = keyOf(each);
			const found = row ? Number(row.next_offset) : null;
			// A claim that is gone was lost before, and that was told.
			if (!claim) return [{ ...partition, kind: "taken_over", expected: found ?? 0, found }];
			const { offset: expected, epoch, lowest, highest } = claim;
			if (!row || found === null) return [{ ...partition, kind: "gone", expected, found: null }];
			if (BigInt(String(row.epoch)) > BigInt(epoch)) return [{ ...partition, kind: "taken_over", expected, found }];
			if (String(row.epoch) === epoch && found >= lowest && found <= highest) return [];
			return [{ ...partition, kind: "changed", expected, found }];
		});
	}

	#noteClaims(rows: readonly DatabaseRow[]): void {
		for (const row of rows) {
			const offset = Number(row.next_offset);
			this.#claims.set(nameOf(row), { epoch: String(row.epoch), offset, lowest: offset, highest: offset, underway: 0, sent: 0 });
		}
	}

	/** A table that was dropped under the daemon is made again; the call fails all the same, and what was in it is begun anew. */
	async #query(statement: string, entries: readonly object[]): Promise<readonly DatabaseRow[]> {
		try {
			return await this.#database.query(statement, [this.#group, JSON.stringify(entries)]);
		} catch (error) {
			if (!this.#readOnly && (error as { code?: string }).code === UNDEFINED_TABLE) await this.prepare().catch(() => {});
			throw error;
		}
	}
}

function statementsFor(name: string): { stored: string; claim: string; begin: string; store: string } {
	const table = quotedTable(name);
	const entries = (...columns: string[]) =>
		`(select ${columns.map((column) => `(e.value->>'${column.split("::")[0]}')::${column.split("::")[1]} as ${column.split("::")[0]}`).join(", ")} from json_array_elements($2::text::json) as e(value)) x`;
	const mine = "o.consumer_group = $1::text and o.topic = x.topic and o.partition = x.partition";
	const claimed = "o.topic, o.partition, o.next_offset::text as next_offset, o.epoch::text as epoch";
	const written = `${claimed}, ${durably}`;
	const key = ["topic::text", "partition::int4"];
	// By the clock, never back: in a table that was put back to another time no epoch comes a second time.
	const now = "(extract(epoch from clock_timestamp()) * 1000)::bigint";
	const raised = `greatest(o.epoch + 1, ${now})`;
	return {
		stored: `select ${claimed} from ${table} o join ${entries(...key)} on ${mine}`,
		claim: `update ${table} as o set epoch = ${raised}, updated_at = now() from ${entries(...key)} where ${mine} returning ${written}`,
		begin: `insert into ${table} as o (consumer_group, topic, partition, next_offset, epoch, updated_at)
select $1::text, x.topic, x.partition, x.next_offset, ${now}, now() from ${entries(...key, "next_offset::bigint")}
on conflict (consumer_group, topic, partition) do update set epoch = ${raised}, updated_at = now() returning ${written}`,
		store: `update ${table} as o set next_offset = x.next_offset, updated_at = now()
from ${entries(...key, "next_offset::bigint", "epoch::bigint", "lowest::bigint", "highest::bigint")}
where ${mine} and o.epoch = x.epoch and o.next_offset between x.lowest and x.highest returning ${written}`,
	};
}

function keyOf({ topic, partition }: TopicPartition): TopicPartition {
	return { topic, partition };
}

function nameOf({ topic, partition }: DatabaseRow): string {
	return partitionName({ topic: String(topic), partition: Number(partition) });
}

/** Every partition asked for, with what the rows say of it. */
function found(partitions: readonly TopicPartition[], rows: readonly DatabaseRow[]): (TopicPartition & { offset: number | null })[] {
	const offsets = new Map(rows.map((row) => [nameOf(row), Number(row.next_offset)]));
	return partitions.map(({ topic, partition }) => ({ topic, partition, offset: offsets.get(partitionName({ topic, partition })) ?? null }));
}
