/** Whatever a handler does to its thread: the row arrives, the culprit is named, nobody else notices. The short form; all of it with TEST_HOSTILE=all. */
import { it } from "vitest";
import { describeOnKafka } from "../support/real-kafka.ts";
import { hostileCases } from "./cases.ts";
import { play } from "./hostile-scene.ts";

const isWhole = process.env.TEST_HOSTILE === "all";

describeOnKafka("a handler that", () => {
	for (const [kind, cases] of Object.entries(hostileCases)) {
		for (const hostile of cases) {
			if (isWhole || hostile.short) it(`${kind}: ${hostile.what}`, { timeout: 180_000 }, () => play(hostile));
		}
	}
});
