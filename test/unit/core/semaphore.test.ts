import { describe, expect, it } from "vitest";
import { Semaphore } from "../../../src/core/waiting/semaphore.ts";
import { settle } from "../../support/fakes/manual-clock.ts";

describe("a semaphore", () => {
	it("lets as many run as it has places, and the others in their order", async () => {
		const places = new Semaphore(2);
		const begun: string[] = [];
		const ends = new Map<string, () => void>();
		const runs = ["a", "b", "c", "d"].map((name) =>
			places.run(() => {
				begun.push(name);
				return new Promise<string>((resolve) => ends.set(name, () => resolve(name)));
			}),
		);
		await settle();
		expect(begun).toEqual(["a", "b"]);
		ends.get("b")?.();
		await settle();
		expect(begun).toEqual(["a", "b", "c"]);
		ends.get("a")?.();
		ends.get("c")?.();
		await settle();
		ends.get("d")?.();
		expect(await Promise.all(runs)).toEqual(["a", "b", "c", "d"]);
	});

	it("gives the place of work that fails to the next, also if the work throws at once", async () => {
		const places = new Semaphore(1);
		await expect(places.run(() => Promise.reject(new Error("away")))).rejects.toThrow("away");
		const thrown = places.run(() => {
			throw new Error("no");
		});
		await expect(thrown).rejects.toThrow("no");
		expect(await places.run(async () => "next")).toBe("next");
	});
});
