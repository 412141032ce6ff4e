/** A record of each message, as it is, to `options.topic`; beside a row where `options.rows` says so. */
export const init = (_partition, options) => options;

export function handleMessage({ key, value }, { topic, rows }) {
	const produce = [{ topic, key, value }];
	if (!rows) return { produce };
	const { name, amount, note } = JSON.parse(value.toString());
	return { id: key.toString(), fields: { name, amount, note }, produce };
}
