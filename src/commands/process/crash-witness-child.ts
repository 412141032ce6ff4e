/**
 * Outlives a command whose process crashes, and prints what the handler had in hand. Reads a line for each change from standard input, an
 * empty one if nothing is in hand; prints the last complete line. Ignores the terminal's signals, which are the command's.
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
