/**
 * Options of tests that need the addon: left out where it could not be compiled (test/support/project/addon.ts says so), which CI doesn't
 * allow.
 */
import { nativeMissing } from "../../../src/kafka/native.ts";

export const withAddon = { skip: nativeMissing !== null && process.env.CI !== "true" };
