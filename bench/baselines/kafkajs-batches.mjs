/** kafkajs, a fetched batch at a time, written in upserts of several rows with the database library's own helper. */
import postgres from "postgres";
import { runKafkajs, task } from "./kafkajs-consumer.mjs";

const ROWS_PER_STATEMENT = 1000;
const sql = postgres(task.databaseUrl, { max: task.connections, fetch_types: false, onnotice() {} });
const table = sql(task.table);

function upsert(rows) {
	// Two statements at a time would lock each other's rows in the other order, unless all are sorted.
	rows.sort((left, right) => (left.id < right.id ? -1 : 1));
	return sql`insert into ${table} ${sql(rows, "id", "name", "amount", "note", "kafka_offset")}
		on conflict (id) do update set name = excluded.name, amount = excluded.amount, note = excluded.note, kafka_offset = excluded.kafka_offset
		where ${table}.kafka_offset < excluded.kafka_offset`;
}

await runKafkajs(
	{
		partitionsConsumedConcurrently: task.connections,
		eachBatchAutoResolve: false,
		async eachBatch({ batch: { messages }, resolveOffset, heartbeat, commitOffsetsIfNecessary, isRunning, isStale }) {
			for (let from = 0; from < messages.length && isRunning() && !isStale(); from += ROWS_PER_STATEMENT) {
				const some = messages.slice(from, from + ROWS_PER_STATEMENT);
				const newest = new Map();
				for (const { key, value, offset } of some) {
					const { name, amount, note } = JSON.parse(value.toString());
					const id = key.toString();
					newest.set(id, { id, name, amount, note, kafka_offset: offset });
				}
				await upsert([...newest.values()]);
				resolveOffset(some.at(-1).offset);
				await commitOffsetsIfNecessary();
				await heartbeat();
			}
		},
		autoCommitInterval: 100,
	},
	() => sql.end(),
);
