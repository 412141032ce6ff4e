import { expect, it } from "vitest";
import { hasMoved } from "../../../src/commands/offsets/moved-meanwhile.ts";
import { planOffset } from "../../../src/kafka/offsets/offset-plan.ts";

const place = { topic: "t", partition: 0, keptIn: "table", noted: null } as const;
const plan = ({ kept = 3 as number | null, low = 0, high = 10, to = 5, logId = "a" } = {}) =>
	planOffset({ ...place, kept, logId, log: { low, high } }, to);

it.each([
	["nothing moved", [plan()], [false, false], false],
	["the log grew, which only makes more to read", [plan({ high: 99 })], [false, false], false],
	["the group went on", [plan({ kept: 4 })], [false, false], true],
	["a daemon went on, which tells what it had", [plan({ kept: 4 })], [true, true], false],
	["a daemon was started", [plan()], [false, true], true],
	["the daemon ended", [plan()], [true, false], true],
	["the place is not in the log any more", [plan({ low: 6 })], [false, false], true],
	["the topic was made again", [plan({ logId: "b" })], [false, false], true],
	["partitions were added", [plan(), { ...plan(), partition: 1 }], [false, false], true],
] as const)("%s", (_, now, running, moved) => {
	expect(hasMoved([plan()], now, () => running as readonly [boolean, boolean])).toBe(moved);
});
