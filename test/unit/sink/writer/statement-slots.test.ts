import { describe, expect, it } from "vitest";
import { StatementSlots } from "../../../../src/sink/writer/statement-slots.ts";
import { settle } from "../../../support/fakes/manual-clock.ts";

describe("the slots of statements", () => {
	it("let as many run as there are connections, and the others in their order", async () => {
		const slots = new StatementSlots(2);
		const begun: string[] = [];
		const ends = new Map<string, () => void>();
		const runs = ["a", "b", "c", "d"].map((name) =>
			slots.run(() => {
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

	it("are given back by a statement that fails, also before it is sent", async () => {
		const slots = new StatementSlots(1);
		await expect(slots.run(() => Promise.reject(new Error("away")))).rejects.toThrow("away");
		const thrown = slots.run(() => {
			throw new Error("no");
		});
		await expect(thrown).rejects.toThrow("no");
		expect(await slots.run(async () => "next")).toBe("next");
	});
});
