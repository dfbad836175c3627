-- letters 0002: what a consumer's letter has beyond the columns of an outbox row.
alter table {schema}.letter add column origin jsonb;

comment on column {schema}.letter.origin is 'side consumer: CloudEvents source, id as it was written, position as sent, broker''s time, content type, flaw';
comment on column {schema}.letter.message_id is 'the event''s id; side consumer: what the inbox knows it by';
