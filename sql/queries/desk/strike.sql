-- desk: strike
-- A dropped row is not brought again by its window. Windows of which nothing is written yet (null) are asked about
-- letters when they are replayed.
update {schema}.relay_window w
set rest = (select coalesce(array_agg(r.seq order by r.at), '{}')
            from unnest(w.rest) with ordinality r (seq, at)
            where r.seq <> all ($2::bigint[]))
where w.relay = $1::text and w.rest && $2::bigint[]
