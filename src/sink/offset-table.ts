/**
 * Offsets in the database (`offsets.store: postgres`): one row per partition of a consumer group, fenced by `epoch`. Whoever is assigned
 * a partition raises its epoch, and every write names the epoch it was claimed under: a zombie's late write finds no row.
 *
 * An offset is stored in a statement of its own, when the rows before it are durable. In the rows' own statements it would make the
 * writer's connections wait for each other's lock on the partition's row, and a message's rows may lie in several statements anyway.
 *
 * Step 10 of a message's way (README).
 */
import { partitionName, type TopicPartition, type TopicPartitionOffset } from "../core/message.ts";
import type { Database, DatabaseRow } from "./database.ts";
import { durably } from "./durable-commit.ts";
import { exists, offsetsDdl } from "./schema.ts";
import { quotedTable } from "./sql-names.ts";

const UNDEFINED_TABLE = "42P01";

interface Claim {
	readonly epoch: string;
	/** The last offset that was stored under this epoch, or found. */
	offset: number;
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
	 * Stores offsets under the epochs claimed; returns the partitions whose epoch is another's by now. A statement that arrives late never
	 * moves an offset back; only one that is told to (the log was made again) does.
	 */
	async store(offsets: readonly TopicPartitionOffset[]): Promise<TopicPartition[]> {
		const held = offsets.flatMap(({ topic, partition, offset }) => {
			const claim = this.#claims.get(partitionName({ topic, partition }));
			return claim ? [{ topic, partition, next_offset: offset, epoch: claim.epoch, back: offset < claim.offset }] : [];
		});
		const rows = held.length === 0 ? [] : await this.#query(this.#statements.store, held);
		const stored = new Set(rows.map((row) => partitionName({ topic: String(row.topic), partition: Number(row.partition) })));
		const lost: TopicPartition[] = [];
		for (const { topic, partition, offset } of offsets) {
			const name = partitionName({ topic, partition });
			const claim = this.#claims.get(name);
			if (claim && stored.has(name)) claim.offset = offset;
			else lost.push({ topic, partition });
		}
		for (const partition of lost) this.#claims.delete(partitionName(partition));
		return lost;
	}

	#noteClaims(rows: readonly DatabaseRow[]): void {
		for (const { topic, partition, next_offset, epoch } of rows) {
			const name = partitionName({ topic: String(topic), partition: Number(partition) });
			this.#claims.set(name, { epoch: String(epoch), offset: Number(next_offset) });
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
	return {
		stored: `select ${claimed} from ${table} o join ${entries(...key)} on ${mine}`,
		claim: `update ${table} as o set epoch = o.epoch + 1, updated_at = now() from ${entries(...key)} where ${mine} returning ${written}`,
		begin: `insert into ${table} as o (consumer_group, topic, partition, next_offset, epoch, updated_at)
select $1::text, x.topic, x.partition, x.next_offset, 1, now() from ${entries(...key, "next_offset::bigint")}
on conflict (consumer_group, topic, partition) do update set epoch = o.epoch + 1, updated_at = now() returning ${written}`,
		store: `update ${table} as o set next_offset = case when x.back then x.next_offset else greatest(o.next_offset, x.next_offset) end, updated_at = now()
from ${entries(...key, "next_offset::bigint", "epoch::bigint", "back::boolean")} where ${mine} and o.epoch = x.epoch returning ${written}`,
	};
}

/** Every partition asked for, with what the rows say of it. */
function found(partitions: readonly TopicPartition[], rows: readonly DatabaseRow[]): (TopicPartition & { offset: number | null })[] {
	const offsets = new Map(
		rows.map(({ topic, partition, next_offset }) => [
			partitionName({ topic: String(topic), partition: Number(partition) }),
			Number(next_offset),
		]),
	);
	return partitions.map(({ topic, partition }) => ({ topic, partition, offset: offsets.get(partitionName({ topic, partition })) ?? null }));
}
