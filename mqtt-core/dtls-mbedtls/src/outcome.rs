//! What a handshake came to, in the words of `dtls`.

use dtls::{Identity, Proof, Refusal};

use crate::ffi::{Context, Failure};
use crate::suites::{self, SuiteProof};

/// Who the peer of a finished handshake is. The handshake is not to be trusted if that cannot be told.
pub(crate) fn identity(context: &Context, version: &str) -> Result<Identity, Refusal> {
    let suite = suites::by_number(context.suite()).ok_or(Refusal::NothingInCommon)?;
    let notes = context.notes();
    let proof = match suite.proof {
        SuiteProof::Key => match (&notes.key, &notes.unknown) {
            (Some((identity, _)), None) => Proof::Key(identity.clone()),
            (_, unknown) => return Err(Refusal::UnknownIdentity(unknown.clone().unwrap_or_default())),
        },
        SuiteProof::Ecdsa | SuiteProof::Rsa => match context.certificate() {
            Some(_) if notes.flags != 0 => return Err(Refusal::Certificate(faults(notes.flags))),
            Some(der) => Proof::Certificate(der.into()),
            None => Proof::Nothing,
        },
    };
    Ok(Identity {
        version: version.into(),
        cipher: suite.name.into(),
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

/// What is wrong with a certificate, in plain words.
fn faults(flags: u32) -> String {
    const FAULTS: [(u32, &str); 9] = [
        (0x01, "it has expired"),
        (0x02, "it is revoked"),
        (0x08, "it is not from a CA that is trusted"),
        (0x10, "the revocation list is not signed by its CA"),
        (0x40, "there is none"),
        (0x200, "it is not valid yet"),
        (0x800, "its key usage is another"),
        (0x1000, "it is not made for clients (extended key usage clientAuth)"),
        (0x1_C000, "its signature or key is too weak"),
    ];
    let told: Vec<_> = FAULTS.iter().filter(|(flag, _)| flags & flag != 0).map(|(_, why)| *why).collect();
    if told.is_empty() { "it cannot be verified".to_owned() } else { told.join(", ") }
}
