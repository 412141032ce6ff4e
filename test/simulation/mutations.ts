/** What delivery depends on, each broken on purpose: the simulation must find every one of them, by the invariant that stands for it. */
import type { InvariantCode } from "./world.ts";

/** A piece of source replaced by a wrong one. `from` stands in the file exactly once. */
export interface Edit {
	readonly file: string;
	readonly from: string;
	readonly to: string;
}

/** What is broken, and how; where two guards stand behind each other both have to go. */
export interface Mutation {
	readonly what: string;
	/** The invariant that some seed must find broken. */
	readonly breaks: InvariantCode;
	readonly edits: readonly Edit[];
	/**
	 * Kinds that are there in every run: those where it shows in one seed of a hundred at least. What shows in fewer is not found any more
	 * once some other change has the seeds play something else.
	 */
	readonly kinds?: string;
}

export const mutations: readonly Mutation[] = [
	{
		what: "the tracker commits past what is unfinished",
		breaks: "committed-unsettled",
		edits: [
			{
				file: "src/kafka/offsets/offset-tracker.ts",
				from: "return this.#count === 0 ? this.#position : (this.#offsets[this.#head] as number);",
				to: "return this.#position;",
			},
		],
	},
	{
		what: "a record counts as acknowledged when the client has it",
		breaks: "committed-unsettled",
		kinds: "records",
		edits: [
			{
				file: "src/kafka/producing/record-producer.ts",
				from: "if (from + taken === to) return true;",
				to: `for (let index = from; index < to; index++) this.#acknowledged(lane, { parcel, from: index, to: index + 1 });
		if (from + taken === to) return true;`,
			},
		],
	},
	{
		what: "what a client had is sent again behind what comes next",
		breaks: "out-of-order",
		kinds: "records",
		edits: [
			{
				file: "src/kafka/producing/record-lane.ts",
				from: "this.#cursor = Math.min(this.#cursor, this.#placeOf(parcel.first));",
				to: "",
			},
			{
				file: "src/kafka/producing/record-lane.ts",
				from: "for (; this.#cursor < this.#parcels.length; this.#cursor++) {",
				to: "for (let left = this.#parcels.length; left > 0; left--, this.#cursor = (this.#cursor + 1) % this.#parcels.length) {",
			},
		],
	},
	{
		what: "an acknowledgement of an older epoch counts for the new one",
		breaks: "committed-unsettled",
		kinds: "remade",
		edits: [
			{
				file: "src/kafka/offsets/offset-ledger.ts",
				from: `if (entry === undefined || this.#entries.get(name) !== entry) return false;
			entry.tracker.finished(offset);`,
				to: "this.#entries.get(name)?.tracker.finished(offset);",
			},
			{
				file: "src/worker/outcomes/outcome-router.ts",
				from: `settledAll: (messages) => {
				if (signal.aborted) return;`,
				to: "settledAll: (messages) => {",
			},
			{
				file: "src/worker/outcomes/outcome-router.ts",
				from: `#close(held: HeldBatch, message: number): void {
		if (this.#ended.signal.aborted) return;`,
				to: "#close(held: HeldBatch, message: number): void {",
			},
		],
	},
	{
		what: "the CAS predicate lets an older row in",
		breaks: "row-moved-back",
		edits: [
			{
				file: "src/sink/writer/sql/cas-upsert.ts",
				from: '((${tuple(columns, "t")}) < (${tuple(columns, "excluded")}))',
				to: '((${tuple(columns, "t")}) <> (${tuple(columns, "excluded")}))',
			},
		],
	},
	{
		what: "a coalesced message doesn't wait for its survivor",
		breaks: "committed-unsettled",
		edits: [
			{
				file: "src/sink/writer/pending-blocks.ts",
				from: "batch.superseded[row - (this.#starts[index] as number)] = 1;",
				to: "batch.superseded[row - (this.#starts[index] as number)] = 1; batch.owner.settled(batch.block.messages[row - (this.#starts[index] as number)] as number);",
			},
		],
	},
	{
		what: "of the rows of one id in a statement the older one is sent",
		breaks: "committed-unsettled",
		edits: [
			{
				file: "src/sink/writer/pending-blocks.ts",
				from: "this.#layout.version) >= 0;",
				to: "this.#layout.version) < 0;",
			},
		],
	},
	{
		what: "a refused row takes the older versions behind it along",
		breaks: "stands-still",
		edits: [
			{
				file: "src/sink/writer/row-writer.ts",
				from: "if (superseded) pending?.putBack(superseded);",
				to: "void superseded;",
			},
		],
	},
	{
		what: "a start position in Kafka is neither noted nor stored before the first message",
		breaks: "loss-not-told",
		kinds: "records deleted",
		edits: [
			{ file: "src/kafka/starts/stored-starts.ts", from: "await noteThose(false);", to: "" },
			{
				file: "src/kafka/starts/stored-starts.ts",
				from: "return fresh.length > 0 ? [...kept, ...(await offsets.begin(fresh.map(reached)))] : kept;",
				to: 'return (offsets as { keptIn?: string }).keptIn === "kafka" ? [...kept, ...fresh] : [...kept, ...(await offsets.begin(fresh.map(reached)))];',
			},
		],
	},
	{
		what: "what is kept is believed whichever log is there",
		breaks: "committed-unsettled",
		kinds: "remade",
		edits: [{ file: "src/core/offsets/log-identity.ts", from: 'return kept === current ? "same" : "other";', to: 'return "same";' }],
	},
	{
		what: "a revocation doesn't wait for what is in hand",
		breaks: "given-away-uncommitted",
		edits: [
			{
				file: "src/supervisor/group-supervisor.ts",
				from: "await child.drain(reason, () => this.#parts.rowsBlocked({ topic, partition }));",
				to: "void [reason, topic, partition];",
			},
		],
	},
	{
		what: "a revocation is answered without a commit",
		breaks: "given-away-uncommitted",
		edits: [
			{
				file: "src/supervisor/group-supervisor.ts",
				from: "const committed = await this.#parts.commit(released, Math.max(LEAST_COMMIT_MS, leftMs));",
				to: "const committed = leftMs > -1e9;",
			},
		],
	},
	{
		what: "a last commit that a rebalance refuses is given up",
		breaks: "given-away-uncommitted",
		kinds: "calm",
		edits: [
			{
				file: "src/kafka/offsets/offset-committer.ts",
				from: 'if (result === "refused" || signal.aborted) return false;',
				to: "if (result !== null) return false;",
			},
		],
	},
	{
		what: "an end that messages lie behind is told",
		breaks: "out-of-order",
		edits: [
			{
				file: "src/kafka/polling/poller.ts",
				from: "if (offset >= nextOffset) this",
				to: "if (nextOffset >= 0) this",
			},
		],
	},
	{
		what: "a new state is not handed what the old one held",
		breaks: "committed-unsettled",
		kinds: "keeps",
		edits: [
			{
				file: "src/worker/partition-worker.ts",
				from: `this.#slot.needsRenewal();
				this.#replacement.stateEnded();`,
				to: "this.#slot.needsRenewal();",
			},
		],
	},
	{
		what: "a thread that ended for all who share it takes with it what their states held",
		breaks: "committed-unsettled",
		kinds: "keeps,shared threads",
		edits: [
			{
				file: "src/worker/thread-replacement.ts",
				from: `this.#parts.listener.restarted(this.#parts.partition, why);
		this.stateEnded();`,
				to: "this.#parts.listener.restarted(this.#parts.partition, why);",
			},
		],
	},
	{
		what: "a thread renews a state that holds messages on its way to the offender",
		breaks: "committed-unsettled",
		kinds: "keeps",
		edits: [
			{
				file: "src/worker/inside/batch-calls.ts",
				from: "if (to - from === 1 || !calls.mayRenew || calls.mustEnd())",
				to: "if (to - from === 1 || calls.mustEnd())",
			},
		],
	},
	{
		what: "a row without coordinates is newer than every message",
		breaks: "committed-unsettled",
		edits: [{ file: "src/sink/writer/sql/cas-upsert.ts", from: ") is not false`;", to: ") is true`;" }],
	},
	{
		what: "a commit is as durable as the server's setting says",
		breaks: "committed-unsettled",
		kinds: "commits that don't wait",
		edits: [{ file: "src/sink/database/durable-commit.ts", from: "('on', 'remote_apply')", to: "('on', 'remote_apply', 'off')" }],
	},
	{
		what: "a table that was put back with the same offsets is taken for what was stored last",
		breaks: "committed-unsettled",
		kinds: "restored,breaker",
		edits: [
			{ file: "src/sink/offsets/offset-statements.ts", from: " and ${writtenAt} >= x.written_at`", to: "`" },
			{ file: "src/sink/offsets/offset-table.ts", from: "found <= highest && !isOlder", to: "found <= highest" },
		],
	},
	{
		what: "a message's rows that were packed before it failed stay in the batch",
		breaks: "wrong-row",
		edits: [
			{
				file: "src/worker/inside/outcome-collector.ts",
				from: "for (const encoder of this.#encoders.values()) encoder.drop(message);",
				to: "void message;",
			},
		],
	},
	{
		what: "the row behind a failed message's delete becomes a delete",
		breaks: "wrong-row",
		edits: [{ file: "src/worker/inside/rows/row-encoder.ts", from: "this.#deletes.length = length;", to: "void length;" }],
	},
	{
		what: "a death of the process is charged to nobody",
		breaks: "stands-still",
		kinds: "deadly",
		edits: [
			{
				file: "src/worker/failures/careful-hand.ts",
				from: "[[first, (this.#deaths.get(first) ?? 0) + 1]]",
				to: "[[first, this.#deaths.get(first) ?? 0]]",
			},
		],
	},
	{
		what: "a suspect is in hand while another partition begins",
		breaks: "wrong-charge",
		kinds: "deadly beginnings",
		edits: [
			{
				file: "src/core/waiting/turn.ts",
				from: "return turn.begin(this.#loners, signal);",
				to: "return turn.begin(Promise.resolve(), signal);",
			},
			{ file: "src/core/waiting/turn.ts", from: "this.#everybody = Promise.all([this.#everybody, turn.ended]);", to: "" },
		],
	},
	{
		what: "a suspect's own new state is made while it is in hand",
		breaks: "wrong-charge",
		kinds: "deadly beginnings",
		edits: [
			{
				file: "src/worker/hand-over.ts",
				from: 'if (isSuspect && slot.renews) return { what: "needs-new-state" };',
				to: "",
			},
		],
	},
	{
		what: "a suspect is in hand while another partition halves a batch",
		breaks: "wrong-charge",
		kinds: "deadly beginnings,keeps",
		edits: [{ file: "src/worker/hand-over.ts", from: "(slot.renews || slot.mayRenew)", to: "slot.renews" }],
	},
	{
		what: "a suspect that passed is noted as in hand while another one has its turn",
		breaks: "wrong-charge",
		kinds: "deadly",
		edits: [
			{
				file: "src/worker/failures/careful-hand.ts",
				from: `this.#takenBack = this.#notes
				.note(this.evidence, signal)
				.catch(() => {})`,
				to: "this.#takenBack = Promise.resolve()",
			},
		],
	},
	{
		what: "a message that comes again leaves out what is unfinished before it",
		breaks: "committed-unsettled",
		kinds: "repeats",
		edits: [{ file: "src/supervisor/group-supervisor.ts", from: "else if (committable < offset)", to: "else if (committable < 0)" }],
	},
	{
		what: "a partition comes back to the thread that had what it left unfinished",
		breaks: "another-past",
		kinds: "breaker,eager",
		edits: [{ file: "src/daemon/given-away.ts", from: " && child.queue.handedTo <= offsets.committable", to: "" }],
	},
	{
		what: "the bytes of finished messages count for ever",
		breaks: "stands-still",
		kinds: "tight bytes",
		edits: [{ file: "src/worker/message-queue.ts", from: "this.#bytes -= held.batch.bytes.byteLength;", to: "" }],
	},
	{
		what: "a message whose letter the breaker withholds counts as finished",
		breaks: "committed-unsettled",
		kinds: "breaker",
		edits: [
			{
				file: "src/worker/outcomes/letter-gate.ts",
				from: "for (const each of [...others, { held, message }]) queue.withhold(each.held, each.message);",
				to: "for (const each of others) queue.withhold(each.held, each.message);",
			},
		],
	},
	{
		what: "a letter whose statement failed counts as stored",
		breaks: "committed-unsettled",
		kinds: "breaker",
		edits: [
			{
				file: "src/sink/dead-letters/dead-letter-table.ts",
				from: "await this.#send(batch);",
				to: "await this.#send(batch).catch(() => {});",
			},
		],
	},
];
