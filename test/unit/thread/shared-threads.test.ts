/** Threads that partitions share: who is where, whose turn it is, and what becomes of the others when one dies. */
import { describe, expect, it } from "vitest";
import { packMessages } from "../../../src/core/messages/message-codec.ts";
import {
	type HandlerThread,
	type ThreadDeath,
	ThreadDiedError,
	type ThreadLease,
	type WarmReply,
} from "../../../src/worker/thread/handler-thread.ts";
import type { SharedDeath } from "../../../src/worker/thread/shared-thread.ts";
import { SharedThreads } from "../../../src/worker/thread/shared-threads.ts";
import { FakeHost } from "../../support/fakes/fake-host.ts";
import { ManualClock, settle } from "../../support/fakes/manual-clock.ts";
import { received } from "../../support/fakes/real-thread.ts";

const batch = packMessages([received(0), received(1), received(2)]);
const timeout: ThreadDeath = { reason: "timeout", message: "too long", stack: null };
const shared = { reason: "shared" };

/** One partition at its threads. `settled` are its answers and deaths, in order. */
class Partition {
	readonly lease: ThreadLease;
	readonly settled: unknown[] = [];
	readonly idleDeaths: ThreadDeath[] = [];
	thread!: HandlerThread;

	constructor(lease: ThreadLease) {
		this.lease = lease;
		this.open();
	}

	open(): void {
		this.thread = this.lease.open();
		this.thread.onIdleDeath((death) => this.idleDeaths.push(death));
		this.#note(this.thread.start());
	}

	run(from = 0, to = 3): void {
		this.#note(this.thread.run(batch, from, to, "free", (part) => this.settled.push(part)));
	}

	terminate(): void {
		this.#note(this.thread.terminate("revoked"));
	}

	/** How its last call died. */
	get death(): unknown {
		return this.settled.at(-1);
	}

	#note(call: Promise<unknown>): void {
		call.then(
			(reply) => this.settled.push(reply),
			(error: unknown) => this.settled.push(error instanceof ThreadDiedError ? error.death : error),
		);
	}
}

function threads(maxThreads: number) {
	const hosts: FakeHost[] = [];
	const facts: SharedDeath[] = [];
	const createHost = () => {
		hosts.push(new FakeHost(hosts.length));
		return hosts.at(-1) as FakeHost;
	};
	const places = new SharedThreads({ maxThreads, createHost, endedForOthers: (fact) => facts.push(fact) });
	const assign = (partition: number) => new Partition(places.lease({ topic: "orders", partition }));
	return { hosts, facts, assign, host: (index = -1) => hosts.at(index) as FakeHost };
}

/** Partitions 0 to `count` that share one thread and are ready. */
async function ready(count: number) {
	const scene = threads(1);
	const partitions = Array.from({ length: count }, (_, partition) => scene.assign(partition));
	for (const _ of partitions) {
		await settle();
		scene.host().answer();
	}
	await settle();
	scene.host().calls.length = 0;
	for (const { settled } of partitions) settled.length = 0;
	return { ...scene, partitions: partitions as [Partition, Partition, ...Partition[]] };
}

describe("where a partition's thread is", () => {
	it("is one of its own while there are fewer partitions than threads, then where the fewest are", () => {
		const { hosts, assign } = threads(3);
		const partitions = Array.from({ length: 8 }, (_, partition) => assign(partition));
		expect([hosts.length, partitions.map(({ thread }) => thread.id)]).toEqual([3, [0, 1, 2, 0, 1, 2, 0, 1]]);
	});

	it("is always one of its own without a limit", () => {
		const { assign } = threads(0);
		expect([0, 1, 2, 3].map((partition) => assign(partition).thread.id)).toEqual([0, 1, 2, 3]);
	});

	it("stays the same whatever ends there, as long as it is assigned", async () => {
		const { assign, host } = threads(2);
		const [first, second, third] = [assign(0), assign(1), assign(2)];
		const ids = () => [first, second, third].map(({ thread }) => thread.id);
		await settle();
		host(0).answer();
		await settle();
		// The fewest are where the second is, by now more than ever.
		await first.thread.kill();
		first.open();
		expect(ids()).toEqual([0, 1, 0]);
		host(0).answer();
		await settle();
		host(0).dieIdle();
		await third.thread.kill();
		third.open();
		first.open();
		expect(ids()).toEqual([2, 1, 2]);
	});

	it("goes to who is assigned next once it is given away", async () => {
		const { assign, host } = threads(2);
		const [, second] = [assign(0), assign(1), assign(2), assign(3)];
		await settle();
		host(1).answer();
		await settle();
		await second.thread.kill();
		second.lease.release();
		expect(assign(4).thread.id).toBe(1);
	});

	it("is begun again behind the one before it: there are never more than allowed", async () => {
		const { assign, hosts, host } = threads(1);
		const [partition] = [assign(0)];
		await settle();
		host().diesSlowly = true;
		void partition.thread.kill(timeout);
		partition.open();
		await settle();
		expect(hosts.map(({ calls }) => calls)).toEqual([["start 0"], []]);
		expect(partition.thread.progress().phase).toBe("idle");
		host(0).gone();
		await settle();
		expect(hosts.map(({ calls }) => calls)).toEqual([["start 0"], ["start 0"]]);
	});
});

