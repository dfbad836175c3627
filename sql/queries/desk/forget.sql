-- desk: forget
-- The function runs with its owner's rights, checks again, and writes the audit row. Whoever begins anew under that name is not
-- paused for what was said of the old one.
with resumed as (
  delete from {schema}.pause p
  where p.side = 'relay' and p.owner = $1::text
)
select {schema}.forget($1::text, $2::text) as windows
