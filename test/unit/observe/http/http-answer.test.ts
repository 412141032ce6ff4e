import type { IncomingMessage } from "node:http";
import { expect, it } from "vitest";
import { requestOf } from "../../../../src/observe/http/http-answer.ts";

it.each([
	["/partitions/or%2Fders/3/pause", "/partitions/or%2Fders/3/pause", ["partitions", "or/ders", "3", "pause"]],
	["/drain?now=1&why=a/b", "/drain", ["drain"]],
	["http://proxy:9464/status?x", "/status", ["status"]],
	["HTTPS://proxy", "", [""]],
	["/partitions/%zz/3/pause", "/partitions/%zz/3/pause", null],
])("takes the path of %s apart, without host and query", (url, path, parts) => {
	expect(requestOf({ method: "POST", url, headers: {} } as IncomingMessage)).toMatchObject({ method: "POST", path, parts });
});