describe("partitions that share a thread", () => {
	it("take turns, one call at a time", async () => {
		const { partitions, host } = await ready(3);
		const [first, second, third] = partitions;
		for (const partition of partitions) partition.run();
		const turns = async () => {
			await settle();
			host().handled(3);
			await settle();
		};
		await turns();
		first.run();
		await turns();
		second.run();
		await turns();
		third?.run();
		for (let i = 0; i < 3; i++) await turns();
		expect(host().calls).toEqual(["run 0 0-3", "run 1 0-3", "run 2 0-3", "run 0 0-3", "run 1 0-3", "run 2 0-3"]);
		expect(partitions.map(({ settled }) => settled.length)).toEqual([2, 2, 2]);
	});

	it("wait for one turn at most to end what they have there", async () => {
		const { partitions, host } = await ready(4);
		for (const partition of partitions.slice(0, 3)) partition.run();
		(partitions[3] as Partition).terminate();
		await settle();
		host().handled(3);
		await settle();
		expect(host().calls).toEqual(["run 0 0-3", "terminate 3"]);
	});

	it("stand idle while they wait, so that no deadline runs", async () => {
		const { partitions, host } = await ready(2);
		const [first, second] = partitions;
		first.run();
		second.run();
		await settle();
		expect([first.thread.progress().phase, second.thread.progress().phase]).toEqual(["handle", "idle"]);
		const { calls } = second.thread.progress();
		const before = first.thread.progress().calls;
		host().handled(3);
		await settle();
		expect([first.thread.progress().phase, second.thread.progress().phase]).toEqual(["idle", "handle"]);
		expect(second.thread.progress().calls).toBeGreaterThan(calls);
		expect(first.thread.progress().calls).toBeGreaterThan(before);
	});

	it("tell a long run that others wait, and that nobody does any more", async () => {
		const { partitions, host } = await ready(2);
		partitions[0].run();
		await settle();
		expect(host().isAwaited).toBe(false);
		partitions[1].run();
		expect(host().isAwaited).toBe(true);
		partitions[1].thread.cutShort();
		expect(host().isAwaited).toBe(false);
	});

	it("get a run back that has not begun, and end one that has behind its call", async () => {
		const { partitions, host } = await ready(2);
		const [first, second] = partitions;
		first.run();
		second.run(1, 3);
		await settle();
		second.thread.cutShort();
		await settle();
		expect([first.settled, second.settled]).toMatchObject([[], [{ ok: true, outcome: { from: 1, to: 1, blocks: [] } }]]);
		expect(host().calls).toEqual(["run 0 0-3"]);
		first.thread.cutShort();
		expect(host().calls).toEqual(["run 0 0-3", "cut short"]);
		host().handled(1);
		await settle();
		expect(first.settled).toMatchObject([{ ok: true, outcome: { from: 0, to: 1 } }]);
		second.run();
		await settle();
		expect(host().calls.at(-1)).toBe("run 1 0-3");
	});

	it("get a run back whose turn has just come", async () => {
		const { partitions, host } = await ready(1);
		partitions[0].run(1, 3);
		partitions[0].thread.cutShort();
		await settle();
		expect(partitions[0].settled).toMatchObject([{ ok: true, outcome: { from: 1, to: 1 } }]);
		expect(host().calls).not.toContain("run 0 1-3");
	});
});

