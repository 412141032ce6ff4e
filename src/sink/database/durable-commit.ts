/**
 * Makes a statement's commit durable, whatever `synchronous_commit` is set to by server, database or role. With `off` a crash loses
 * acknowledged commits; with `local` or `remote_write` a fail-over to the synchronous standby may. The setting is part of the statement,
 * because a session setting would reach another session behind a pooler in transaction mode, and some poolers refuse it at the connect.
 */

/**
 * A column for the `select` or `returning` of a statement that writes. It raises the setting for this one transaction if it is weaker than
 * `on`; otherwise it costs one look-up.
 */
export const durably =
	"case when current_setting('synchronous_commit') in ('on', 'remote_apply') then null else set_config('synchronous_commit', 'on', true) end as durably";
