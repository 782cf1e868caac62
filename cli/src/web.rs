//! Fetching over HTTP and HTTPS.

use std::time::Duration;

use ureq::{
    Agent,
    tls::{RootCerts, TlsConfig},
};

/// A server that says nothing for so long has gone.
pub(crate) const SILENCE: Duration = Duration::from_secs(60);

/// Trusts whom this machine trusts. Proxies come from the environment.
pub(crate) fn agent() -> Agent {
    // Refused when it was installed before: it is the same one.
    rustls::crypto::ring::default_provider().install_default().unwrap_or_default();
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .timeout_connect(Some(Duration::from_secs(30)))
        .timeout_recv_response(Some(SILENCE))
        .user_agent(concat!("dora/", env!("CARGO_PKG_VERSION")))
        .build();
    config.into()
}
