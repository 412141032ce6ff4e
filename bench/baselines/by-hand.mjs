/**
 * What a good engineer would write without PocKaffe, and the bar: node-rdkafka, JSON.parse and hand-written unnest upserts on one
 * thread. A lane per connection and an id always in the same lane, because it stays on its partition: no deadlocks and no sorting. While
 * a statement is under way the newest of each id gathers behind it. The guard is one column, the offset. No supervision, no isolation
 * of bad rows, no drain at a rebalance.
 */
import postgres from "postgres";
import { busy } from "../handlers/busy-work.mjs";
import { readTopic, task } from "./consumer.mjs";

const { databaseUrl, connections, table, rowsPerStatement = 5000, work = 0 } = task;
const SEPARATOR = "\x1e";
const sql = postgres(databaseUrl, { max: connections, fetch_types: false, onnotice() {} });
const upsert = `insert into ${table} as t (id, name, amount, note, kafka_offset)
	select * from unnest(string_to_array($1::text, e'\\x1e'), string_to_array($2::text, e'\\x1e'), string_to_array($3::text, e'\\x1e')::bigint[],
		string_to_array($4::text, e'\\x1e'), string_to_array($5::text, e'\\x1e')::bigint[])
	on conflict (id) do update set name = excluded.name, amount = excluded.amount, note = excluded.note, kafka_offset = excluded.kafka_offset
	where t.kafka_offset < excluded.kafka_offset`;

const lanes = Array.from({ length: connections }, () => ({ rows: new Map(), next: new Map(), writing: null }));

/** Sends what a lane has gathered, once its last statement is answered. */
async function write(lane, done) {
	const { rows, next } = lane;
	lane.rows = new Map();
	lane.next = new Map();
	let [ids, names, amounts, notes, offsets] = ["", "", "", "", ""];
	let separator = "";
	for (const [id, { name, amount, note, offset }] of rows) {
		ids += separator + id;
		names += separator + name;
		amounts += separator + amount;
		notes += separator + note;
		offsets += separator + offset;
		separator = SEPARATOR;
	}
	await sql.unsafe(upsert, [ids, names, amounts, notes, offsets], { prepare: true });
	for (const [partition, offset] of next) done.set(partition, offset);
	lane.writing = null;
}

async function writeNow(lane, done) {
	await lane.writing;
	if (lane.rows.size > 0) lane.writing = write(lane, done);
}

await readTopic({
	handle(messages, done, quiet) {
		let full = null;
		for (const { key, value, partition, offset } of messages) {
			if (work > 0) busy(work);
			const lane = lanes[partition % connections];
			const { name, amount, note } = JSON.parse(value.toString());
			lane.rows.set(key.toString(), { name, amount, note, offset });
			lane.next.set(partition, offset + 1);
			if (lane.rows.size >= rowsPerStatement) {
				if (lane.writing) full = lane;
				else lane.writing = write(lane, done);
			}
		}
		if (full) return writeNow(full, done);
		if (quiet) for (const lane of lanes) if (!lane.writing && lane.rows.size > 0) lane.writing = write(lane, done);
	},
	async finish(done) {
		for (const lane of lanes) {
			await writeNow(lane, done);
			await lane.writing;
		}
		await sql.end();
	},
});
