/**
 * Which tests hold which promise of the README and of docs/failures.md: a promise without a test would be a wish. The fault table's are
 * in fault-table.ts.
 */
import type { TestName } from "./fault-table.ts";

const matrix = "test/thread/crash-matrix.test.ts";
const crashes = "test/thread/crashes.test.ts";
const stuckThreads = "test/end-to-end/faults/stuck-threads.test.ts";
const worker = "test/unit/worker/partition-worker.test.ts";
const intensity = "test/unit/supervisor/restart-intensity.test.ts";
const breaker = "test/unit/worker/breaker.test.ts";
const connections = "test/postgres/tables/database-faults.test.ts";
const writer = "test/postgres/rows/batch-writer.test.ts";
const mended = "test/postgres/tables/database-faults-to-mend.test.ts";
const stuck = "test/postgres/rows/stuck-rows.test.ts";
const own = "test/postgres/own-tables/own-tables-faults.test.ts";
const commands = "test/kafka/commands.test.ts";
const outages = "test/end-to-end/delivery/outages.test.ts";
const daemons = "test/end-to-end/faults/database-faults.test.ts";
const topics = "test/kafka/topics-that-change.test.ts";

/** By the words in bold at the top of the README, in their order. */
export const leadingPromises: Readonly<Record<string, readonly TestName[]>> = {
	Order: [
		["test/end-to-end/delivery/create-to-replay.test.ts", "keeps the order"],
		[worker, "hands messages over in offset order, one run at a time"],
		[commands, "puts keys where Java clients put them (murmur2)"],
	],
	"Nothing lost": [
		["test/unit/offsets/offset-tracker.test.ts", "holds the committable offset at the first unfinished message"],
		["test/simulation/simulation.test.ts", "loses nothing, from seed"],
		["test/end-to-end/delivery/delivery.test.ts", "loses nothing when the daemon is killed again and again"],
		["test/end-to-end/delivery/chaos-of-servers.test.ts", "leaves the table as the log says"],
	],
	"Rows only move forward": [
		["test/postgres/rows/convergence.test.ts", "converges to the newest row of each id"],
		["test/contract/database.postgres.test.ts", "lets nobody who read before overwrite what was written since"],
	],
	"A crash stays where it happened": [
		["test/end-to-end/faults/handler-crashes.test.ts", "each with its reason, its attempt and its partition alone"],
		["test/end-to-end/faults/handler-crashes.test.ts", "go on from the failing offset once what the handler imports is replaced"],
	],
	"One bad row is one bad row": [
		["test/end-to-end/faults/bad-input.test.ts", "dead-letters what can't be handled or written, and writes everything else"],
	],
};

