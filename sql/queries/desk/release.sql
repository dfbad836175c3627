-- desk: release
-- Only makes them due (S3): the owner delivers their letters in order, and closes them afterwards. A lane that is out
-- already needs no release.
update {schema}.lane l
set due = now(), cause = case l.cause when 'paused' then 'resting' else l.cause end
where l.side = $1::text and l.owner = $2::text and l.lane = any ($3::text[]) and l.claimed_by is null
returning l.lane