describe("a shared thread's death", () => {
	it("under a call is that partition's; the others, whether they wait or not, are told that it was shared", async () => {
		const { partitions, host, facts } = await ready(3);
		const [first, second, third] = partitions;
		first.run();
		second.run();
		await settle();
		host().die("out_of_memory");
		await settle();
		expect([first.death, second.death]).toMatchObject([{ reason: "out_of_memory" }, shared]);
		expect((second.death as ThreadDeath).message).toContain("orders/0: it died");
		expect([first, second, third].map((each) => each?.idleDeaths.map(({ reason }) => reason))).toEqual([[], [], ["shared"]]);
		expect(first.thread.progress()).toMatchObject({ phase: "handle", running: 1 });
		expect(second.thread.progress().phase).toBe("idle");
		expect(facts).toMatchObject([
			{ partition: { partition: 0 }, death: { reason: "out_of_memory" }, others: [{ partition: 1 }, { partition: 2 }] },
		]);
	});

	it("by a kill at its call's deadline is the same", async () => {
		const { partitions } = await ready(2);
		const [first, second] = partitions;
		first.run();
		second.run();
		await settle();
		await first.thread.kill(timeout);
		expect([first.death, second.death]).toMatchObject([timeout, shared]);
		second.open();
		second.thread.onIdleDeath(() => {});
		await settle();
		expect(second.thread.id).toBe(1);
	});

	it("between two calls can be anybody's: all are told", async () => {
		const { partitions, host, facts } = await ready(3);
		host().dieIdle();
		expect(partitions.map(({ idleDeaths }) => idleDeaths.map(({ reason }) => reason))).toEqual([
			["exception"],
			["exception"],
			["exception"],
		]);
		expect(facts).toEqual([]);
	});

	it("with a request but before the handler was entered is anybody's too", async () => {
		const { partitions, host } = await ready(2);
		const [first, second] = partitions;
		first.run();
		await settle();
		host().isIn("idle");
		host().die("exception");
		await settle();
		expect([first.death, second.idleDeaths]).toMatchObject([{ reason: "exception" }, [{ reason: "exception" }]]);
	});

	it("told by a start that answers with a failure ends it for the others", async () => {
		const { partitions, host, assign } = await ready(2);
		const third = assign(2);
		await settle();
		host().death = { reason: "exception", message: "uncaught in init", stack: null };
		host().failToStart("init");
		await settle();
		expect(third.settled).toMatchObject([{ ok: false, failure: { kind: "init" } }]);
		expect([third.idleDeaths, partitions[0].idleDeaths]).toMatchObject([[], [shared]]);
	});

	it("is nobody else's where a share ends whose call doesn't run: its state is dropped, and the thread ends with the last", async () => {
		const { partitions, host } = await ready(3);
		const [first, second, third] = partitions;
		first.run();
		second.run();
		await settle();
		await second.thread.kill(timeout);
		await settle();
		expect(second.death).toEqual(timeout);
		await third?.thread.kill();
		await third?.thread.kill();
		host().handled(3);
		await settle();
		expect([first.settled.length, host().calls, host().death]).toEqual([1, ["run 0 0-3", "drop 1", "drop 2"], null]);
		await first.thread.kill();
		expect(host().death).toMatchObject({ reason: "exit" });
	});
});

