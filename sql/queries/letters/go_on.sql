-- letters: go on
-- Its head was delivered: the lane is no longer parked, its next letters go out at once.
update {schema}.lane l
set due = now(), claimed_by = null, attempts = 0,
  cause = case l.cause when 'destination' then l.cause else 'resting' end
where l.side = $1::text and l.owner = $2::text and l.lane = any ($3::text[]) and l.claimed_by = $4::text
