/** PocKaffe as a library: `import { createDaemon, createProducer } from "pockaffe/library"`. Main thread only. */
export {
	createDaemon,
	type DaemonConfig,
	type DaemonEvents,
	type LibraryDaemon,
	type LibraryOptions,
	type Stopped,
} from "./create-daemon.ts";
export {
	type ChoosePartition,
	type Content,
	createProducer,
	type Delivered,
	LibraryProducer,
	type ListedRecord,
	type PartitionStrategy,
	type ProducerConfig,
} from "./create-producer.ts";
