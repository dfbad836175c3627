-- desk: enqueue
select {schema}.enqueue($1, $2, $3, $4, $5, $6, $7)
