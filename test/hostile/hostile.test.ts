/**
 * Whatever a handler does to its thread: the row arrives, the culprit is named, nobody else notices. The short form has one case of most
 * kinds, all at once in one daemon; `npm run hostile` plays every case by itself, in each of its ways.
 */
import { describe, it } from "vitest";
import { describeOnKafka } from "../support/kafka/real-kafka.ts";
import { hostileKinds } from "./cases.ts";
import { waysOf } from "./hostile-case.ts";
import { play } from "./hostile-scene.ts";

const isWhole = process.env.TEST_HOSTILE === "all";

describeOnKafka("handlers that misbehave", () => {
	it("all beside each other in one daemon: each has its rows, the culprits alone become letters", () =>
		play(
			hostileKinds.flatMap(({ cases }) => cases.filter(({ short }) => short)),
			"own thread",
		));
});

(isWhole ? describeOnKafka : describe.skip)("a handler that", () => {
	for (const { title, cases } of hostileKinds) {
		for (const hostile of cases) {
			for (const way of waysOf(hostile)) it(`${title}: ${hostile.what} (${way})`, () => play([hostile], way));
		}
	}
});
