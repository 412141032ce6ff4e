/** Notes when it is called, on the clock that all processes of this machine share; the value holds when the message was produced. */
export function handleMessage({ key, value }) {
	const handled = process.hrtime.bigint();
	return { id: key.toString(), fields: { produced: value.toString(), handled: handled.toString() } };
}
