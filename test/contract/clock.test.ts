/** The machine's clock, the one that stands still, and a simulated process's: one contract. */
import { systemClock } from "../../src/core/clock.ts";
import { SimProcess, World } from "../simulation/world.ts";
import { ManualClock } from "../support/fakes/manual-clock.ts";
import { waitFor } from "../support/wait-for.ts";
import { clockContract } from "./clock.contract.ts";

clockContract("of the machine", () => ({ clock: systemClock, until: async (what, holds) => void (await waitFor(what, holds)) }));

clockContract("moved by hand", () => {
	const clock = new ManualClock();
	return {
		clock,
		async until(what, holds) {
			while (!holds()) {
				const [nextMs] = clock.pending;
				if (nextMs === undefined) throw new Error(`no timer is set, and ${what} has not come`);
				// In one go: what is due in between has to come in its order.
				await clock.advance(Math.max(nextMs, 1_000));
			}
		},
	};
});

clockContract("of a simulated process", () => {
	const world = new World(1);
	const clock = new SimProcess(world, "process");
	return {
		clock,
		async until(what, holds) {
			if (!(await world.until(holds, 60_000))) throw new Error(`${what} has not come within a minute of virtual time`);
		},
		jump: (ms) => (clock.wallOffset += ms),
	};
});
