/**
 * Outlives a command whose process crashes, and says what the handler had in hand. Its standard input has a line for each change, an empty
 * one for nothing; the last complete line counts. The command answers the terminal's signals.
 */
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const) process.on(signal, () => {});
let last = "";
let rest = "";
process.stdin.setEncoding("utf8");
process.stdin.on("data", (text: string) => {
	const lines = (rest + text).split("\n");
	rest = lines.pop() as string;
	last = lines.at(-1) ?? last;
});
process.stdin.on("end", () => {
	if (last !== "") process.stderr.write(`${last}\n`);
});
