//! What a handshake came to, in the words of `dtls`.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use dtls::{Identity, Proof, Refusal};

use crate::ffi::{Context, Failure};
use crate::suites::{self, SUITES, SuiteProof};

/// The version that datagrams carry.
pub(crate) const DTLS: &str = "DTLS 1.2";

/// The version that streams carry.
pub(crate) const TLS: &str = "TLS 1.2";

/// Who the peer of a finished handshake is. The handshake is not to be trusted if that cannot be told.
pub(crate) fn identity(context: &Context, version: &'static str) -> Result<Identity, Refusal> {
    let suite = suites::by_number(context.suite()).ok_or(Refusal::NothingInCommon)?;
    let notes = context.notes();
    if let Some(unknown) = &notes.unknown {
        return Err(Refusal::UnknownIdentity(unknown.clone()));
    }
    let proof = match (notes.proved(context.suite()), suite.proof, context.certificate()) {
        // One who resumes has proved it before.
        (Some((identity, _)), _, _) => Proof::Key(identity.clone()),
        (None, SuiteProof::Key, _) => return Err(Refusal::UnknownIdentity(String::new())),
        (None, _, Some(_)) if notes.flags != 0 => return Err(Refusal::Certificate(faults(notes.flags))),
        (None, _, Some(der)) => Proof::Certificate(der.into()),
        (None, _, None) if context.wants_proof() => {
            return Err(Refusal::Certificate("there is none".to_owned()));
        }
        (None, _, None) => Proof::Nothing,
    };
    Ok(Identity {
        version: shared(version),
        cipher: shared(suite.name),
        server_name: notes.server_name.clone(),
        proof,
    })
}

/// Why a handshake failed.
pub(crate) fn refusal(context: &Context, failure: Failure) -> Refusal {
    let notes = context.notes();
    match failure {
        Failure::ALERT if notes.unknown.is_none() => Refusal::Alert(context.alert()),
        Failure::CLOSED => Refusal::Alert(0),
        Failure::TIMEOUT => Refusal::Timeout,
        Failure::HANDSHAKE | Failure::BAD_VERSION => Refusal::NothingInCommon,
        Failure::NO_CERTIFICATE => Refusal::Certificate("there is none".to_owned()),
        Failure::CERTIFICATE_REFUSED | Failure::CERTIFICATE_FATAL | Failure::BAD_CERTIFICATE => {
            Refusal::Certificate(faults(notes.flags))
        }
        Failure::INVALID_MAC | Failure::ALERT => match (&notes.unknown, &notes.key) {
            (Some(unknown), _) => Refusal::UnknownIdentity(unknown.clone()),
            (None, Some((identity, _))) => Refusal::WrongKey(identity.to_string()),
            (None, None) => Refusal::Malformed(failure.to_string()),
        },
        failure => Refusal::Malformed(failure.to_string()),
    }
}

/// The same for a handshake whose peer fell silent: one with the wrong key may just see garbage.
pub(crate) fn silence(context: &Context) -> Refusal {
    match &context.notes().unknown {
        Some(unknown) => Refusal::UnknownIdentity(unknown.clone()),
        None => Refusal::Timeout,
    }
}

/// A name that many sessions have, which is kept once.
fn shared(name: &'static str) -> Arc<str> {
    static NAMES: LazyLock<HashMap<&str, Arc<str>>> = LazyLock::new(|| {
        let names = SUITES.iter().map(|suite| suite.name).chain([DTLS, TLS]);
        names.map(|name| (name, name.into())).collect()
    });
    NAMES.get(name).cloned().unwrap_or_else(|| name.into())
}

/// What is wrong with a certificate, in plain words.
fn faults(flags: u32) -> String {
    const FAULTS: [(u32, &str); 9] = [
        (0x01, "it has expired"),
        (0x02, "it is revoked"),
        (0x08, "it is not from a CA that is trusted"),
        (0x10, "there is no revocation list of its CA, or none that the CA has signed"),
        (0x40, "there is none"),
        (0x200, "it is not valid yet"),
        (0x800, "its key usage is another"),
        (0x1000, "it is not made for clients (extended key usage clientAuth)"),
        (0x1_C000, "its signature or key is too weak"),
    ];
    let told: Vec<_> = FAULTS.iter().filter(|(flag, _)| flags & flag != 0).map(|(_, why)| *why).collect();
    if told.is_empty() { "it cannot be verified".to_owned() } else { told.join(", ") }
}
