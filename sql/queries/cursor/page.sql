-- cursor: page
-- The next rows of a large window: by primary key where it is dense, and merged with the late transactions' rows, which
-- may lie millions of seqs below. `not visible in $5` says xid >= its xmax, without inviting the index on xid; and the
-- late branch says xid = x in a way that invites no other index.
select
  o.seq, o.id, o.aggregatetype, o.aggregateid, o.type,
  case when z.size <= $8::bigint then o.payload end as payload,
  o.headers, o.traceparent, o.created_at,
  z.size
from (
  (
    select p.*
    from {schema}.outbox p
    where p.seq > greatest($1::bigint, $2::bigint) and p.seq <= $3::bigint
      and pg_visible_in_snapshot(p.xid, $4::pg_snapshot)
      and not pg_visible_in_snapshot(p.xid, $5::pg_snapshot)
    order by p.seq
    limit $7::bigint
  )
  union all
  (
    select l.*
    from unnest($6::xid8[]) x (xid)
    cross join lateral (
      select *
      from {schema}.outbox r
      where (r.xid, r.seq) > (x.xid, $1::bigint) and r.xid <= x.xid
      order by r.xid, r.seq
      limit $7::bigint
    ) l
  )
  order by seq
  limit $7::bigint
) o
cross join lateral (
  select case
    when pg_column_compression(o.payload) is null then pg_column_size(o.payload)::bigint * 4
    else octet_length(o.payload::text)
  end as size
  offset 0
) z
order by o.seq
