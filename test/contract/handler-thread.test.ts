/** The contract of a handler's thread, held by the real one (its built entry in dist/), the simulated one, and the one unit tests play. */
import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { packMessages } from "../../src/core/messages/message-codec.ts";
import { SharedThreads } from "../../src/worker/thread/shared-threads.ts";
import { SimThread, type ThreadFaults } from "../simulation/thread.ts";
import { SimProcess, World } from "../simulation/world.ts";
import { FakeThread } from "../support/fakes/fake-thread.ts";
import { received, threadFor } from "../support/fakes/real-thread.ts";
import { columnOf, layoutOf } from "../support/fakes/row-submissions.ts";
import { waitFor } from "../support/wait-for.ts";
import { type ThreadScene, threadLifeContract, threadWorkContract, type Way } from "./handler-thread.contract.ts";

type Start = "ok" | "load fails" | "init fails";

const tables = [layoutOf({ columns: [columnOf("n", "text")] })];

/** The handler of every way, and two that change what comes later. */
const source = `
	import { existsSync } from "node:fs";
	let isBroken = false;
	export const init = () => { if (isBroken) throw new Error("no state"); };
	export function handleMessage({ key, value }) {
		if (value === null) return { id: key.toString(), delete: true };
		const { way, ...fields } = JSON.parse(value);
		switch (way) {
			case "poison": throw new Error("poison");
			case "reject": return { reject: "no good" };
			case "none": return null;
			case "hang": return new Promise(() => {});
			case "die": setTimeout(() => { throw new Error("uncaught") }); return new Promise(() => {});
			case "die later": setInterval(() => { if (existsSync(new URL("death", import.meta.url))) throw new Error("uncaught"); }, 5); return null;
			case "break init": isBroken = true; return null;
			case "mend init": isBroken = false; return null;
		}
		return { id: key.toString(), fields };
	}`;

const sources: Record<Start, string> = {
	ok: source,
	"load fails": "export const handle = 1;",
	"init fails": 'export const init = () => { throw new Error("no state"); }; export const handleMessage = () => {};',
};

async function openReal(start: Start, isShared = false): Promise<ThreadScene> {
	const real = await threadFor(sources[start], { tables, isShared });
	const { thread } = real;
	const hand = (way: string) => thread.run(packMessages([received(0, { value: JSON.stringify({ way }) })]), 0, 1, "free", () => {});
	return {
		thread,
		announce: () => {},
		async dieIdle() {
			await hand("die later");
			// Not before the answer is there.
			await writeFile(join(dirname(real.module), "death"), "");
		},
		until: async (what, holds) => void (await waitFor(what, holds)),
		settled: (promise) => promise,
		breakInit: async (isBroken) => void (await hand(isBroken ? "break init" : "mend init")),
		[Symbol.asyncDispose]: () => real[Symbol.asyncDispose](),
	};
}

async function openSimulated(start: Start, isShared = false): Promise<ThreadScene> {
	const world = new World(1);
	const faults: ThreadFaults = {
		loadFails: 0,
		initFails: 0,
		beginningEnds: 0,
		throws: 0,
		dies: 0,
		hangs: 0,
		diesIdle: 0,
		keeps: 0,
		messageMs: 10,
	};
	const waysByOffset = new Map<number, Way>();
	// The simulated handler hangs and dies by chance: here it is certain for one message, and out of the question for the others.
	const handed = (_: number, offset: number) => {
		const way = waysByOffset.get(offset);
		faults.hangs = way === "hang" ? 1 : 0;
		faults.dies = way === "die" ? 1 : 0;
	};
	const createHost = () => new SimThread({ process: new SimProcess(world, "daemon"), faults, tables, handed, flushed: null });
	const threads = new SharedThreads({ maxThreads: 1, createHost });
	if (start === "load fails") faults.loadFails = 1;
	if (isShared) await world.settled(threads.lease({ topic: "t", partition: 1 }).open().start(), 60_000);
	if (start === "init fails") faults.initFails = 1;
	const thread = threads.lease({ topic: "t", partition: 2 }).open();
	const until = async (what: string, holds: () => boolean) => {
		if (!(await world.until(holds, 60_000))) throw new Error(`${what} did not come within a minute of virtual time`);
	};
	const settled = <T>(promise: Promise<T>) => world.settled(promise, 60_000);
	return {
		thread,
		announce: (messages, ways) => {
			waysByOffset.clear();
			for (const [index, { offset }] of messages.entries()) waysByOffset.set(offset, ways[index] as Way);
		},
		async dieIdle() {
			faults.diesIdle = 1;
			await settled(thread.run(packMessages([received(0, { value: '{"way":"none"}' })]), 0, 1, "free", () => {}));
		},
		until,
		settled,
		async breakInit(isBroken) {
			faults.initFails = isBroken ? 1 : 0;
		},
		async [Symbol.asyncDispose]() {},
	};
}

/** Plays the test: answers what is asked, but for a run that hangs. */
async function openFake(start: Start): Promise<ThreadScene> {
	const thread = new FakeThread();
	let isHanging = false;
	return {
		thread,
		announce: (_, ways) => {
			isHanging = ways.includes("hang");
		},
		dieIdle: async () => thread.diedIdle(),
		until: async (what, holds) => void (await waitFor(what, holds)),
		settled(promise) {
			if (thread.pending?.type === "start" && start === "ok") thread.ready();
			else if (thread.pending?.type === "start") thread.failToStart(start === "load fails" ? "load" : "init");
			else if (!isHanging) thread.handled();
			return promise;
		},
		breakInit: async () => {},
		async [Symbol.asyncDispose]() {},
	};
}

threadLifeContract("real", openReal);
threadLifeContract("a share of a real one", (start) => openReal(start, true));
threadLifeContract("simulated", openSimulated);
threadLifeContract("a share of a simulated one", (start) => openSimulated(start, true));
threadLifeContract("played by a test", openFake);
threadWorkContract("real", openReal);
threadWorkContract("a share of a real one", (start) => openReal(start, true));
threadWorkContract("simulated", openSimulated);
threadWorkContract("a share of a simulated one", (start) => openSimulated(start, true));
