use zeroize::Zeroizing;

/// A pre-shared key. It is not shown anywhere, and wiped from memory when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Zeroizing<Vec<u8>>);

/// Where pre-shared keys come from. It is asked at each handshake, so that keys can change while sessions live.
pub trait Keys: Send + Sync {
    /// The key of an identity; `None` if there is none. It must answer at once.
    fn key(&self, identity: &str) -> Option<Key>;
}

impl Key {
    /// The longest key: RFC 4279 asks for 64 bytes at least to be possible.
    pub const LONGEST: usize = 64;

    /// Takes a key of 1 to 64 bytes.
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        let bytes = Zeroizing::new(bytes);
        (1..=Self::LONGEST).contains(&bytes.len()).then_some(Self(bytes))
    }

    /// The key itself.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}
