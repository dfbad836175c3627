-- letters: drop empty
-- A statement of its own, after the letters were closed: it must see that they are. A lane whose last letter is closed is
-- not blocked any more.
delete from {schema}.lane l
where l.side = 'relay' and l.owner = $1::text and l.lane = any ($2::text[])
  and not exists (
    select from {schema}.letter t where t.side = 'relay' and t.owner = l.owner and t.lane = l.lane and t.closed is null
  )
returning l.lane
