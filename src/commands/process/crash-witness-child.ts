/**
 * Outlives a command whose process ends without a word of its own, and says what was in the handler's hand. Its standard input is a line
 * for each change, an empty one for nothing; the last complete line counts. The signals of the terminal are the command's to answer.
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
