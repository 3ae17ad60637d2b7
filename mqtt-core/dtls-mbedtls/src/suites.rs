/// A cipher suite.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Suite {
    /// Its number in the IANA registry.
    pub(crate) number: u16,
    /// Its name there.
    pub(crate) name: &'static str,
    pub(crate) proof: SuiteProof,
}

/// What a suite's peers prove who they are with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SuiteProof {
    Ecdsa,
    Rsa,
    Key,
}

/// What is offered, the most liked first: those with forward secrecy, then those that cannot be parked last.
pub(crate) const SUITES: &[Suite] = &[
    suite(0xC02B, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", SuiteProof::Ecdsa),
    suite(0xC02C, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", SuiteProof::Ecdsa),
    suite(0xCCA9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", SuiteProof::Ecdsa),
    suite(0xC0AC, "TLS_ECDHE_ECDSA_WITH_AES_128_CCM", SuiteProof::Ecdsa),
    suite(0xC0AD, "TLS_ECDHE_ECDSA_WITH_AES_256_CCM", SuiteProof::Ecdsa),
    suite(0xC0AE, "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8", SuiteProof::Ecdsa),
    suite(0xC0AF, "TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8", SuiteProof::Ecdsa),
    suite(0xC02F, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", SuiteProof::Rsa),
    suite(0xC030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", SuiteProof::Rsa),
    suite(0xCCA8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", SuiteProof::Rsa),
    suite(0xCCAC, "TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256", SuiteProof::Key),
    suite(0x00A8, "TLS_PSK_WITH_AES_128_GCM_SHA256", SuiteProof::Key),
    suite(0x00A9, "TLS_PSK_WITH_AES_256_GCM_SHA384", SuiteProof::Key),
    suite(0xCCAB, "TLS_PSK_WITH_CHACHA20_POLY1305_SHA256", SuiteProof::Key),
    suite(0xC0A4, "TLS_PSK_WITH_AES_128_CCM", SuiteProof::Key),
    suite(0xC0A5, "TLS_PSK_WITH_AES_256_CCM", SuiteProof::Key),
    suite(0xC0A8, "TLS_PSK_WITH_AES_128_CCM_8", SuiteProof::Key),
    suite(0xC0A9, "TLS_PSK_WITH_AES_256_CCM_8", SuiteProof::Key),
    suite(0xC023, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", SuiteProof::Ecdsa),
    suite(0xC024, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384", SuiteProof::Ecdsa),
    suite(0xC027, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", SuiteProof::Rsa),
    suite(0xC028, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384", SuiteProof::Rsa),
    suite(0xC037, "TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA256", SuiteProof::Key),
    suite(0xC038, "TLS_ECDHE_PSK_WITH_AES_256_CBC_SHA384", SuiteProof::Key),
    suite(0x00AE, "TLS_PSK_WITH_AES_128_CBC_SHA256", SuiteProof::Key),
    suite(0x00AF, "TLS_PSK_WITH_AES_256_CBC_SHA384", SuiteProof::Key),
];

/// A suite by its number.
pub(crate) fn by_number(number: u16) -> Option<&'static Suite> {
    SUITES.iter().find(|suite| suite.number == number)
}

/// A suite by its name.
pub(crate) fn by_name(name: &str) -> Option<&'static Suite> {
    SUITES.iter().find(|suite| suite.name == name)
}

const fn suite(number: u16, name: &'static str, proof: SuiteProof) -> Suite {
    Suite { number, name, proof }
}
