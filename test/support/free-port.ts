/** A port on loopback that nobody listens at. */
import { randomInt } from "node:crypto";
import { createServer } from "node:net";

/** Below those that Linux gives to outgoing connections (32768 and up): one of these could take it before its server is up. */
const [FIRST, LAST] = [15_000, 32_000];

export async function freePort(): Promise<number> {
	for (;;) {
		const port = randomInt(FIRST, LAST);
		if (await isFree(port)) return port;
	}
}

function isFree(port: number): Promise<boolean> {
	return new Promise((resolve, reject) => {
		const server = createServer();
		server.on("error", (error: NodeJS.ErrnoException) => (error.code === "EADDRINUSE" ? resolve(false) : reject(error)));
		server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
	});
}
