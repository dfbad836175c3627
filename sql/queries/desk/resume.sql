-- desk: resume
delete from {schema}.pause p
where p.side = $1::text and p.owner = $2::text and p.ending = $3::text
