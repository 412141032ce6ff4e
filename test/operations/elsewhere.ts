/** Events that are no operations of this suite, because a test on real servers holds just that event: which one. */
import type { TestName } from "../support/project/fault-table.ts";

const dependent = "test/postgres/rows/dependent-rows.test.ts";
const stuck = "test/postgres/rows/stuck-rows.test.ts";
const letters = "test/contract/dead-letters.contract.ts";
const losses = "test/end-to-end/verify/verify-losses.test.ts";
const slow = "test/end-to-end/delivery/slow-handler.test.ts";
const kept = "test/kafka/kept-positions.test.ts";
const topics = "test/kafka/topics-that-change.test.ts";

export const heldElsewhere: Readonly<Record<string, readonly TestName[]>> = {
	"a dead letter of the log before, at the offset of one of this log": [
		[letters, "of an earlier log of the topic stay beside those of the new one at the same offset"],
		[losses, "a dead letter of another log stands at a lost row's offset"],
	],
	"records are deleted before they were read, and it goes on at the beginning or the end by choice": [
		[kept, "while the daemon was stopped are told once, counted, and noted (earliest)"],
		[kept, "under a running daemon are told at once, and it goes on (%s)"],
	],
	"a topic is missing at the start": [[topics, "are missing at the start: told by name, and found when they are made"]],
	"a table got its coordinates by alter table, and they are null": [
		["test/postgres/rows/total-guard.test.ts", "is replaced by a newer message alone, where the statement %s first"],
		[losses, "a row has no coordinates"],
	],
	"the database is killed where it commits asynchronously; the table is UNLOGGED": [
		["test/postgres/own-tables/durable-commit.test.ts", "is there after the server was killed"],
		["test/postgres/tables/crash-safety.test.ts", "is told at the start, which goes on"],
	],
	"a backup is put back while no daemon runs": [
		["test/end-to-end/faults/restored-backup.test.ts", "while no daemon runs is told at the start"],
		["test/end-to-end/delivery/offset-store.test.ts", "go back with a restored backup, which so catches up by itself"],
	],
	"a message returns an order and its lines, which refer to it": [
		[dependent, "loses no line: %s"],
		["test/end-to-end/delivery/dependent-rows.test.ts", "is as the log says, without a dead letter"],
	],
	"a unique value goes from one row to another": [[dependent, "goes from one row to another, 200 times: %s"]],
	"an idle transaction holds one row; a trigger fails at one": [
		[stuck, "holds up no other row, not for as long as its lock may be waited for, and who holds it is told"],
		[stuck, "with %s (%s) holds up no other row"],
	],
	"a dead letter of 20 MB": [
		["test/postgres/own-tables/dead-letters.test.ts", "takes letters of 20 and 60 MB, whatever time other statements have"],
	],
	"a slow handler is stopped, joined, left and killed": [
		[slow, "of %s: over restarts the successor handles nothing again, and nothing is lost"],
		[slow, "of %s: a member that joins and one that leaves repeat nothing"],
		[slow, "of 100 ms: its commits follow its calls, and a kill repeats little"],
	],
	"the group has as many members as it may": [["test/kafka/cannot-join.test.ts", "of members (%s): told, and in when there is room"]],
	"a standby takes over, and the former primary is read-only": [
		[
			"test/postgres/tables/database-faults.test.ts",
			"to a server that became read-only is made anew, for the address leads to the new primary by then",
		],
		[
			"test/postgres/own-tables/own-tables-faults.test.ts",
			"are refused by a read-only server, and stored by the next primary under the same epoch",
		],
	],
	"one member of many, one broker of three": [
		["test/end-to-end/delivery/rolling-restart.test.ts", "handles no message twice, and all arrive"],
		["test/end-to-end/faults/broker-faults.test.ts", "a leader of partitions"],
	],
};