describe("the module of a shared thread", () => {
	it("that does not load answers all who wait for it, and is loaded anew by another thread", async () => {
		const { assign, hosts, host } = threads(1);
		const partitions = [assign(0), assign(1), assign(2)];
		await settle();
		host().failToStart("load");
		await settle();
		for (const { settled, idleDeaths } of partitions) {
			expect([settled, idleDeaths]).toMatchObject([[{ ok: false, failure: { kind: "load" } }], []]);
		}
		partitions[1]?.open();
		await settle();
		expect(hosts.map(({ calls }) => calls)).toEqual([["start 0"], ["start 1"]]);
	});

	it("that ends the thread or takes too long does so to all who wait for it", async () => {
		const { assign, host } = threads(1);
		const [first, second] = [assign(0), assign(1)];
		await settle();
		host().isIn("load");
		await first.thread.kill(timeout);
		expect([first.death, second.death]).toEqual([timeout, timeout]);
	});

	it("is nobody's fault where the one who loads it is only given away", async () => {
		const { assign, host } = threads(1);
		const [first, second] = [assign(0), assign(1)];
		await settle();
		host().isIn("load");
		await first.thread.kill();
		await settle();
		expect(second.death).toMatchObject(shared);
	});

	it("that has expired is loaded anew with the next start, behind the call that runs; the others are not to blame", async () => {
		const { partitions, hosts, host, facts } = await ready(3);
		const [first, second, third] = partitions;
		second.run();
		await settle();
		await first.thread.kill();
		first.lease.expire();
		third?.lease.expire();
		await settle();
		expect(hosts.length).toBe(1);
		first.open();
		await settle();
		expect([hosts.length, hosts[1]?.calls]).toEqual([2, []]);
		host(0).handled(3);
		await settle();
		expect(second.settled).toMatchObject([{ ok: true }]);
		expect([second.idleDeaths, third?.idleDeaths]).toMatchObject([[shared], [shared]]);
		expect(facts).toMatchObject([{ partition: null, others: [{ partition: 1 }, { partition: 2 }] }]);
		expect(hosts[1]?.calls).toEqual(["start 0"]);
		// The new thread has the new code already.
		third?.open();
		expect(third?.thread.id).toBe(1);
	});
});

describe("a start that nobody needs any more", () => {
	it("is cut off where nobody has a state in the thread", async () => {
		const { assign, host } = threads(1);
		const [first, second] = [assign(0), assign(1)];
		await settle();
		first.thread.abandon();
		await settle();
		expect([host(0).death, first.death, second.death]).toMatchObject([{ reason: "exit" }, { reason: "exit" }, shared]);
	});

	it("goes on where others have one, until they have left", async () => {
		const { partitions, host, assign } = await ready(2);
		const third = assign(2);
		await settle();
		third.thread.abandon();
		await partitions[0].thread.kill();
		expect([host().death, third.settled]).toEqual([null, []]);
		await partitions[1].thread.kill();
		await settle();
		expect([host().death, third.death]).toMatchObject([{ reason: "exit" }, { reason: "exit" }]);
	});

	it("does not begin where it only waits", async () => {
		const { partitions, host, assign } = await ready(2);
		partitions[0].run();
		const third = assign(2);
		await settle();
		third.thread.abandon();
		host().handled(3);
		await settle();
		expect([third.death, host().calls, host().death]).toMatchObject([{ reason: "exit" }, ["run 0 0-3"], null]);
	});
});

/** As `threads`, with a clock. */
function timed(maxThreads = 0, keepsRevoked?: boolean) {
	const hosts: FakeHost[] = [];
	const clock = new ManualClock();
	const createHost = () => {
		hosts.push(new FakeHost(hosts.length));
		return hosts.at(-1) as FakeHost;
	};
	const places = new SharedThreads({ maxThreads, createHost, clock, ...(keepsRevoked === undefined ? {} : { keepsRevoked }) });
	const assign = (partition: number, goesOn = false) => new Partition(places.lease({ topic: "orders", partition }, goesOn));
	const host = (index: number) => hosts[index] as FakeHost;
	/** Partition 0 has had a run, and is given away in peace. */
	const leave = async () => {
		const partition = assign(0);
		await settle();
		host(0).answer();
		await settle();
		partition.run();
		await settle();
		host(0).handled(3);
		await settle();
		partition.terminate();
		await settle();
		host(0).answer();
		await settle();
		await partition.thread.rest();
		partition.lease.release();
	};
	return { hosts, host, clock, places, assign, leave };
}

