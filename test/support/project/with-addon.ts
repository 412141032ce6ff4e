/**
 * Options of tests that need the addon: left out where POCKAFFE_NATIVE=off, and where it could not be compiled (addon.ts beside it says
 * so), which CI doesn't allow.
 */
import { nativeMissing } from "../../../src/kafka/native.ts";

export const withAddon = { skip: process.env.POCKAFFE_NATIVE === "off" || (nativeMissing !== null && process.env.CI !== "true") };

/** True for a daemon's warning that it runs without the addon, in a test run without it. */
export function isAboutAddon(message: string): boolean {
	return withAddon.skip && message.startsWith(`${nativeMissing}: `);
}
