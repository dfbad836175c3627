-- destinations: accepted
-- What was remembered is forgotten with the acceptance: the broker's present state is the new beginning.
with used as (
  update {schema}.acceptance
  set used_at = clock_timestamp()
  where relay = $1::text and kind in ('partitions_changed', 'topic_recreated') and used_at is null
  returning acceptance
), forgotten as (
  delete from {schema}.relay_destination where relay = $1::text and exists (select from used) returning 1
)
select exists (select from used) as accepted, (select count(*) from forgotten) as forgotten
