//! Which options are protected [RFC8613 4.1].

pub(crate) const URI_HOST: u16 = 3;
pub(crate) const OBSERVE: u16 = 6;
pub(crate) const URI_PORT: u16 = 7;
pub(crate) const MAX_AGE: u16 = 14;
pub(crate) const PROXY_URI: u16 = 35;
pub(crate) const PROXY_SCHEME: u16 = 39;
pub(crate) const ECHO: u16 = 252;

/// Whether an option is for proxies only (class U), so that it stays outside. Every other one, unknown ones too, belongs
/// inside (class E); those that may be on both sides are independent of each other, and the outer one is not ours.
pub(crate) fn is_outer(number: u16) -> bool {
    matches!(number, URI_HOST | URI_PORT | crate::OSCORE | PROXY_URI | PROXY_SCHEME)
}