describe("a thread that its partition has left", () => {
	it("is had again by the partition that goes on where it was left, with a state of its own", async () => {
		const { hosts, host, assign, leave } = timed();
		await leave();
		const back = assign(0, true);
		await settle();
		host(0).answer();
		await settle();
		expect([hosts.length, host(0).death, host(0).calls]).toEqual([1, null, ["start 0", "run 0 0-3", "terminate 0", "start 0"]]);
		// For the last attempt of a message it is not new.
		expect(back.thread.hadOthers).toBe(true);
	});

	it("ends where its partition comes back from elsewhere", async () => {
		const { hosts, host, assign, leave } = timed();
		await leave();
		assign(0);
		expect([hosts.length, host(0).death]).toMatchObject([2, shared]);
	});

	it("is no other partition's", async () => {
		const { hosts, host, assign, leave } = timed();
		await leave();
		assign(1, true);
		expect([hosts.length, host(0).death]).toEqual([2, null]);
	});

	it("ends when its partition stays away, when the module changes, and when nobody needs threads any more", async () => {
		for (const end of ["later", "expire", "dispose"] as const) {
			const { host, clock, places, leave } = timed();
			await leave();
			if (end === "later") await clock.advance(10_000);
			else void places[end]();
			await settle();
			expect(host(0).death).toMatchObject(shared);
		}
	});

	it("is kept again where the partition comes and goes without a message", async () => {
		const { hosts, host, clock, places, leave } = timed();
		await leave();
		await clock.advance(9_000);
		const lease = places.lease({ topic: "orders", partition: 0 }, true);
		await clock.advance(9_000);
		lease.release();
		await clock.advance(9_000);
		expect([hosts.length, host(0).death]).toEqual([1, null]);
		await clock.advance(1_000);
		expect(host(0).death).toMatchObject(shared);
	});

	it("ends at once where it expired, where threads are limited, and where others of its calls are left", async () => {
		const limited = timed(1);
		await limited.leave();
		expect(limited.host(0).death).not.toBe(null);
		const expired = timed();
		const partition = expired.assign(0);
		await settle();
		expired.host(0).answer();
		await settle();
		partition.lease.expire();
		await partition.thread.rest();
		expect(expired.host(0).death).not.toBe(null);
		const busy = timed();
		const running = busy.assign(0);
		await running.thread.rest();
		expect(busy.host(0).death).not.toBe(null);
	});

	it("ends at once in a group that takes away only what goes to another member", async () => {
		const { hosts, host, assign, leave } = timed(0, false);
		await leave();
		expect(host(0).death).not.toBe(null);
		assign(0, true);
		expect(hosts.length).toBe(2);
	});

	it("is not had where the partition had a later one", async () => {
		const { hosts, host, places, assign, leave } = timed();
		await leave();
		const former = places.lease({ topic: "orders", partition: 0 }, true);
		const later = assign(0);
		expect(hosts.length).toBe(2);
		former.release();
		await settle();
		expect(host(0).death).toMatchObject(shared);
		later.lease.release();
		expect(host(1).death).toBe(null);
		expect([assign(0, true).thread.id, hosts.length]).toEqual([1, 2]);
	});

	it("gives way to a new one where it died meanwhile", async () => {
		const { hosts, host, assign, leave } = timed();
		await leave();
		host(0).dieIdle();
		assign(0, true);
		await settle();
		expect([hosts.length, host(0).calls.length, host(1).calls]).toEqual([2, 3, ["start 0"]]);
	});
});

