use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{bail, ensure};
use bus::Carrier;
use clap::Args;
use dial::Target;

/// The flags that say whom to trust, and what to show.
#[derive(Args, Clone, Debug)]
pub(crate) struct Security {
    /// A PEM file with the CAs to trust
    #[arg(long, value_name = "FILE", help_heading = "TLS", group = "trusted")]
    cafile: Option<PathBuf>,
    /// A directory with such files, named *.pem or *.crt
    #[arg(long, value_name = "DIRECTORY", help_heading = "TLS", group = "trusted")]
    capath: Option<PathBuf>,
    /// Trust the CAs that this system trusts; so without --cafile and --capath, if the port is 8883 or the URL asks
    /// for TLS
    #[arg(long, help_heading = "TLS", group = "trusted")]
    tls_use_os_certs: bool,
    /// A PEM file with the certificate to show
    #[arg(long, value_name = "FILE", help_heading = "TLS", requires = "key")]
    cert: Option<PathBuf>,
    /// A PEM file with its key
    #[arg(long, value_name = "FILE", help_heading = "TLS", requires = "cert")]
    key: Option<PathBuf>,
    /// Take a certificate with another name than the server's; without any CA named, take any at all
    #[arg(long, help_heading = "TLS")]
    insecure: bool,
    /// The oldest version to speak: tlsv1.2 or tlsv1.3
    #[arg(long, value_name = "VERSION", help_heading = "TLS")]
    tls_version: Option<String>,
    /// The application protocol to ask for, over mqtts
    #[arg(long, value_name = "PROTOCOL", help_heading = "TLS")]
    tls_alpn: Option<String>,
}

/// The port on which everybody expects TLS.
const SECURED: u16 = 8883;

impl Security {
    /// What carries the bytes to a server that is named by flags.
    pub(crate) fn carrier(&self, ws: bool, port: Option<u16>) -> Carrier {
        match (ws, self.is_asked_for() || port == Some(SECURED)) {
            (false, false) => Carrier::Tcp,
            (false, true) => Carrier::Tls,
            (true, false) => Carrier::WebSocket,
            (true, true) => Carrier::SecureWebSocket,
        }
    }

    fn is_asked_for(&self) -> bool {
        self.cafile.is_some()
            || self.capath.is_some()
            || self.tls_use_os_certs
            || self.cert.is_some()
            || self.insecure
            || self.tls_version.is_some()
            || self.tls_alpn.is_some()
    }

    /// Reads the files, if the target is secured.
    pub(crate) fn load(&self, target: &Target) -> anyhow::Result<Option<Arc<rustls::ClientConfig>>> {
        if !target.is_secured() {
            ensure!(
                !self.is_asked_for(),
                "{target} is reached without TLS: leave the flags of TLS out, or use mqtts, wss or quic"
            );
            return Ok(None);
        }
        let ca = self.cafile.as_ref().or(self.capath.as_ref());
        let config = tls::ClientConfig {
            ca: ca.cloned().unwrap_or_default(),
            certificate: self.cert.clone().unwrap_or_default(),
            key: self.key.clone().unwrap_or_default(),
            insecure: self.insecure && ca.is_none() && !self.tls_use_os_certs,
            any_name: self.insecure,
            minimum_version: match self.tls_version.as_deref() {
                None | Some("tlsv1.2") => tls::Version::Tls12,
                Some("tlsv1.3") => tls::Version::Tls13,
                Some(other) => {
                    bail!("--tls-version {other}: there are tlsv1.2 and tlsv1.3; older ones are broken")
                }
            },
        };
        let protocols: Vec<&[u8]> = self.tls_alpn.iter().map(|name| name.as_bytes()).collect();
        Ok(Some(config.load(&protocols)?))
    }
}