/** By the first column of the table of what goes wrong, in its order. */
export const failurePromises: Readonly<Record<string, readonly TestName[]>> = {
	"the handler's module is missing, has a syntax error, lacks a dependency, exports no handler function, or imports node-rdkafka": [
		[matrix, "module missing"],
		[matrix, "syntax error"],
		[matrix, "a dependency missing"],
		[matrix, "no handler exported"],
		[matrix, "handler not a function"],
		[matrix, "node-rdkafka"],
		[worker, "restarts with a growing back-off, then parks with a reason"],
	],
	"`init` throws, rejects, ends the thread, or takes longer than `handler.timeoutMs`": [[matrix, "init"]],
	"the handler throws or rejects (with an Error or anything else), overflows the stack, or calls `process.abort` (which throws in a thread)":
		[
			[matrix, "throws a string"],
			[matrix, "overflows the stack"],
			[matrix, "calls process.abort"],
			[worker, "renew the state and hand the same message over again after a back-off that doubles to its maximum"],
		],
	"it returns something that is no outcome, an unknown field, a value that can't be passed between threads, a list of the wrong length, or more than `handler.maxOutcomeBytes`":
		[
			[matrix, "returns what is no outcome"],
			[matrix, "returns an unknown field"],
			[matrix, "returns what can't be cloned"],
			[matrix, "returns a giant"],
			[crashes, "returns a list of the wrong length from handleMessages"],
		],
	"a call of `handleMessages` with several messages fails": [
		[matrix, "that throws at one message: found by halving, its neighbours handled in order and once"],
		[matrix, "that fails with several messages and with none of them alone goes on, and it is told"],
	],
	"a message fails `handler.maxAttempts` times, the last time in a new thread": [
		["test/thread/changed-built-ins.test.ts", "innocents behind it are handled in a new thread, and none becomes poison"],
		[matrix, "that a message makes poison are maxAttempts"],
		[worker, "make a message poison: a dead letter, and the next one is handled"],
		[worker, "make a message poison: skipped where configured"],
		[worker, "make a message poison: the partition parks at it"],
		[worker, "make a message poison: the daemon is asked to stop"],
	],
	"an uncaught exception, an unhandled rejection, `process.exit`, out of memory (`workers.maxHeapMb`)": [
		[matrix, "an uncaught exception in a timer"],
		[matrix, "an unhandled rejection"],
		[matrix, "process.exit"],
		[matrix, "out of memory"],
		[worker, "charges nobody while several messages were running"],
	],
	"a call takes longer than `handler.timeoutMs` (a busy loop, a promise that never settles), or a thread does not answer for that long with no call under way (a timer that loops, work that is not awaited)":
		[
			["test/unit/thread/call-deadline.test.ts", "ends a thread that stands between two calls of a run, or behind the last"],
			[matrix, "a busy loop"],
			[matrix, "a promise that never settles"],
			[worker, "kills the thread at handler.timeoutMs and charges the message"],
		],
	"such a thread can't be ended: it waits for a child process, reads from a mount that hangs, or walks a sparse list with billions of holes":
		[
			[
				"test/thread/stuck-thread.test.ts",
				"its message is judged at the deadline, the next thread begins beside it, both partitions go on",
			],
			[stuckThreads, "is told in /readyz and by a metric, with module and message"],
			[stuckThreads, "and is still in its call is cut off at the drain's deadline"],
			[stuckThreads, "at more messages than may be so at a time ends the daemon by itself with exit code 6"],
		],
	"`terminate` throws": [
		[matrix, "terminate"],
		[matrix, "that hangs on the way to a new state costs the thread, and no message an attempt"],
	],
	"the handler patches globals or closes its output": [
		[matrix, "patches globals"],
		[crashes, "does not hurt anybody when it closes the output or patches what is global"],
	],
	"a thread's memory grows above three quarters of `workers.maxHeapMb` (heap and Buffers, without garbage)": [
		["test/unit/thread/heap-limit.test.ts", "is too much above three quarters of the limit"],
	],
	"restarts exceed `supervisor.maxRestarts`": [
		[intensity, "is exceeded by more than maxRestarts within withinMs"],
		[worker, "is tried again by itself at the longest back-off"],
		[worker, "goes on from the very offset as soon as the file changes"],
		["test/end-to-end/faults/environment-faults.test.ts", "exits 3 by policy, after the drain"],
	],
	"the process dies: a native crash, V8 out of memory, `kill -9`, a power cut": [
		["test/end-to-end/faults/deadly-messages.test.ts", "becomes a dead letter after the told number of deaths, and nobody else does"],
		["test/end-to-end/faults/deadly-messages.test.ts", "charges nobody, however often it is killed under load"],
		["test/end-to-end/faults/deadly-messages.test.ts", "charges no message where an init ends it"],
		["test/end-to-end/delivery/delivery.test.ts", "loses nothing when the daemon is killed again and again"],
		["test/end-to-end/faults/handler-crashes.test.ts", "that take the whole process commit nothing wrong"],
	],
	"the database refuses a row (SQLSTATE classes 22, 23, 44 and 54, and P0001, with the exceptions in [faults](faults.md#faults-of-the-database-by-sqlstate))":
		[
			[writer, "is found among many others"],
			["test/end-to-end/faults/bad-input.test.ts", "writes everything else"],
		],
	"the database refuses a row because of other rows: its parent is not there yet (foreign key), or another row still has its unique value":
		[
			["test/postgres/rows/dependent-rows.test.ts", "loses no line: %s"],
			["test/postgres/rows/dependent-rows.test.ts", "whose parent never comes loses that line alone, and says so"],
			["test/unit/worker/legal-logs.test.ts", "goes in whole"],
		],
	"a row's parent (foreign key) comes from another partition or topic": [
		["test/unit/sink/refused/awaited-parents.test.ts", "is refused where its table does not wait"],
		["test/unit/sink/refused/awaited-parents.test.ts", "waits for it, keeps nobody else waiting, and goes in behind it"],
		["test/postgres/rows/awaited-parents.test.ts", "waits for it, and goes in behind it"],
		["test/end-to-end/delivery/dependent-rows.test.ts", "is as the log says, without a dead letter"],
	],
	"one row of a message is refused, but the message's other rows could be written": [
		["test/unit/sink/refused/atomic-rows.test.ts", "are refused together where one of them is, and everything else goes in"],
		["test/unit/sink/refused/atomic-rows.test.ts", "are not refused for being stale"],
		[
			"test/unit/worker/partition-worker.test.ts",
			"refuses the other rows of a message with one that the thread refused, in tables that ask for it",
		],
		["test/postgres/rows/atomic-rows.test.ts", "land in one transaction"],
		[
			"test/end-to-end/delivery/dependent-rows.test.ts",
			"one of whose rows is refused leaves none of them behind, and one letter names them",
		],
	],
	"table or column missing, no permission, password changed, disk full, or any SQLSTATE that [faults](faults.md#faults-of-the-database-by-sqlstate) does not list":
		[
			[mended, "a table that is dropped, and made again"],
			[mended, "a disk that is full"],
			[
				"test/end-to-end/faults/environment-faults.test.ts",
				"waits for a table that is missing, then for its columns, and dead-letters nothing meanwhile",
			],
		],
	"the database is down, fails over to a read-only server, reports a deadlock or a lock, or resets the connection before its answer": [
		[connections, "that is reset when the work is done and the answer on its way"],
		[connections, "to a server that became read-only is made anew"],
		[connections, "that meets a deadlock with another session (40P01)"],
		[connections, "that waits for another session's lock too long (55P03)"],
	],
	"a batch is too large for the statement timeout or the server's memory": [
		[connections, "too large for its timeout is sent in smaller ones"],
		[connections, "with one row that is too slow by itself holds up no other row of its batch"],
	],
	"one row can't be written although others of its table can: another session keeps it locked, a trigger or an extension fails on it, or it is slow by itself":
		[
			["test/unit/sink/refused/stuck-rows.test.ts", "%s: all others go in, and it goes on by itself"],
			[stuck, "holds up no other row, not for as long as its lock may be waited for, and who holds it is told"],
			[stuck, "with %s (%s) holds up no other row"],
			[stuck, "a row that is slow by itself holds up neither its batch nor what comes later"],
		],
	"another session locks the whole table": [[stuck, "a locked table is told soon with who holds the lock, and no row is to blame"]],
	"the database's connection is half open": [[connections, "that is half open ends by an own deadline"]],
	"SIGTERM while the database is down": [[daemons, "a SIGTERM while the database"]],
	"dead letters can't be stored": [[own, "wait while the server is read-only"]],
	"too many dead letters (`deadLetters.breaker`: too large a share of a period's messages, or too many in a row)": [
		[breaker, "parks before the message that opened the breaker is dead-lettered; no timer tries it again"],
		[breaker, "lets one message decide when the file changes, then goes on in order"],
		[
			"test/end-to-end/letters/dead-letters.test.ts",
			"stop at the breaker: the partition parks, says so, and a person lets one message decide",
		],
	],
	"the broker is down": [
		[outages, "the broker is killed and comes back"],
		["test/end-to-end/faults/broker-faults.test.ts", "all of them, for longer than the session"],
	],
	"the next offset is outside the log": [
		[topics, "a position outside the log"],
		[topics, "goes to the %s offset where it is configured so"],
	],
	"messages are compressed with a codec that is not built in": [
		["test/unit/kafka/watches/stall-detector.test.ts", "tells a partition that stands still while its log goes on"],
	],
};
