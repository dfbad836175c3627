-- destination: known
select d.destination, d.partitions, d.acked from {schema}.relay_destination d where d.relay = $1::text order by d.destination
