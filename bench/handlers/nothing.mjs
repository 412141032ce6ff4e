/** A handler whose outcome is nothing: what is left is the way to it and back. */
export function handleMessage() {}
