use ring::rand::{SecureRandom, SystemRandom};

/// The machine gives no random numbers.
#[derive(Debug)]
pub(crate) struct NoRandom;

/// Fills a buffer with random bytes.
pub(crate) fn fill(buffer: &mut [u8]) -> Result<(), NoRandom> {
    SystemRandom::new().fill(buffer).map_err(|_| NoRandom)
}

/// Random bytes.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], NoRandom> {
    let mut bytes = [0; N];
    fill(&mut bytes)?;
    Ok(bytes)
}
