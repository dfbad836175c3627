//! Handshakes in memory, against a server that shows the certificates of `tests/fixtures/tls`.

use std::path::PathBuf;

use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConnection, ServerConfig, ServerConnection};

use super::*;

/// Which certificate the server shows.
#[derive(Clone, Copy)]
enum Shows {
    Signed,
    SelfSigned,
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/tls")
        .join(name)
}

fn trusting(ca: &str) -> TlsConfig {
    TlsConfig {
        ca: Some(file(ca)),
        ..TlsConfig::default()
    }
}

fn server(shows: Shows, wants_client: bool) -> ServerConnection {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let name = match shows {
        Shows::Signed => "server",
        Shows::SelfSigned => "own",
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("versions");
    let builder = if wants_client {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates("", &file("ca.pem")).expect("readable"));
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
    } else {
        builder.with_no_client_auth()
    };
    let chain = certificates("", &file(&format!("{name}.pem"))).expect("readable");
    let key = private_key(&file(&format!("{name}.key"))).expect("readable");
    let config = builder.with_single_cert(chain, key).expect("they fit");
    ServerConnection::new(Arc::new(config)).expect("a server")
}

/// Runs a handshake to its end; the first error of either side.
fn handshake(config: ClientConfig, host: &str, mut server: ServerConnection) -> Result<(), String> {
    let host = ServerName::try_from(host.to_owned()).expect("a host");
    let mut client = ClientConnection::new(Arc::new(config), host).expect("a client");
    while client.is_handshaking() || server.is_handshaking() || server.wants_write() || client.wants_write() {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).map_err(|error| error.to_string())?;
        }
        pass(&wire, |bytes| server.read_tls(bytes));
        server
            .process_new_packets()
            .map_err(|error| format!("server: {error}"))?;
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).map_err(|error| error.to_string())?;
        }
        pass(&wire, |bytes| client.read_tls(bytes));
        client
            .process_new_packets()
            .map_err(|error| format!("client: {error}"))?;
    }
    Ok(())
}

fn pass(wire: &[u8], mut read: impl FnMut(&mut &[u8]) -> std::io::Result<usize>) {
    let mut rest = wire;
    while !rest.is_empty() {
        read(&mut rest).expect("memory does not fail");
    }
}

fn connects(mode: TlsMode, files: &TlsConfig, host: &str, shows: Shows) -> Result<(), String> {
    handshake(
        client_config(mode, files).expect("the settings fit"),
        host,
        server(shows, false),
    )
}

#[test]
fn verify_full_wants_authority_and_name() {
    let full = |files: &TlsConfig, host, shows| connects(TlsMode::VerifyFull, files, host, shows);
    assert_eq!(full(&trusting("ca.pem"), "db.test", Shows::Signed), Ok(()));
    assert_eq!(full(&trusting("ca.pem"), "127.0.0.1", Shows::Signed), Ok(()));
    let other = full(&trusting("ca.pem"), "evil.test", Shows::Signed).expect_err("another name");
    assert!(other.contains("not valid for name"), "{other}");
    let stranger = full(&trusting("ca.pem"), "db.test", Shows::SelfSigned).expect_err("nobody signed it");
    assert!(stranger.contains("client: invalid peer certificate"), "{stranger}");
}

#[test]
fn verify_ca_wants_the_authority_only() {
    let ca = |files: &TlsConfig, shows| connects(TlsMode::VerifyCa, files, "evil.test", shows);
    assert_eq!(ca(&trusting("ca.pem"), Shows::Signed), Ok(()));
    assert!(ca(&trusting("ca.pem"), Shows::SelfSigned).is_err());
    assert!(ca(&trusting("own.pem"), Shows::Signed).is_err());
}

#[test]
fn a_self_signed_server_may_be_its_own_authority() {
    let own = trusting("own.pem");
    assert_eq!(
        connects(TlsMode::VerifyFull, &own, "db.test", Shows::SelfSigned),
        Ok(())
    );
    assert!(connects(TlsMode::VerifyFull, &own, "evil.test", Shows::SelfSigned).is_err());
    assert_eq!(
        connects(TlsMode::VerifyCa, &own, "evil.test", Shows::SelfSigned),
        Ok(())
    );
}

#[test]
fn require_verifies_nobody() {
    for mode in [TlsMode::Prefer, TlsMode::Require] {
        assert_eq!(
            connects(mode, &TlsConfig::default(), "evil.test", Shows::SelfSigned),
            Ok(())
        );
    }
}

#[test]
fn a_client_certificate_is_shown() {
    let config = |files: &TlsConfig| client_config(TlsMode::VerifyFull, files).expect("the settings fit");
    let bare = trusting("ca.pem");
    assert!(handshake(config(&bare), "db.test", server(Shows::Signed, true)).is_err());
    let known = TlsConfig {
        certificate: Some(file("client.pem")),
        key: Some(file("client.key")),
        ..bare
    };
    assert_eq!(
        handshake(config(&known), "db.test", server(Shows::Signed, true)),
        Ok(())
    );
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let refused = |files: TlsConfig| {
        client_config(TlsMode::VerifyFull, &files)
            .expect_err("refused")
            .to_string()
    };
    assert!(refused(trusting("missing.pem")).contains("missing.pem"));
    assert!(refused(trusting("server.key")).contains("it holds no CERTIFICATE in PEM"));
    let swapped = TlsConfig {
        certificate: Some(file("client.pem")),
        key: Some(file("server.key")),
        ..trusting("ca.pem")
    };
    assert!(refused(swapped).contains("do not fit together"));
}
