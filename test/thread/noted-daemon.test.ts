/** Commands find a daemon of their folder whose port came from the environment. Kafka and database are away: it still listens. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { pockaffe } from "../support/daemons/command-line.ts";
import { DaemonProcess } from "../support/daemons/daemon-process.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const config = {
	kafka: { brokers: ["127.0.0.1:1"], topics: ["t"], group: "g" },
	handler: { module: "pockaffe:log" },
	database: { url: "postgres://nobody@127.0.0.1:1/none" },
	// Where nobody listens.
	http: { port: 1 },
	drain: { timeoutMs: 500 },
};

it("is found by its note while it runs; of several it has to be said which; what was killed is no more", async () => {
	await using folder = await temporaryFolder();
	await writeFile(join(folder.path, "pockaffe.yaml"), JSON.stringify(config));
	const start = () => new DaemonProcess(["run"], { cwd: folder.path, env: { POCKAFFE_HTTP_PORT: "0" } });
	const status = () => pockaffe(["status"], { cwd: folder.path });
	expect(await status()).toMatchObject({ code: 1, stderr: expect.stringContaining("http.port, POCKAFFE_HTTP_PORT") });
	await using first = start();
	await first.url();
	expect(await status()).toMatchObject({ code: 0, stdout: expect.stringContaining("not ready") });
	{
		await using second = start();
		const [one, other] = [await first.url(), await second.url()];
		const asked = await status();
		expect([asked.code, asked.stderr.includes(one), asked.stderr.includes(other)]).toEqual([2, true, true]);
		expect(await pockaffe(["status", "--url", other], { cwd: folder.path })).toMatchObject({ code: 0 });
		await second.stop("SIGKILL");
	}
	expect(await status()).toMatchObject({ code: 0 });
	await first.stop("SIGTERM");
	expect(await status()).toMatchObject({ code: 1 });
});
