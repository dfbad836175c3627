-- cursor: window
-- A whole window that is not large, by the index on xid. Rows that committed after the window was written are shown
-- without a body, so that the reader can tell a branch that met its limit.
--
-- Size: what the payload may be on the wire. Stored jsonb is about as long as its text, rarely a quarter of it; of a
-- compressed value only its text tells. `offset 0` keeps the expression from being computed twice.
select
  o.seq, o.id, o.aggregatetype, o.aggregateid, o.type,
  case when v.visible and z.size <= $5::bigint then o.payload end as payload,
  case when v.visible then o.headers end as headers,
  o.traceparent, o.created_at,
  z.size,
  v.visible, o.late
from (select w.upper from {schema}.relay_window w where w.relay = $1::text and w.number = $2::bigint) w
cross join lateral (
  (
    select b.*, false as late
    from {schema}.outbox b
    where b.xid >= pg_snapshot_xmax($3::pg_snapshot) and b.xid < pg_snapshot_xmax(w.upper)
    order by b.xid, b.seq
    limit $4::bigint
  )
  union all
  (
    select l.*, true as late
    from pg_snapshot_xip($3::pg_snapshot) x (xid)
    cross join lateral (
      select * from {schema}.outbox r where r.xid >= x.xid and r.xid <= x.xid order by r.xid, r.seq limit $4::bigint
    ) l
    where pg_visible_in_snapshot(x.xid, w.upper)
  )
) o
cross join lateral (select pg_visible_in_snapshot(o.xid, w.upper) as visible) v
cross join lateral (
  select case
    when pg_column_compression(o.payload) is null then pg_column_size(o.payload)::bigint * 4
    else octet_length(o.payload::text)
  end as size
  offset 0
) z
order by o.seq
