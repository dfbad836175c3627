-- desk: world
-- Whether the transaction numbers of rows and floors are numbers of this cluster: then they go on as after an upgrade.
select
  pg_current_snapshot() as now,
  substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) as timeline,
  not exists (
    select from {schema}.relay_window w where pg_snapshot_xmax(w.upper) > pg_snapshot_xmax(pg_current_snapshot())
  )
  and coalesce(
    (select o.xid from {schema}.outbox o order by o.xid desc limit 1) < pg_snapshot_xmax(pg_current_snapshot()), true
  )
  and not exists (
    select
    from {schema}.relay_cursor c
    where c.system_id is not null and not exists (select from {schema}.relay_window w where w.relay = c.relay)
  ) as goes_on
