import { describe, expect, it } from "vitest";
import { type Evidence, type HandNote, type Suspicion, suspicionAt } from "../../../src/core/messages/hand-note.ts";
import { Turn } from "../../../src/core/waiting/turn.ts";
import { settle } from "../../support/fakes/manual-clock.ts";
import { WorkerHarness } from "../../support/fakes/worker-harness.ts";

const note = (over: Partial<HandNote> = {}): HandNote => ({ by: "it", began: 5, held: null, deaths: [], ...over });

describe("what a start makes of the note of the one before", () => {
	it.each<[string, HandNote | null, Suspicion | null]>([
		["nothing is noted", null, null],
		["the partition was given away in order", note({ by: null }), null],
		["it had begun a whole run before, and so has made progress", note({ began: -1_995 }), null],
		["it had begun a little before: each start may come a little further", note({ began: 3 }), { held: null, deaths: [], until: 10_005 }],
		["it had begun at the same offset and was not given away", note(), { held: null, deaths: [], until: 10_005 }],
		[
			"its run is noted, as far as it is not committed",
			note({ began: 3, held: { from: 3, to: 9 } }),
			{ held: { from: 5, to: 9 }, deaths: [], until: 10_005 },
		],
		["all of its run is committed", note({ began: -1_995, held: { from: 3, to: 5 }, deaths: [[4, 2]] }), null],
		[
			"deaths are noted, whether or not it was given away",
			note({ by: null, deaths: [[7, 2]] }),
			{ held: null, deaths: [[7, 2]], until: 10_005 },
		],
	])("%s", (_, left, suspicion) => {
		expect(suspicionAt(left, 5)).toEqual(suspicion);
	});
});

/** A worker at offset 0 with this evidence, and what it noted. `hold` makes the next note wait. */
function careful(
	over: Partial<Suspicion> = {},
	{ turn = new Turn(), ...settings }: { turn?: Turn; maxAttempts?: number; onPoison?: "park" | "stop" } = {},
) {
	const noted: Evidence[] = [];
	const state = { committed: 0, hold: false, go: () => {} };
	const h = new WorkerHarness({
		...settings,
		turn,
		hand: {
			suspicion: { held: null, deaths: [], until: 1_000, ...over },
			committed: () => state.committed,
			note: async (evidence) => {
				noted.push(evidence);
				if (state.hold) await new Promise<void>((resolve) => (state.go = resolve));
			},
		},
	});
	const words = () =>
		noted.map(
			({ held, deaths }) =>
				`${held ? `${held.from}-${held.to - 1}` : "none"}${deaths.map(([offset, count]) => ` ${offset}:${count}`).join("")}`,
		);
	return { h, state, words };
}

/** So many messages each; their threads begin together, and are ready in this order. */
async function running(...workers: [WorkerHarness, number][]): Promise<void> {
	for (const [h, count] of workers) await h.deliver(count);
	for (const [h] of workers) await h.act(() => h.thread.ready());
}

