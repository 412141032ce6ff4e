/** Names of the handlers that need no code; `pockaffe:example` is the embedded profile's. */
export const builtInHandlers: readonly string[] = ["pockaffe:json", "pockaffe:log", "pockaffe:example"];
