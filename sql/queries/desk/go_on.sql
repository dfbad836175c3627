-- desk: go on
-- What stood behind a dropped head goes out.
update {schema}.lane l
set due = now(), attempts = 0, cause = case l.cause when 'destination' then l.cause else 'resting' end
where l.side = $1::text and l.owner = $2::text and l.lane = any ($3::text[]) and l.claimed_by is null
  and exists (
    select
    from {schema}.letter d
    where d.letter = any ($4::bigint[]) and d.lane = l.lane and d.owner = l.owner and d.side = l.side
      and d.place < (
        select min(o.place)
        from {schema}.letter o
        where o.side = l.side and o.owner = l.owner and o.lane = l.lane and o.closed is null
      )
  )
