/** What to do about a topic that does not exist: a mistyped name is as likely as one that nobody has created. */
export function missingTopicHint(topic: string): string {
	return `is the name right? Else create it: pockaffe topic create ${topic} -p N`;
}
