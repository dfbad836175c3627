-- letters: drop empty
-- A statement of its own, after the letters were closed: it must see that they are. A lane whose last letter is closed is
-- not blocked any more.
delete from {schema}.lane l
where l.side = $1::text and l.owner = $2::text and l.lane = any ($3::text[])
  and not exists (
    select from {schema}.letter t where t.side = $1::text and t.owner = l.owner and t.lane = l.lane and t.closed is null
  )
returning l.lane
