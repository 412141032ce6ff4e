/**
 * A broker with two ways to it: the tests' own, and one for daemons, whose advertised address is a proxy's, so that a client that found
 * the broker there stays there.
 */
import { freePort } from "../free-port.ts";
import { TcpProxy } from "../tcp-proxy.ts";
import { type KafkaServer, newClusterId, startBroker } from "./kafka-server.ts";

/** See the file's header. */
export interface ProxiedKafka extends AsyncDisposable {
	/** The way of the tests. */
	readonly direct: string;
	/** Bootstrap by the proxy. */
	readonly proxied: string;
	/** The listener behind the proxy itself: a bootstrap that works whatever the broker advertises. */
	readonly behind: string;
	readonly proxy: TcpProxy;
	readonly server: KafkaServer;
	/** Ends the broker and starts it with another address advertised to daemons; the proxy's where none is given. */
	advertise(address?: string): Promise<void>;
}

const HEAP_MB = 300;

/** Daemons are told the proxy's address at first. */
export async function startProxiedKafka(): Promise<ProxiedKafka> {
	const [port, controllerPort, behind] = [await freePort(), await freePort(), await freePort()];
	const proxy = await TcpProxy.start(behind);
	const proxied = `127.0.0.1:${proxy.port}`;
	const advertised = (address: string) => ({ "advertised.listeners": `PLAINTEXT://127.0.0.1:${port},PROXIED://${address}` });
	const properties = {
		listeners: `PLAINTEXT://127.0.0.1:${port},PROXIED://127.0.0.1:${behind},CONTROLLER://127.0.0.1:${controllerPort}`,
		"listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT",
		...advertised(proxied),
	};
	const voters = `1@127.0.0.1:${controllerPort}`;
	const server = await startBroker({ nodeId: 1, port, controllerPort, voters, clusterId: newClusterId(), heapMb: HEAP_MB, properties });
	return {
		direct: server.brokers,
		proxied,
		behind: `127.0.0.1:${behind}`,
		proxy,
		server,
		async advertise(address = proxied) {
			await server.kill();
			await server.restart(advertised(address));
		},
		async [Symbol.asyncDispose]() {
			await proxy[Symbol.asyncDispose]();
			await server.stop();
		},
	};
}
