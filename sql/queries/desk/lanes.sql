-- desk: lanes
-- Lanes with open letters that match, ascending: the order in which they are locked.
select t.side, t.owner, t.lane, count(*) as letters
from {schema}.letter t
where t.closed is null
  and ($1::text is null or t.owner = $1::text)
  and ($2::bigint[] is null or t.letter = any ($2::bigint[]))
  and ($3::bytea is null or t.key = $3::bytea)
  and ($4::text is null or t.fingerprint = $4::text)
group by t.side, t.owner, t.lane
order by t.side, t.owner, t.lane
