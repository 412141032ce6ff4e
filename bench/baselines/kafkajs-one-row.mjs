/** kafkajs as its documentation begins: a message at a time, a row a statement; as many partitions at once as there are connections. */
import postgres from "postgres";
import { runKafkajs, task } from "./kafkajs-consumer.mjs";

const sql = postgres(task.databaseUrl, { max: task.connections, fetch_types: false, onnotice() {} });
const table = sql(task.table);

await runKafkajs(
	{
		partitionsConsumedConcurrently: task.connections,
		async eachMessage({ message: { key, value, offset } }) {
			const { name, amount, note } = JSON.parse(value.toString());
			await sql`insert into ${table} (id, name, amount, note, kafka_offset)
				values (${key.toString()}, ${name}, ${amount}, ${note}, ${offset})
				on conflict (id) do update set name = excluded.name, amount = excluded.amount, note = excluded.note, kafka_offset = excluded.kafka_offset
				where ${table}.kafka_offset < excluded.kafka_offset`;
		},
		autoCommitInterval: 100,
	},
	() => sql.end(),
);
