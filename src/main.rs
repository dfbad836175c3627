//! The process: arguments in, exit code out.

use std::process::ExitCode;

use twinbox::cli::{self, Exit};
use twinbox::config::Environment;

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // Err: a provider is installed already; then that one serves.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match cli::run(std::env::args_os(), Environment::of_process()) {
        // A second signal means now: no destructor of a client library may hold it up.
        Exit::Interrupted => std::process::exit(i32::from(Exit::Interrupted.code())),
        exit => exit.into(),
    }
}