describe("the thread in reserve", () => {
	const failure = { kind: "load", name: "Error", message: "no such file", stack: null } as const;

	it.each<[string, (host: FakeHost, clock: ManualClock, places: SharedThreads) => unknown, WarmReply]>([
		["is loaded", (host) => host.answer(), { kind: "loaded" }],
		["does not load", (host) => host.answer(failure), { kind: "failed", failure }],
		["ends its thread", (host) => host.die("exit"), { kind: "failed", failure: { ...failure, name: "ThreadDied", message: "it died" } }],
		[
			"takes too long",
			(_, clock) => clock.advance(1_000),
			{ kind: "failed", failure: { ...failure, name: "TimeoutError", message: "the module did not load within 1000 ms" } },
		],
		["is out of date", (_, __, places) => places.expire(), { kind: "unknown" }],
	])("says what became of it where its module %s", async (_, goOn, reply) => {
		const { host, clock, places } = timed();
		const warmed = places.warm(1, 1_000);
		await settle();
		await goOn(host(0), clock, places);
		expect(await warmed).toEqual(reply);
	});

	it("leaves it to the partition that took it to tell why it can't be loaded", async () => {
		const { host, places, assign } = timed();
		const warmed = places.warm(1, 1_000);
		assign(0);
		host(0).answer(failure);
		expect(await warmed).toEqual({ kind: "unknown" });
	});

	it("has its module loaded, and is the next partition's, which waits until it is loaded", async () => {
		const { hosts, host, places, assign } = timed();
		const warmed = places.warm(1, 1_000);
		await places.warm(1, 1_000);
		const partition = assign(0);
		await settle();
		expect([hosts.length, host(0).calls]).toEqual([1, ["load"]]);
		host(0).answer();
		await warmed;
		await settle();
		expect([hosts.length, host(0).calls, partition.thread.hadOthers]).toEqual([1, ["load", "start 0"], false]);
		assign(1);
		expect(hosts.length).toBe(2);
	});

	it.each<[string, (host: FakeHost, clock: ManualClock, places: SharedThreads) => unknown]>([
		["does not load", (host) => host.answer(failure)],
		["dies of it", (host) => host.die("exit")],
		["takes too long", (_, clock) => clock.advance(1_000)],
		["is out of date", (_, __, places) => places.expire()],
	])("is dropped where its module %s, and another may be made", async (_, goWrong) => {
		const { hosts, host, clock, places, assign } = timed();
		const warmed = places.warm(1, 1_000);
		await settle();
		await goWrong(host(0), clock, places);
		await warmed;
		await settle();
		expect(host(0).death).not.toBe(null);
		void places.warm(1, 1_000);
		expect(hosts.length).toBe(2);
		expect(assign(0).thread.id).toBe(1);
	});

	it("is dropped where a partition's thread is to load the module anew: what is on disk may be another one", async () => {
		const { host, places, assign } = timed();
		const warmed = places.warm(1, 1_000);
		host(0).answer();
		await warmed;
		const reserved = assign(0);
		void places.warm(1, 1_000);
		reserved.lease.expire();
		await settle();
		expect(host(1).death).not.toBe(null);
		expect(assign(1).thread.id).toBe(2);
	});

	it("is made again where it died", async () => {
		const { hosts, host, places, assign } = timed();
		const warmed = places.warm(1, 1_000);
		host(0).answer();
		await warmed;
		host(0).dieIdle();
		await settle();
		void places.warm(1, 1_000);
		expect(hosts.length).toBe(2);
		expect(assign(0).thread.id).toBe(1);
	});

	it("has others beside it, one for each time that it is asked for: the next partitions take them in this order", async () => {
		const { hosts, host, places, assign } = timed();
		for (const each of [0, 1, 2]) {
			const warmed = places.warm(3, 1_000);
			await settle();
			host(each).answer();
			expect(await warmed).toEqual({ kind: "loaded" });
			expect(hosts.length).toBe(each + 1);
		}
		expect(await places.warm(3, 1_000)).toEqual({ kind: "enough" });
		host(1).dieIdle();
		await settle();
		expect([assign(0).thread.id, assign(1).thread.id, assign(2).thread.id, hosts.length]).toEqual([0, 2, 3, 4]);
	});

	it("and those beside it are no more than there may be", async () => {
		const { hosts, host, places, assign } = timed(3);
		assign(0);
		for (const each of [1, 2]) {
			const warmed = places.warm(4, 1_000);
			await settle();
			host(each).answer();
			await warmed;
		}
		expect(await places.warm(4, 1_000)).toEqual({ kind: "full" });
		expect([assign(1).thread.id, assign(2).thread.id, hosts.length]).toEqual([1, 2, 3]);
	});

	it("that died counts among those there may be until it is gone", async () => {
		const { hosts, host, places } = timed(1);
		const warmed = places.warm(1, 1_000);
		await settle();
		host(0).answer();
		await warmed;
		host(0).diesSlowly = true;
		host(0).dieIdle();
		await settle();
		const again = places.warm(1, 1_000);
		await settle();
		expect(host(1).calls).toEqual([]);
		host(0).gone();
		await settle();
		expect([hosts.length, host(1).calls]).toEqual([2, ["load"]]);
		host(1).answer();
		expect(await again).toEqual({ kind: "loaded" });
	});

	it("is one of those there may be", async () => {
		const { hosts, places, assign } = timed(1);
		void places.warm(1, 1_000);
		expect([assign(0).thread.id, assign(1).thread.id, hosts.length]).toEqual([0, 0, 1]);
		await places.warm(1, 1_000);
		expect(hosts.length).toBe(1);
	});

	it("is not made for a daemon that stops", async () => {
		const { hosts, host, places } = timed();
		void places.warm(1, 1_000);
		await places.dispose();
		await places.warm(1, 1_000);
		expect([hosts.length, host(0).death]).toMatchObject([1, shared]);
	});
});
