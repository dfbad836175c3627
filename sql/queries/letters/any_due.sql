-- letters: any due
-- The usual answer is no, and costs one look at the index.
select exists (
  select from {schema}.lane l where l.side = 'relay' and l.owner = $1::text and l.due <= now()
)
