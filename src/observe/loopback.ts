/** Which host names can only mean this machine. */
import { isIPv4 } from "node:net";

/** True for `localhost`, `127.0.0.0/8` and `::1` (in brackets or not, mapped IPv4 too). Names are not resolved. */
export function isLoopbackName(host: string): boolean {
	const name = host
		.toLowerCase()
		.replace(/^\[(.*)\]$/, "$1")
		.replace(/^::ffff:/, "");
	if (name === "localhost" || name === "::1") return true;
	return isIPv4(name) && name.startsWith("127.");
}
