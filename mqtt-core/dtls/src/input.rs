/// What is left of bytes that are read from the front. What is asked for and not there is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// So many bytes.
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// As many bytes as the array has.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// One byte.
    pub fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }
}
