/** Passes a list of rows as one parameter: a JSON array of objects, which the server unpacks with a type for each key. */

/** `(select … from json_array_elements(…)) x`: a row per element, of columns given as `name::type`. `parameter` is the array's number. */
export function jsonEntries(parameter: number, columns: readonly string[]): string {
	const unpacked = columns.map((column) => {
		const [name, type] = column.split("::") as [string, string];
		return `(e.value->>'${name}')::${type} as ${name}`;
	});
	return `(select ${unpacked.join(", ")} from json_array_elements($${parameter}::text::json) as e(value)) x`;
}
