/** What pockaffe:json does with an event, as a user writes it. */
export function handleMessage({ key, value }) {
	const id = key.toString();
	if (value === null) return { id, delete: true };
	const { name, amount, note } = JSON.parse(value.toString());
	return { id, fields: { name, amount, note } };
}
