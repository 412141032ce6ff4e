/** The commands of docs/getting-started.md, in a folder with its files, on a real Kafka and Postgres: from nothing to rows. */
import { execFile } from "node:child_process";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, inject, it } from "vitest";
import { DaemonProcess } from "../../support/daemons/daemon-process.ts";
import { describeOnKafka, uniqueName } from "../../support/kafka/real-kafka.ts";
import { createTestDatabase } from "../../support/postgres/test-database.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait-for.ts";

const root = new URL("../../../", import.meta.url).pathname;
const page = await readFile(join(root, "docs/getting-started.md"), "utf8");
const files = [...page.matchAll(/^```\w+ (\S+)\n([\s\S]*?)^```$/gm)].map(([, name, text]) => [name as string, text as string] as const);
/** Every command of PocKaffe that the page names, in its order. */
const commands = [...page.matchAll(/(?:^|`)((?:echo '[^']*' \| )?npx pockaffe [a-z][^`\n#]*)/gm)].map(([, command]) =>
	(command as string).trim(),
);

describeOnKafka("getting started", () => {
	it("comes to rows by the page's own files and commands", async () => {
		const [create, order, noOrder, list, verify] = commands as [string, string, string, string, string];
		expect(commands).toEqual([
			"npx pockaffe topic create orders -p 4",
			`echo '{"customer":"Ada","amount":12}' | npx pockaffe produce orders -k 7`,
			"echo 'no JSON' | npx pockaffe produce orders -k 8",
			"npx pockaffe dead-letters list",
			"npx pockaffe verify",
		]);
		await using folder = await temporaryFolder();
		await using db = await createTestDatabase();
		const topic = uniqueName("orders");
		const ours = (text: string) =>
			text
				.replace("127.0.0.1:9092", inject("kafkaBrokers"))
				.replace("topics: [orders]", `topics: [${topic}]`)
				.replace("group: orders-sink", `group: ${uniqueName("orders-sink")}`)
				.replace(/(create|produce) orders/, `$1 ${topic}`);
		for (const [name, text] of files) await writeFile(join(folder.path, name), ours(text));
		// What `npm install ./pockaffe-0.1.0.tgz` leaves there.
		await mkdir(join(folder.path, "node_modules/.bin"), { recursive: true });
		await symlink(root, join(folder.path, "node_modules/pockaffe"));
		const command = `#!/bin/sh\nexec '${process.execPath}' '${join(root, "dist/main.js")}' "$@"\n`;
		await writeFile(join(folder.path, "node_modules/.bin/pockaffe"), command, { mode: 0o755 });
		const env = { DATABASE_URL: db.url, POCKAFFE_HTTP_PORT: "0" };
		const shell = async (command: string) =>
			(await promisify(execFile)("sh", ["-c", ours(command)], { cwd: folder.path, env: { ...process.env, ...env } })).stdout;

		expect(await shell(create)).toBe(`Created topic ${topic} with 4 partitions.\n`);
		expect(await shell("npm run --silent check")).toMatch(/^ok +topic /m);
		await using daemon = new DaemonProcess(["run"], { cwd: folder.path, env });
		await daemon.ready();
		expect(await shell(order)).toMatch(/^Sent record to partition \d at offset 0 /);
		const rows = () => db.database.query("select id, customer, amount::int4, kafka_offset::int4 from orders");
		await waitFor("the row", async () => (await rows()).length === 1);
		expect(await rows()).toEqual([{ id: "7", customer: "Ada", amount: 12, kafka_offset: 0 }]);
		await shell(noOrder);
		const letters = () => shell(list);
		await waitFor("the letter", async () => (await letters()).includes("rejected"));
		expect(await letters()).toContain("not a JSON object");
		expect(await shell(verify)).toMatch(/^verified/m);
		expect(await daemon.stop()).toBe(0);
	});
});
