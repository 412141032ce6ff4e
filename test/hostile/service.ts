/** A daemon under a service manager that starts it again where it ends by itself. */
import type { DaemonProcess } from "../support/daemons/daemon-process.ts";

const MOST_RESTARTS = 8;

/** See the file's header. */
export class Service implements AsyncDisposable {
	readonly #run: () => Promise<DaemonProcess>;
	readonly #all: DaemonProcess[] = [];
	#isStopped = false;
	#gaveUp: (error: Error) => void = () => {};
	readonly #over: Promise<never>;

	constructor(run: () => Promise<DaemonProcess>) {
		this.#run = run;
		this.#over = new Promise((_, reject) => {
			this.#gaveUp = reject;
		});
		this.#over.catch(() => {});
	}

	get daemon(): DaemonProcess {
		return this.#all.at(-1) as DaemonProcess;
	}

	get starts(): number {
		return this.#all.length;
	}

	get output(): string {
		return this.#all.map(({ output }) => output).join("");
	}

	async start(): Promise<void> {
		const daemon = await this.#run();
		this.#all.push(daemon);
		void daemon.exited().then((code) => {
			if (this.#isStopped) return;
			if (this.#all.length > MOST_RESTARTS)
				this.#gaveUp(new Error(`it ended ${this.#all.length} times, last with ${code}\n${this.output.slice(-3_000)}`));
			else void this.start();
		});
	}

	/** What `does` gives, unless the daemon ended too often meanwhile. */
	async whileRunning<T>(does: () => Promise<T>): Promise<T> {
		try {
			return await Promise.race([does(), this.#over]);
		} catch (error) {
			throw new Error(`${(error as Error).message}\n${this.output.slice(-4_000)}`);
		}
	}

	stop(): Promise<number> {
		this.#isStopped = true;
		return this.daemon.stop();
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#isStopped = true;
		await Promise.all(this.#all.map((daemon) => daemon[Symbol.asyncDispose]()));
	}
}
