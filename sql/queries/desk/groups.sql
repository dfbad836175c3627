-- desk: groups
-- Open letters by error: what an operator looks at first.
select
  t.owner, t.fingerprint, min(t.error_kind) as kind, min(t.error_message) as message,
  count(distinct t.lane) as lanes,
  (
    select count(*)
    from {schema}.letter a
    where a.owner = t.owner and a.side = t.side and a.closed is null and a.lane = any (array_agg(distinct t.lane))
  ) as letters,
  min(t.first_failed_at) as since
from {schema}.letter t
where t.closed is null and t.fingerprint is not null
  and ($1::text is null or t.owner = $1::text)
group by t.side, t.owner, t.fingerprint
order by lanes desc, t.owner, t.fingerprint