describe("a partition that the process died with", () => {
	it("hands over short runs that grow, each noted before, and charges nobody", async () => {
		const { h, words } = careful();
		await h.running(12);
		for (let run = 0; run < 4; run++) await h.act(() => h.thread.handled());
		expect(h.runs).toEqual(["0", "1 2", "3 4 5 6", "7 8 9 10 11"]);
		expect(words()).toEqual(["0-0", "1-2", "3-6", "7-11"]);
		expect(h.events).toEqual(["started", "careful"]);
	});

	it("hands nothing over before it is noted", async () => {
		const { h, state } = careful();
		state.hold = true;
		await h.running(1);
		expect(h.runs).toEqual([]);
		await h.act(() => state.go());
		expect(h.runs).toEqual(["0"]);
	});

	it("makes runs shorter that take long: their messages would be suspects", async () => {
		const { h } = careful();
		await h.running(20);
		for (const ms of [0, 0, 500, 500, 500]) {
			await h.clock.advance(ms);
			await h.act(() => h.thread.handled());
		}
		expect(h.runs).toEqual(["0", "1 2", "3 4 5 6", "7 8", "9", "10"]);
	});

	it("is as others again when enough is committed, or the end that the log had", async () => {
		const { h, state, words } = careful();
		await h.running(2);
		h.worker.readToEnd(1);
		state.committed = 1;
		await h.act(() => h.thread.handled());
		expect([h.runs, words(), h.worker.isCareful]).toEqual([["0", "1"], ["0-0", "none"], false]);
		expect(h.events).toEqual(["started", "careful", "careful no more"]);
		await h.deliver(3);
		await h.act(() => h.thread.handled());
		expect(h.runs.at(-1)).toBe("2 3 4");
	});

	it("hands suspects over alone, noted as dead with this time, and forgets those that pass", async () => {
		const { h, words } = careful({ held: { from: 1, to: 3 } });
		await h.running(5);
		for (let run = 0; run < 4; run++) await h.act(() => h.thread.handled());
		expect(h.runs).toEqual(["0", "1", "2", "3 4"]);
		expect(words()).toEqual(["0-0", "1-1 1:1", "2-2", "2-2 2:1", "none", "3-4"]);
		expect(h.worker.evidence).toEqual({ held: null, deaths: [] });
	});

	it("keeps what is known of deaths while earlier messages are handed over again", async () => {
		const { h, words } = careful({ deaths: [[2, 1]] });
		await h.running(4);
		for (let run = 0; run < 3; run++) await h.act(() => h.thread.handled());
		expect(words()).toEqual(["0-0 2:1", "1-1 2:1", "2-2 2:2", "none", "3-3"]);
	});

	it("gives up a message with as many deaths as it has attempts, before the handler sees it, and names them", async () => {
		const { h } = careful({ deaths: [[1, 3]] });
		await h.running(3);
		await h.act(() => h.thread.handled());
		await h.act(() => h.thread.handled());
		expect(h.runs).toEqual(["0", "2"]);
		expect(h.letters).toMatchObject([
			{ offset: 1, reason: "process_died", attempts: 3, error: "the process died 3 times while the handler had this message" },
		]);
		expect(h.crashes).toMatchObject([{ kind: "process", attempt: 3, coordinates: { offset: 1 }, next: { action: "dead-letter" } }]);
	});

	it("makes a message that was charged wait by chance, so that who kills by the clock does not meet it each time", async () => {
		const { h, words } = careful({ deaths: [[0, 1]] });
		h.random = 0.5;
		await h.running(2);
		await h.clock.advance(900);
		expect([words(), h.runs]).toEqual([[], []]);
		await h.clock.advance(200);
		expect([words(), h.runs]).toEqual([["0-0 0:2"], ["0"]]);
		await h.act(() => h.thread.handled());
		expect(h.runs).toEqual(["0", "1"]);
	});

	it("counts deaths as attempts that failed", async () => {
		const { h } = careful({ deaths: [[0, 2]] });
		await h.running(1);
		await h.act(() => h.thread.threw());
		expect(h.letters).toMatchObject([{ offset: 0, attempts: 3, error: "boom" }]);
	});

	it("notes the deaths of a message that was given up until its letter is committed", async () => {
		const { h, state, words } = careful({ deaths: [[0, 3]] });
		h.storeLetter = () => new Promise(() => {});
		await h.running(3);
		state.committed = 1;
		await h.act(() => h.thread.handled());
		expect(words()).toEqual(["1-1 0:3", "2-2"]);
	});

	it("leaves what is still suspected to the next owner", async () => {
		const { h } = careful({ held: { from: 0, to: 3 }, deaths: [[5, 1]] });
		await h.running(2);
		await h.act(() => h.thread.handled());
		expect(h.worker.evidence).toEqual({ held: { from: 1, to: 3 }, deaths: [[5, 1]] });
	});

	it("parks a killer without a timer, and tries it once more for a changed handler", async () => {
		const { h } = careful({ deaths: [[0, 3]] }, { onPoison: "park" });
		await h.deliver(1);
		await h.clock.advance(3_600_000);
		await settle();
		expect([h.worker.state.name, h.threads.length, h.crashes.length]).toEqual(["parked", 0, 1]);
		await h.act(() => h.worker.handlerChanged());
		await h.act(() => h.thread.ready());
		await h.act(() => h.thread.handled());
		expect(h.finished).toEqual([0]);
	});

	it("has one suspect in hand at a time in the whole process, so that the culprit alone is charged", async () => {
		const turn = new Turn();
		const first = careful({ held: { from: 0, to: 2 } }, { turn });
		const second = careful({ held: { from: 0, to: 1 } }, { turn });
		await running([first.h, 2], [second.h, 1]);
		expect([first.words(), second.words()]).toEqual([["0-0 0:1"], []]);
		await first.h.act(() => first.h.thread.handled());
		await settle();
		expect([first.words(), second.words()]).toEqual([["0-0 0:1", "1-1"], ["0-0 0:1"]]);
		await second.h.act(() => second.h.thread.handled());
		await settle();
		expect(first.h.runs).toEqual(["0", "1"]);
	});

	it("takes the note of a suspect that passed back before another one has its turn, or it would be charged with that one's death", async () => {
		const turn = new Turn();
		const first = careful({ held: { from: 0, to: 1 } }, { turn });
		const second = careful({ held: { from: 0, to: 1 } }, { turn });
		await running([first.h, 1], [second.h, 1]);
		first.state.hold = true;
		await first.h.act(() => first.h.thread.handled());
		await settle();
		expect([first.words(), second.words()]).toEqual([["0-0 0:1", "none"], []]);
		first.state.go();
		await settle();
		expect(second.words()).toEqual(["0-0 0:1"]);
	});

	it("gives its turn up while a failed message waits for its next attempt", async () => {
		const turn = new Turn();
		const first = careful({ held: { from: 0, to: 1 } }, { turn });
		const second = careful({ held: { from: 0, to: 1 } }, { turn });
		await running([first.h, 1], [second.h, 1]);
		await first.h.act(() => first.h.thread.threw());
		await settle();
		expect([first.h.worker.state.name, second.h.runs]).toEqual(["backing-off", ["0"]]);
	});

	it("has a suspect in hand while no other partition begins: a death of that one's module or init would be the suspect's", async () => {
		const turn = new Turn();
		const { h, state, words } = careful({ held: { from: 0, to: 1 } }, { turn });
		const beginner = new WorkerHarness({ turn });
		await h.running(1);
		await beginner.deliver(1);
		expect([words(), beginner.worker.state.name, beginner.threads.length]).toEqual([["0-0 0:1"], "starting", 0]);
		state.hold = true;
		await h.act(() => h.thread.handled());
		expect([words(), beginner.threads.length]).toEqual([["0-0 0:1", "none"], 0]);
		await h.act(() => state.go());
		expect(beginner.thread.calls).toEqual(["start"]);
	});

	it("waits with a suspect for those that begin, as long as that takes and no longer", async () => {
		const turn = new Turn();
		const beginner = new WorkerHarness({ turn });
		const other = new WorkerHarness({ turn });
		await beginner.deliver(1);
		await other.deliver(1);
		const { h, words } = careful({ held: { from: 0, to: 1 } }, { turn });
		await h.running(1);
		expect(words()).toEqual([]);
		await beginner.act(() => beginner.thread.ready());
		expect(words()).toEqual([]);
		await other.act(() => other.thread.failToStart("init"));
		expect([words(), beginner.worker.state.name, other.worker.state.name]).toEqual([["0-0 0:1"], "running", "backing-off"]);
	});

	it("has a suspect in hand while no other partition makes a new state", async () => {
		const turn = new Turn();
		const { h, words } = careful({ held: { from: 0, to: 2 } }, { turn });
		const other = new WorkerHarness({ turn });
		await running([other, 2], [h, 2]);
		await other.act(() => other.thread.threw());
		await other.clock.advance(100);
		expect([words(), other.runs]).toEqual([["0-0 0:1"], ["0 1"]]);
		await h.act(() => h.thread.handled());
		expect([words(), other.runs]).toEqual([
			["0-0 0:1", "1-1"],
			["0 1", "0"],
		]);
		// What was handled with it shows that it is made.
		await other.act(() => other.thread.handledSoFar([0]));
		expect(words()).toEqual(["0-0 0:1", "1-1", "1-1 1:1"]);
	});

	it("has a suspect in hand while no other partition has a batch: its halves would get new states", async () => {
		const turn = new Turn();
		const { h, words } = careful({ held: { from: 0, to: 2 } }, { turn });
		const other = new WorkerHarness({ turn });
		await other.deliver(2);
		await h.deliver(2);
		await other.act(() => other.thread.ready("batch"));
		await h.act(() => h.thread.ready());
		await other.act(() => other.thread.handledSoFar([0]));
		expect([words(), other.runs]).toEqual([[], ["0 1"]]);
		await other.deliver(1);
		await other.act(() => other.thread.handledTo(2, 1));
		expect([words(), other.runs]).toEqual([["0-0 0:1"], ["0 1"]]);
		await h.act(() => h.thread.handled());
		expect(other.runs).toEqual(["0 1", "2"]);
	});

	it("makes a suspect's new state before it is in hand", async () => {
		const { h, words } = careful({ held: { from: 0, to: 1 } });
		await h.running(1);
		await h.act(() => h.thread.threw());
		await h.clock.advance(100);
		expect(h.threads.map(({ calls }) => calls)).toEqual([["start", "run 0", "terminate failed"], ["start"]]);
		expect(words()).toEqual(["0-0 0:1", "0-0"]);
		await h.act(() => h.thread.ready());
		expect(words()).toEqual(["0-0 0:1", "0-0", "0-0 0:1"]);
		await h.act(() => h.thread.handled());
		expect(h.finished).toEqual([0]);
	});

	it("lets a partition that waits to begin stop at once", async () => {
		const turn = new Turn();
		const { h } = careful({ held: { from: 0, to: 1 } }, { turn });
		await h.running(1);
		const beginner = new WorkerHarness({ turn });
		await beginner.deliver(1);
		await beginner.worker.stop("revoked");
		expect(beginner.threads).toEqual([]);
	});

	it.each(["a note", "its turn"])("stops at once where it waits for %s, and hands nothing over", async (what) => {
		const turn = new Turn();
		const { h, state, words } = careful({ held: { from: 0, to: 1 } }, { turn });
		state.hold = what === "a note";
		await h.deliver(1);
		if (what === "its turn") void turn.alone(new AbortController().signal);
		await h.act(() => h.thread.ready());
		expect(words()).toEqual(what === "a note" ? ["0-0 0:1"] : []);
		const stopped = h.worker.stop("shutdown");
		if (what === "a note") state.go();
		await stopped;
		expect(h.runs).toEqual([]);
	});
});
