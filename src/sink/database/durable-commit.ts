/**
 * What makes the commit of a statement durable, whatever server, database or role say of `synchronous_commit`: with `off` a crash takes
 * commits that were answered, with `local` or `remote_write` a fail-over to the synchronous standby may. In the statement itself, for a
 * setting of the session reaches another session behind a pooler in transaction mode, and some poolers refuse it at the connect.
 */

/**
 * A column for the `select` or `returning` of a statement that writes: raises the setting for this one transaction, where it is weaker than
 * `on`. Costs a look-up otherwise.
 */
export const durably =
	"case when current_setting('synchronous_commit') in ('on', 'remote_apply') then null else set_config('synchronous_commit', 'on', true) end as durably";
