/** Which host names can only mean this machine. */
import { BlockList, isIP } from "node:net";

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

/** True for `localhost`, `127.0.0.0/8` and `::1` (in brackets or not; mapped IPv4 in every spelling). Names are not resolved. */
export function isLoopbackName(host: string): boolean {
	const name = host.toLowerCase().replace(/^\[(.*)\]$/, "$1");
	const version = isIP(name);
	return version === 0 ? name === "localhost" : loopback.check(name, version === 4 ? "ipv4" : "ipv6");
}
