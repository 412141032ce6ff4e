/** Rules between keys that let nobody in, each by itself: beside a configuration that is right. */
import { describe, expect, it } from "vitest";
import { loadConfig } from "../../../src/config/load.ts";

const problem = (environment: Record<string, string>): string | null => {
	try {
		loadConfig({ environment, cwd: "/nowhere" });
		return null;
	} catch (error) {
		return (error as Error).message;
	}
};

describe("http.admin", () => {
	const admin = { POCKAFFE_HTTP_ADMIN: "true" };

	it.each(["0.0.0.0", "::", "10.0.0.7", "daemon.example", "localhost.example", "127.example.com", "128.0.0.1"])(
		"at %s needs a token",
		(host) => {
			expect(problem({ ...admin, POCKAFFE_HTTP_HOST: host })).toMatch(
				/http\.admin: true – needs http\.token where http\.host is not loopback/,
			);
			expect(problem({ ...admin, POCKAFFE_HTTP_HOST: host, POCKAFFE_HTTP_TOKEN: "0123456789abcdef" })).toBeNull();
			expect(problem({ POCKAFFE_HTTP_HOST: host })).toBeNull();
		},
	);

	it.each(["127.0.0.1", "127.1.2.3", "::1", "localhost"])("at %s needs none", (host) => {
		expect(problem({ ...admin, POCKAFFE_HTTP_HOST: host })).toBeNull();
	});
});
