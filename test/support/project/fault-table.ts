/** Which tests hold which row of the fault table of docs/faults.md: a row without a test would be a promise. */

/** A test by its file and a piece of its title (or of its rows', where it has several). */
export type TestName = readonly [file: string, title: string];

const network = "test/end-to-end/faults/broker-network.test.ts";
const brokers = "test/end-to-end/faults/broker-faults.test.ts";
const outages = "test/end-to-end/delivery/outages.test.ts";
const processes = "test/end-to-end/faults/process-faults.test.ts";
const daemons = "test/end-to-end/faults/database-faults.test.ts";
const statements = "test/postgres/tables/database-faults.test.ts";
const mended = "test/postgres/tables/database-faults-to-mend.test.ts";
const own = "test/postgres/own-tables/own-tables-faults.test.ts";
const members = "test/kafka/group-consumer.test.ts";
const statics = "test/kafka/static-membership.test.ts";
const returns = "test/kafka/static-return.test.ts";
const topics = "test/kafka/topics-that-change.test.ts";
const kept = "test/kafka/kept-positions.test.ts";
const offsets = "test/end-to-end/delivery/offset-store.test.ts";
const ends = "test/end-to-end/faults/environment-faults.test.ts";

/** By the first column of the table, in its order. */
export const faultTests: Readonly<Record<string, readonly TestName[]>> = {
	"partitions change hands (classic, eager, KIP-848)": [
		[members, "by protocol %s: nothing is lost, and no key goes back"],
		[members, "keep their worker and its state where they stay (cooperative)"],
	],
	"all daemons are replaced one after the other": [
		["test/end-to-end/delivery/rolling-restart.test.ts", "handles no message twice, and all arrive"],
	],
	"a crash before the first commit": [[members, "is resolved and committed before the first message, and so holds after a crash"]],
	"a static member restarts within its session": [[statics, "they get what they had, and nobody notices a rebalance"]],
	"topics change while a static member restarts": [
		[returns, "are given up where its topic was made again with fewer (%s)"],
		[returns, "are read where they were added meanwhile (%s)"],
		[returns, "of a topic that was made meanwhile and fits its pattern are read"],
		[returns, "are read from the beginning where its topic was made again with more, and offsets are in postgres"],
	],
	"a static member does not come back, leaves with `--leave`, or is fenced": [
		[statics, "lose their partitions to the others"],
		[statics, "leave at their stop where --leave says so"],
		[statics, "are fenced: exit 5"],
		[statics, "whose name is taken under load end with 5 within seconds"],
	],
	"`max.poll.interval.ms` is exceeded": [
		["test/end-to-end/delivery/poll-interval.test.ts", "drops its partitions without a commit, joins anew"],
	],
	"a partition's start can't be looked up or stored": [
		["test/unit/kafka/group/assignment.test.ts", "one that can't be resolved holds up nobody else"],
		[offsets, "that can't be read hold the start up, not for good"],
	],
	"a topic or partition is created later": [
		[topics, "are found by their pattern when they are made later"],
		[topics, "get more partitions while the daemon runs"],
	],
	"a topic is deleted and created again, while a daemon runs or while none does": [
		[topics, "are deleted and made again while the daemon runs"],
		[topics, "is read from its beginning (offsets in %s)"],
		[kept, "is read from its beginning (offsets in %s, startFrom %s)"],
	],
	"a topic is deleted and not created again, or never existed": [
		[topics, "are deleted: said as such, ready no more"],
		[topics, "are missing at the start"],
	],
	"a producer's transaction hangs": [["test/kafka/standing-transaction.test.ts", "is told with both offsets and what ends it"]],
	"the group refuses the member (another protocol, too many members, a name that is taken under KIP-848)": [
		["test/kafka/cannot-join.test.ts", "for its protocol: told as such"],
		["test/kafka/cannot-join.test.ts", "of members (%s): told, and in when there is room"],
		["test/kafka/cannot-join.test.ts", "is told where kafka.protocol is consumer"],
		[statics, "by KIP-848: the newcomer says whose name it has"],
	],
	"a certificate, key or CA of `kafka.tls` is renewed on disk": [
		["test/end-to-end/secured/secured.test.ts", "takes a certificate that is renewed on disk, without a message lost or handled twice"],
		["test/unit/kafka/connecting/renewed-files.test.ts", "are taken once they have stopped changing"],
	],
	"a broker's certificate, the client's, or the password is refused": [
		["test/native/connection-failure.test.ts", "a certificate that is %s is told as that"],
		["test/end-to-end/secured/secured.test.ts", "takes a certificate that is renewed on disk, without a message lost or handled twice"],
		["test/end-to-end/secured/authorization.test.ts", "keeps trying with a wrong password, and says what to look at"],
	],
	"a right to read a topic or to use the group is revoked, or granted later": [
		["test/end-to-end/secured/rights.test.ts", "to read a topic is taken away"],
		["test/end-to-end/secured/rights.test.ts", "to the group are taken away"],
		["test/end-to-end/secured/rights.test.ts", "come after the start, under startFrom latest"],
	],
	"offsets can't be committed": [[offsets, "can't be stored are told after half a minute"]],
	"Kafka forgets the group's offsets (expired, deleted)": [[kept, "goes on from where it had come (startFrom %s)"]],
	"the next offset is outside the log": [
		[topics, "parks the partition, says so, and goes on once the offset is set right"],
		[topics, "goes to the %s offset where it is configured so"],
		[kept, "under a running daemon are told at once, and it goes on (%s)"],
		[kept, "park the partition at once where nobody chose"],
	],
	"gaps in the offsets: compaction, aborted transactions": [
		[outages, "aborted transactions are not seen, and the lag reaches 0"],
		["test/end-to-end/verify/verify.test.ts", "whose lag reaches 0 all the same"],
	],
	"the broker is killed and comes back": [[outages, "the broker is killed and comes back"]],
	"one of three brokers dies, the leader or the coordinator": [
		[brokers, "a leader of partitions"],
		[brokers, "the group's coordinator"],
	],
	"all brokers are down for longer than the session": [[brokers, "all of them, for longer than the session"]],
	"wrong `advertised.listeners`": [[network, "an advertised address where nobody listens is named by readiness and check"]],
	"a broker comes back at another address": [[network, "a broker that comes back at another address is found there"]],
	"a slow network": [[network, "slow in both directions: no rebalance, and a stop drains"]],
	"a silent network (open connections, no answer)": [
		[network, "silent for longer than the session: another member takes over"],
		[network, "silent at a stop"],
	],
	"the database is killed": [[outages, "the database is killed three times and comes back"]],
	"the database is killed, and server, database or role have `synchronous_commit = off`": [
		["test/postgres/own-tables/durable-commit.test.ts", "is there after the server was killed"],
		["test/postgres/own-tables/durable-commit.test.ts", "commits durably where the database says synchronous_commit = %s"],
	],
	"the connection is reset, and the answer is lost": [
		[statements, "that is reset when the work is done and the answer on its way"],
		[statements, "whose session is terminated in the middle of a statement"],
	],
	"a half-open connection": [
		[statements, "that is half open ends by an own deadline"],
		[daemons, "its connections fall silent"],
	],
	"fail-over to a read-only server": [
		[daemons, "the database fails over to a read-only server, and back"],
		[statements, "to a server that became read-only is made anew"],
	],
	"too many connections": [[statements, "beyond a role's limit (53300)"]],
	"disk full, a limit of the server": [
		[mended, "a disk that is full"],
		[mended, "a limit of the server's configuration"],
	],
	"statement timeout": [
		[statements, "too large for its timeout is sent in smaller ones"],
		[statements, "with one row that is too slow by itself holds up no other row"],
	],
	"deadlock, serialization failure, a lock held by another session": [
		[statements, "that meets a deadlock with another session (40P01)"],
		[statements, "that can't be serialized (40001)"],
		[statements, "that waits for another session's lock too long (55P03)"],
	],
	"password changed, login revoked": [
		[daemons, "the password is changed, and changed back"],
		[mended, "a role that may not log in"],
	],
	"table dropped and created again": [[daemons, "the table is dropped and made again"]],
	"a column is added, dropped, or gets another type; a cached plan is no longer valid": [
		[statements, "whose cached plan a changed table made invalid"],
		[mended, "a column that is dropped, and added again"],
		[mended, "a column of another type"],
	],
	"the tables of dead letters or offsets fail in one of the ways above": [
		[own, "go to a table made anew where theirs was dropped"],
		[own, "wait while the server is read-only"],
		[own, "are refused by a read-only server, and stored by the next primary under the same epoch"],
	],
	"SIGTERM with full queues": [
		[processes, "finishes what is in the handler's hands, commits it, exits 0, and the successor handles none of it again"],
	],
	"SIGTERM while Kafka or the database is down": [
		[processes, "exits 4 and says why where Kafka is away"],
		["test/end-to-end/faults/broker-dies-at-stop.test.ts", "under load (round %i): exit 4 by the deadline"],
		["test/end-to-end/faults/broker-dies-at-stop.test.ts", "with nothing left to commit: exit 0 by the deadline"],
		[daemons, "a SIGTERM while the database"],
	],
	"a second signal; a drain that takes too long": [
		[ends, "is killed by a second signal"],
		[ends, "exits 4 where the drain's deadline passes"],
	],
	"`kill -9` at any point: between handler and row, between row and commit": [
		[processes, "between the handler and the row"],
		[processes, "between the row and the commit"],
		["test/end-to-end/delivery/delivery.test.ts", "loses nothing when the daemon is killed again and again"],
	],
	"SIGSTOP for longer than the session, then SIGCONT": [[outages, "a member is frozen past its session and wakes up as a zombie"]],
	"the log's disk is full, or its reader is gone": [[processes, "costs log records, which are counted, and nothing else"]],
	"a backup of the database is restored, or a fail-over to a server that lagged loses commits": [
		[offsets, "are put back under running daemons: told, and read again from there"],
		["test/end-to-end/faults/restored-backup.test.ts", "under a running daemon is told within a minute"],
		["test/end-to-end/faults/restored-backup.test.ts", "while no daemon runs is told at the start"],
		[offsets, "go back with a restored backup, which so catches up by itself"],
	],
};
