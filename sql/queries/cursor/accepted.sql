-- cursor: accepted
-- An acceptance serves once.
update {schema}.acceptance
set used_at = clock_timestamp()
where relay = $1::text and kind = $2::text and used_at is null
returning acceptance
