/**
 * The connection parameters that libpq knows (its documentation, "Parameter Key Words" and "Environment Variables"), and what PocKaffe does
 * with each. Pure data. An unsupported parameter is an error: ignoring it would promise a safety that nobody provides.
 */

/** One parameter. */
export interface ParameterEntry {
	/** The environment variable that is used if the parameter is absent. */
	readonly variable?: string;
	/** Allowed values; any if absent. */
	readonly values?: readonly string[];
	/** Why the parameter is refused, if it is. Then only the value that asks for nothing is allowed. */
	readonly refused?: string;
}

const onOff: readonly string[] = ["0", "1"];
const versions: readonly string[] = ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];
const unsupported = "is not supported";

/** All parameters of libpq, by name. */
export const connectionParameters = {
	host: { variable: "PGHOST" },
	hostaddr: { variable: "PGHOSTADDR" },
	port: { variable: "PGPORT" },
	dbname: { variable: "PGDATABASE" },
	user: { variable: "PGUSER" },
	password: { variable: "PGPASSWORD" },
	passfile: { variable: "PGPASSFILE" },
	service: { variable: "PGSERVICE" },
	servicefile: { variable: "PGSERVICEFILE" },
	connect_timeout: { variable: "PGCONNECT_TIMEOUT" },
	application_name: { variable: "PGAPPNAME" },
	fallback_application_name: {},
	options: { variable: "PGOPTIONS" },
	client_encoding: { variable: "PGCLIENTENCODING", values: ["UTF8", "utf8", "UTF-8", "utf-8", "auto"] },
	sslmode: { variable: "PGSSLMODE", values: ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] },
	sslnegotiation: { variable: "PGSSLNEGOTIATION", values: ["postgres", "direct"] },
	sslrootcert: { variable: "PGSSLROOTCERT" },
	sslcert: { variable: "PGSSLCERT" },
	sslkey: { variable: "PGSSLKEY" },
	sslpassword: {},
	sslcrl: { variable: "PGSSLCRL" },
	sslsni: { variable: "PGSSLSNI", values: onOff },
	ssl_min_protocol_version: { variable: "PGSSLMINPROTOCOLVERSION", values: versions },
	ssl_max_protocol_version: { variable: "PGSSLMAXPROTOCOLVERSION", values: versions },
	target_session_attrs: { variable: "PGTARGETSESSIONATTRS", values: ["any", "read-write", "primary"] },
	load_balance_hosts: { variable: "PGLOADBALANCEHOSTS", values: ["disable", "random"] },
	// Not supported: only values that ask for nothing are allowed.
	channel_binding: { variable: "PGCHANNELBINDING", values: ["disable", "prefer"], refused: unsupported },
	gssencmode: { variable: "PGGSSENCMODE", values: ["disable", "prefer"], refused: unsupported },
	sslcompression: { variable: "PGSSLCOMPRESSION", values: ["0"], refused: unsupported },
	sslcertmode: { variable: "PGSSLCERTMODE", values: ["allow"], refused: unsupported },
	keepalives: { values: ["1"], refused: unsupported },
	replication: { values: ["false", "off", "no", "0"], refused: unsupported },
	sslcrldir: { variable: "PGSSLCRLDIR", values: [], refused: `${unsupported}: name one file with sslcrl` },
	require_auth: { variable: "PGREQUIREAUTH", values: [], refused: unsupported },
	requirepeer: { variable: "PGREQUIREPEER", values: [], refused: unsupported },
	krbsrvname: { variable: "PGKRBSRVNAME", values: [], refused: unsupported },
	gsslib: { variable: "PGGSSLIB", values: [], refused: unsupported },
	gssdelegation: { variable: "PGGSSDELEGATION", values: ["0"], refused: unsupported },
	keepalives_idle: { values: [], refused: unsupported },
	keepalives_interval: { values: [], refused: unsupported },
	keepalives_count: { values: [], refused: unsupported },
	tcp_user_timeout: { values: ["0"], refused: unsupported },
	sslkeylogfile: { values: [], refused: unsupported },
	min_protocol_version: { variable: "PGMINPROTOCOLVERSION", values: ["3.0"], refused: unsupported },
	max_protocol_version: { variable: "PGMAXPROTOCOLVERSION", values: ["3.0", "latest"], refused: unsupported },
	scram_client_key: { values: [], refused: unsupported },
	scram_server_key: { values: [], refused: unsupported },
	oauth_issuer: { values: [], refused: unsupported },
	oauth_client_id: { values: [], refused: unsupported },
	oauth_client_secret: { values: [], refused: unsupported },
	oauth_scope: { values: [], refused: unsupported },
} as const satisfies Readonly<Record<string, ParameterEntry>>;

/** The name of a parameter. */
export type ParameterName = keyof typeof connectionParameters;

/** The parameters that are given. */
export type Parameters = ReadonlyMap<ParameterName, string>;

/** True for a name that libpq knows. */
export function isParameter(name: string): name is ParameterName {
	return Object.hasOwn(connectionParameters, name);
}

/** What is wrong with a value; null if nothing is. Never contains a value that may be secret. */
export function problemOfValue(name: ParameterName, value: string): string | null {
	const { values, refused }: ParameterEntry = connectionParameters[name];
	if (!values || values.includes(value)) return null;
	if (refused) return values.length === 0 ? `${name} ${refused}` : `${name}=${value} ${refused}`;
	return `${name}=${value} is none of ${values.join(", ")}`;
}
