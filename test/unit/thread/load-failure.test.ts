/** What is said of a handler that can't be loaded: the cause once, and what to do. */
import { expect, it } from "vitest";
import { explainLoadFailure } from "../../../src/worker/inside/handler-loader.ts";

const failure = { kind: "load", name: "SyntaxError", message: "Unexpected token 'return'" } as const;
const said = (stack: string | null) => explainLoadFailure("/h.mjs", { ...failure, stack }).message;

it("says where a syntax error is, or how to find out", () => {
	expect(said("/h.mjs:3\nSyntaxError: Unexpected token 'return'")).toBe("/h.mjs: SyntaxError: Unexpected token 'return' (/h.mjs:3)");
	const unknown = "/h.mjs: SyntaxError: Unexpected token 'return' (node --check FILE says where)";
	expect(said("SyntaxError: Unexpected token 'return'\n    at compile (node:internal)")).toBe(unknown);
	expect(said(null)).toBe(unknown);
});

it("says that a handler in TypeScript has to be compiled", () => {
	const cause = { kind: "load", name: "TypeError", message: 'Unknown file extension ".ts" for /h.ts', stack: null } as const;
	expect(explainLoadFailure("/h.ts", cause, "ERR_UNKNOWN_FILE_EXTENSION").message).toMatch(
		/^\/h\.ts: Node\.js v\S+ can't load it: Unknown file extension "\.ts" .*; compile it to JavaScript \(npx tsc\), and name that file in handler\.module$/,
	);
	expect(explainLoadFailure("/h.ts", cause).message).not.toContain("compile");
});
