//! Files of a TLS connection, the same three for every peer.

use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::Complaints;
use super::format::FILE;

/// Certificates as PEM files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// The certificate authority that signed the server's certificate. Without it the system's roots are used.
    #[schemars(schema_with = "file")]
    pub ca: Option<PathBuf>,
    /// Our own certificate, when the server asks for one. Needs `key`.
    #[schemars(schema_with = "file")]
    pub certificate: Option<PathBuf>,
    /// The private key of `certificate`, without a password.
    #[schemars(schema_with = "file")]
    pub key: Option<PathBuf>,
}

impl TlsConfig {
    /// Complains about half a client certificate; `tls` is the current section.
    pub fn check(&self, complaints: &mut Complaints) {
        match (&self.certificate, &self.key) {
            (Some(_), None) => complaints.add(
                &["key"],
                "is missing: `certificate` needs its private key; write key: FILE",
            ),
            (None, Some(_)) => complaints.add(
                &["certificate"],
                "is missing: `key` needs its certificate; write certificate: FILE",
            ),
            _ => {}
        }
    }
}

fn file(_: &mut SchemaGenerator) -> Schema {
    FILE.schema()
}
