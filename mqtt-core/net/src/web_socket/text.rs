/// Checks text that comes in pieces.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Utf8 {
    /// The beginning of a character whose rest is still to come.
    begun: [u8; 4],
    length: usize,
}

impl Utf8 {
    /// Takes more of the text; an error if it is none.
    pub(crate) fn take(&mut self, mut bytes: &[u8]) -> Result<(), ()> {
        while self.length > 0 {
            let Some((first, rest)) = bytes.split_first() else { return Ok(()) };
            *self.begun.get_mut(self.length).ok_or(())? = *first;
            self.length += 1;
            bytes = rest;
            match std::str::from_utf8(self.begun.get(..self.length).unwrap_or_default()) {
                Ok(_) => self.length = 0,
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return Err(()),
            }
        }
        let Err(error) = std::str::from_utf8(bytes) else { return Ok(()) };
        if error.error_len().is_some() {
            return Err(());
        }
        let begun = bytes.get(error.valid_up_to()..).unwrap_or_default();
        self.length = begun.len();
        for (place, byte) in self.begun.iter_mut().zip(begun) {
            *place = *byte;
        }
        Ok(())
    }

    /// Whether the text may end here.
    pub(crate) fn is_whole(&self) -> bool {
        self.length == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_may_be_cut_anywhere() {
        let text = "aä€𝄞z".as_bytes();
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let mut utf8 = Utf8::default();
                for part in [&text[..first], &text[first..second], &text[second..]] {
                    utf8.take(part).unwrap();
                }
                assert!(utf8.is_whole());
            }
        }
    }

    #[test]
    fn what_is_no_text_is_refused_as_soon_as_it_shows() {
        for bad in [&b"\xff"[..], b"a\xc3(", b"\xed\xa0\x80", b"\xf4\x90", b"\xe2\x82a"] {
            let mut utf8 = Utf8::default();
            assert!(bad.iter().any(|byte| utf8.take(&[*byte]).is_err()), "{bad:?}");
            assert!(Utf8::default().take(bad).is_err(), "{bad:?}");
        }
        let mut utf8 = Utf8::default();
        utf8.take(b"\xe2\x82").unwrap();
        assert!(!utf8.is_whole());
    }
}
