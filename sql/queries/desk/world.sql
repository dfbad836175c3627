-- desk: world
-- Whether the transaction numbers of rows and windows are numbers of this cluster: then they go on, as after an upgrade.
select
  not {schema}.windows_are_foreign()
  and coalesce(
    (select o.xid from {schema}.outbox o order by o.xid desc limit 1) < pg_snapshot_xmax(pg_current_snapshot()), true
  ) as goes_on
