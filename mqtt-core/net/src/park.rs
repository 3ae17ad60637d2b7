use bus::KeyMark;
use dtls::SavedSession;

/// A DTLS session between two runs of the server.
pub struct Parked {
    /// The session itself.
    pub session: SavedSession,
    /// What stands for the pre-shared key that its peer has proved to have: if the identity has another one when the
    /// session comes back, it is over.
    pub mark: Option<KeyMark>,
}
