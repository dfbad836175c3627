-- cursor: probe
-- One index entry per branch. `order by xid limit 1` is no decoration: without it the generic plan reads the whole table.
-- A visible row of a transaction that the same snapshot calls unfinished comes from another cluster.
select
  exists (select from (select 1 from {schema}.outbox where xid >= pg_snapshot_xmax($1::pg_snapshot) order by xid limit 1) a)
  or exists (
    select
    from {schema}.outbox
    where xid = any (array(
      select x.xid from pg_snapshot_xip($1::pg_snapshot) x (xid) where pg_visible_in_snapshot(x.xid, pg_current_snapshot())
    ))
  ) as work,
  coalesce(
    not pg_visible_in_snapshot((select o.xid from {schema}.outbox o order by o.xid desc limit 1), pg_current_snapshot()),
    false
  ) as foreign_xid
