/** Carries out control over HTTP (partitions, offsets, the drain), and reports what was done. */
import { partitionName } from "../core/messages/message.ts";
import type { HttpControl } from "../observe/http/http-control.ts";
import type { DaemonObserver } from "../observe/listeners/daemon-observer.ts";
import type { PartitionRequests } from "./partition-requests.ts";

/** The functions that the HTTP server calls. `done` reports what was carried out. */
export function httpControl(requests: PartitionRequests, drain: () => void, done: DaemonObserver["adminAction"]): HttpControl {
	return {
		control: (partition, action) => {
			const isHere = requests.control(partition, action);
			if (isHere) done(action, partitionName(partition));
			return isHere;
		},
		skip: async (partition, offset, why) => {
			const found = await requests.skip(partition, offset, why);
			if (found?.outcome === "skipped" || found?.outcome === "asked") done("skip", `${partitionName(partition)} offset ${offset}`);
			return found;
		},
		setOffsets: async (id, wanted) => {
			const found = await requests.setOffsets(id, wanted);
			const where = wanted.map((each) => `${partitionName(each)} to ${each.to}`).join(", ");
			if (found.outcome === "set") done("set_offsets", where);
			return found;
		},
		drain: () => {
			done("drain", "the daemon");
			drain();
		},
	};
}
