/** What the process prints that outlives a command, of the lines that it was sent. It is the built one. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { packageRoot } from "../../../src/core/package.ts";

const child = fileURLToPath(new URL("dist/commands/process/crash-witness-child.js", packageRoot));

/** Sends these pieces, and the command ends. */
async function printed(...pieces: string[]): Promise<string> {
	const witness = spawn(process.execPath, [child], { stdio: ["pipe", "ignore", "pipe"] });
	let said = "";
	witness.stderr.setEncoding("utf8").on("data", (text: string) => {
		said += text;
	});
	for (const piece of pieces) await new Promise((resolve) => witness.stdin.write(piece, resolve));
	witness.stdin.end();
	await once(witness, "close");
	return said;
}

it("is the last whole line, in however many pieces it came", async () => {
	expect(await printed("first\nsec", "ond\nhalf of a th")).toBe("second\n");
});

it("is nothing where the command had nothing in hand at its end", async () => {
	expect([await printed("first\n\n"), await printed()]).toEqual(["", ""]);
});
