/** The statements on the table of offsets (offset-table.ts). */
import { deletedLog } from "../../core/offsets/log-identity.ts";
import { durably } from "../database/durable-commit.ts";
import { jsonEntries } from "../database/json-entries.ts";
import { quotedTable } from "../database/sql-names.ts";
import { microseconds, written } from "./written-at.ts";

/** The statements. `$1` is the consumer group, `$2` the entries. */
export interface OffsetStatements {
	readonly stored: string;
	readonly claim: string;
	readonly begin: string;
	readonly store: string;
	readonly touch: string;
	readonly set: string;
	readonly forget: string;
}

/** `namesLogs`: the table has the columns that say which log an offset belongs to. */
export function offsetStatements(name: string, namesLogs: boolean): OffsetStatements {
	const table = quotedTable(name);
	const entries = (...columns: string[]) => jsonEntries(2, ["topic::text", "partition::int4", ...columns]);
	const mine = "o.consumer_group = $1::text and o.topic = x.topic and o.partition = x.partition";
	const log = namesLogs ? ", o.topic_id, o.reached_ts::text as reached_ts, o.reached_ts_offset::text as reached_ts_offset" : "";
	const writtenAt = microseconds("o.updated_at");
	const claimed = `o.topic, o.partition, o.next_offset::text as next_offset, o.epoch::text as epoch, ${writtenAt}::text as written_at${log}`;
	const returned = `${claimed}, ${durably}`;
	const position = ["next_offset::bigint", "topic_id::text", "reached_ts::bigint", "reached_ts_offset::bigint"];
	const logColumns = namesLogs ? ", topic_id, reached_ts, reached_ts_offset" : "";
	const logValues = namesLogs ? ", x.topic_id, x.reached_ts, x.reached_ts_offset" : "";
	// A partition that begins anew keeps no earlier witness: the log may be another one.
	const witness = (column: string) => `${column} = case when x.anew then x.${column} else coalesce(x.${column}, o.${column}) end`;
	const setLog = namesLogs ? `, topic_id = x.topic_id, ${witness("reached_ts")}, ${witness("reached_ts_offset")}` : "";
	const setDeleted = namesLogs ? `, topic_id = coalesce(o.topic_id, '${deletedLog}')` : "";
	// Taken from the clock and never lower: no epoch comes twice in a table that was restored to an earlier time.
	const now = "(extract(epoch from clock_timestamp()) * 1000)::bigint";
	const raised = `greatest(o.epoch + 1, ${now})`;
	const setAnew = namesLogs
		? ", topic_id = excluded.topic_id, reached_ts = excluded.reached_ts, reached_ts_offset = excluded.reached_ts_offset"
		: "";
	const inserted = (
		only = "",
		...more: string[]
	) => `insert into ${table} as o (consumer_group, topic, partition, next_offset, epoch, updated_at${logColumns})
select $1::text, x.topic, x.partition, x.next_offset, ${now}, clock_timestamp()${logValues} from ${entries(...position, ...more)}${only}
on conflict (consumer_group, topic, partition) do update set epoch = ${raised}, ${written("o")}`;
	// Reads the row under its lock, not as the statement first saw it: a daemon may store meanwhile.
	const planned = `o.next_offset = (select x.replaces from ${entries("replaces::bigint")} where x.topic = o.topic and x.partition = o.partition)`;
	const wasThere = ` where x.replaces is null or exists (select 1 from ${table} o where ${mine})`;
	const fence = ["epoch::bigint", "lowest::bigint", "highest::bigint", "written_at::bigint"];
	const asWritten = `${mine} and o.epoch = x.epoch and o.next_offset between x.lowest and x.highest and ${writtenAt} >= x.written_at`;
	return {
		stored: `select ${claimed} from ${table} o join ${entries()} on ${mine}`,
		claim: `update ${table} as o set epoch = ${raised}, ${written("o")} from ${entries()} where ${mine} returning ${returned}`,
		begin: `${inserted()} returning ${returned}`,
		set: `${inserted(wasThere, "replaces::bigint")}, next_offset = excluded.next_offset${setAnew} where ${planned} returning ${returned}`,
		store: `update ${table} as o set next_offset = x.next_offset, ${written("o")}${setLog}
from ${entries(...position, ...fence, "anew::boolean")} where ${asWritten} returning ${returned}`,
		touch: `update ${table} as o set ${written("o")} from ${entries(...fence)} where ${asWritten} returning ${returned}`,
		forget: `update ${table} as o set ${written("o")}${setDeleted} from ${entries("epoch::bigint")} where ${mine} and o.epoch = x.epoch returning ${returned}`,
	};
}
