//! Whole stories on real servers: the binary, PostgreSQL, Kafka, faults, and the truth ledger as the judge.

mod ledger_itself;
