/// Whether a device hears what is sent to where it is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reach {
    /// While that is not known: how often it was asked.
    asked: Option<u8>,
    moves: u16,
}

/// The address that something was sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(u16);

impl Reach {
    pub(crate) fn is_known(self) -> bool {
        self.asked.is_none()
    }

    /// The device sends from elsewhere now, and may have to show that it hears what is sent there.
    pub(crate) fn moved(&mut self, is_known: bool) {
        self.asked = (!is_known).then_some(0);
        self.moves = self.moves.wrapping_add(1);
    }

    /// Where the device is now.
    pub(crate) fn place(self) -> Place {
        Place(self.moves)
    }

    /// The device has answered what it can have heard at this place alone.
    pub(crate) fn answered_from(&mut self, place: Option<Place>) {
        if place == Some(self.place()) {
            self.asked = None;
        }
    }

    /// A PINGRESP has come. One that answers nothing says nothing.
    pub(crate) fn ponged(&mut self) {
        if let Some(1..) = self.asked {
            self.asked = None;
        }
    }

    /// The device connects: it is asked as if it had not been.
    pub(crate) fn begin_anew(&mut self) {
        self.asked = self.asked.map(|_| 0);
    }

    pub(crate) fn was_asked(self) -> bool {
        self.asked != Some(0)
    }

    /// Whether the device is to be asked: a few times for whatever it sends, and each time that it pings.
    pub(crate) fn asks(&mut self, pings: bool, most: u8) -> bool {
        match &mut self.asked {
            Some(asked) if pings || *asked < most => {
                *asked = asked.saturating_add(1);
                true
            }
            _ => false,
        }
    }
}
