import { expect, it } from "vitest";
import { HandlerObserver } from "../../../src/observe/listeners/handler-observer.ts";

function open() {
	const running: { topic: string; partition: number; handlerHash: string | null }[] = [];
	const told: string[] = [];
	const logger = { warn: (_: object, words: string) => told.push(words), info: (_: object, words: string) => told.push(words) };
	const observer = new HandlerObserver(logger as never, "./handler.mjs", () => running);
	const runs = (partition: number, handlerHash: string | null) => {
		running[partition] = { topic: "t", partition, handlerHash };
		if (handlerHash !== null) observer.started();
	};
	return { observer, told, runs };
}

it("says once that partitions run different versions, and that they don't any more", () => {
	const { observer, told, runs } = open();
	runs(0, "aa");
	runs(1, "aa");
	runs(2, null);
	expect([told, observer.mixed, observer.only]).toEqual([[], false, "aa"]);
	runs(1, "bb");
	runs(2, "bb");
	expect([observer.mixed, observer.only]).toEqual([true, null]);
	expect(told).toEqual([expect.stringMatching(/handler.mjs changed on disk.* aa at t\/0; bb at t\/1; .*pockaffe restart/)]);
	runs(0, "bb");
	expect(told.slice(1)).toEqual(["all partitions run the same version of ./handler.mjs again: bb"]);
	expect(observer.mixed).toBe(false);
});
