/** Whether a cluster's brokers are found where they say they are. */
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { expect, it } from "vitest";
import { unreachableBrokers } from "../../../../src/kafka/connecting/reachability.ts";

it("a broker that answers is none to tell of, and one that does not is told with its address and the reason; nothing is sent", async () => {
	const heard: string[] = [];
	const server = createServer((socket) => void socket.on("data", (data) => heard.push(String(data)))).listen(0, "127.0.0.1");
	const gone = createServer().listen(0, "127.0.0.1");
	await Promise.all([once(server, "listening"), once(gone, "listening")]);
	const [here, free] = [server, gone].map((each) => (each.address() as AddressInfo).port) as [number, number];
	await new Promise((resolve) => gone.close(resolve));
	const brokers = [
		{ id: 4, host: "127.0.0.1", port: free },
		{ id: 5, host: "127.0.0.1", port: here },
		{ id: 6, host: "no such host", port: 1 },
	];
	expect(await unreachableBrokers(brokers)).toEqual([
		{ id: 4, address: `127.0.0.1:${free}`, why: "ECONNREFUSED" },
		{ id: 6, address: "no such host:1", why: expect.stringMatching(/^(?:ENOTFOUND|EAI_AGAIN)$/) },
	]);
	await new Promise((resolve) => server.close(resolve));
	expect(heard).toEqual([]);
	expect(await unreachableBrokers([])).toEqual([]);
});
