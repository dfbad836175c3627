-- letters: any due
-- The usual answer is no, and costs one look at the index. $3: what the names of the caller's lanes begin with. What is paused
-- is nobody's turn.
select exists (
  select
  from {schema}.lane l
  where l.side = $1::text and l.owner = $2::text and l.due <= now() and ($3::text = '' or starts_with(l.lane, $3::text))
    and not exists (
      select
      from {schema}.pause p
      where p.side = $1::text and p.owner = $2::text and right(l.lane, length(p.ending)) = p.ending
    )
)
