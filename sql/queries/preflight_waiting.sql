-- preflight: waiting
-- One row of each kind that waits for a relay, among its oldest and the newest; their bodies are not read. A relay that
-- was never started waits for everything, unless it is to begin with what comes.
with floor as (
  select pg_snapshot_xmin(coalesce(
    (select w.upper from {schema}.relay_window w where w.relay = $1::text order by w.number limit 1), '1:1:'
  )) as xmin
),
waiting as (
  (select o.* from {schema}.outbox o where o.xid >= (select f.xmin from floor f) order by o.xid, o.seq limit $2::bigint)
  union all
  (select o.* from {schema}.outbox o where o.xid >= (select f.xmin from floor f) order by o.xid desc, o.seq desc limit $2::bigint)
)
select distinct on (o.aggregatetype, o.type)
  o.seq, o.id, o.aggregatetype, o.aggregateid, o.type, o.headers::text as headers
from waiting o
order by o.aggregatetype, o.type, o.seq
limit $3::bigint
