-- desk: resettle
-- After a restore: what every relay had published, by the floors that came with the rows, is put below every snapshot of
-- this cluster; the rest becomes this transaction's.
update {schema}.outbox o
set xid = case
  when not exists (
    select
    from (
      select distinct on (w.relay) w.upper
      from {schema}.relay_window w
      order by w.relay, w.number
    ) f
    where not pg_visible_in_snapshot(o.xid, f.upper)
  ) then '3'::xid8
  else pg_current_xact_id()
end
